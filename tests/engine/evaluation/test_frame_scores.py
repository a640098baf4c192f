"""Scores of picture pairs whose difference is known, and what protocols and tables make of them."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from engine.evaluation.frame_scores import Networks, picture_scores
from engine.evaluation.image_metrics import mean_difference, over
from engine.evaluation.measures import MEASURES
from engine.evaluation.protocols import HARP_RELIT, HARP_VIDEO, PALM_INTERHAND, PROTOCOLS
from engine.evaluation.report import Column, best_methods, columns_of


def pair(side: int = 64, off: float = 0.1):
    """A grey square on white and one that is darker by `off`, with its mask; a quarter of the picture."""
    mask = torch.zeros(side, side, dtype=torch.bool)
    mask[side // 4 : -side // 4, side // 4 : -side // 4] = True
    true = torch.where(mask[..., None], 0.6, 1.0).expand(side, side, 3)
    return true - off * mask[..., None], true, mask


@pytest.mark.parametrize("in_box", [True, False])
def test_a_known_difference_has_textbook_scores(in_box):
    shown, true, mask = pair()
    scores = picture_scores(shown, true, mask.float(), mask, in_box)
    assert scores["psnr_db"] == pytest.approx(20, abs=1e-4)
    assert scores["psnr_whole_db"] == pytest.approx(20 + 10 * math.log10(4), abs=1e-4)
    assert (scores["l1_mask"], scores["l1"]) == (pytest.approx(0.1), pytest.approx(0.1 / 4))
    assert scores["iou"] == 1
    assert "ms_ssim" not in scores and "lpips_vgg" not in scores
    flat = (2 * 0.6 * 0.5 + 1e-4) / (0.6**2 + 0.5**2 + 1e-4)
    assert (scores["ssim"] == pytest.approx(flat, abs=1e-4)) == in_box  # the box is flat, the whole picture is not
    assert set(scores) <= set(MEASURES)


def test_large_pictures_have_ms_ssim_too():
    shown, true, mask = pair(176)
    scores = picture_scores(true, true, mask.float(), mask, True)
    assert scores["ms_ssim"] == pytest.approx(1)
    assert picture_scores(shown, true, mask.float(), mask, True)["ms_ssim"] < 1


def test_networks_are_fed_as_they_want_and_as_the_papers_codes_do():
    shown, true, mask = pair(128)
    fed = []

    def network(found, wanted, weight):
        fed.append((float(found.double().mean()), float(wanted.double().mean()), tuple(found.shape)))
        return (found - wanted).abs().mean()

    scores = picture_scores(shown, true, mask.float(), mask, True, Networks(network, network))
    right, twice, _, halved = fed
    assert right == (pytest.approx(0.5), pytest.approx(0.6), (64, 64, 3))
    # [0,1] made [−1,1], and again: what 2x − 1 would be as a picture
    assert twice[:2] == (pytest.approx(0.0, abs=1e-6), pytest.approx(0.2, abs=1e-6))
    # [0,1] taken for [−1,1]: what (x + 1)/2 would be as a picture
    assert halved[:2] == (pytest.approx(0.75), pytest.approx(0.8))
    assert scores["lpips_vgg_twice"] == pytest.approx(2 * scores["lpips_vgg"])
    assert scores["lpips_alex_01"] == pytest.approx(scores["lpips_alex"] / 2)
    small = picture_scores(*pair(32)[:2], pair(32)[2].float(), pair(32)[2], True, Networks(None, network))
    assert "lpips_alex" not in small  # its window has 16 pixels, and the network wants 31


def test_differences_and_backgrounds():
    shown, true, mask = pair()
    with pytest.raises(ValueError, match="without pixels"):
        mean_difference(shown, true, torch.zeros_like(mask))
    half = torch.full((2, 2), 0.5)
    torch.testing.assert_close(over(torch.full((2, 2, 3), 0.2), half, 1.0), torch.full((2, 2, 3), 0.7))
    torch.testing.assert_close(over(torch.full((2, 2, 3), 0.2), half, 0.0), torch.full((2, 2, 3), 0.2))


def test_protocols_name_scores_that_exist_and_say_how_they_look():
    assert list(PROTOCOLS) == ["palm-interhand", "harp-relit", "harp-video"]
    for protocol in PROTOCOLS.values():
        named = [*protocol.scores, *protocol.published, *(name for _, values in protocol.numbers for name, _ in values)]
        assert set(named) <= set(MEASURES)
        assert len(set(protocol.scores)) == len(protocol.scores)
        with pytest.raises(dataclasses.FrozenInstanceError):
            protocol.background = 0.5
    assert (PALM_INTERHAND.background, PALM_INTERHAND.in_box) == (1.0, True)
    assert (HARP_VIDEO.background, HARP_VIDEO.in_box) == (1.0, False)
    assert HARP_RELIT.lit_frames


def test_tables_show_what_is_there_and_who_is_best():
    def summary(**unseen):
        return {"unseen": unseen, "seen": {"psnr_db": 30.0}, "light": {}}

    methods = {
        "a": summary(psnr_db=30.001, flip=0.1, brightness=1.2),
        "b": summary(psnr_db=30.004, flip=0.2),
        "truth": summary(psnr_db=40.0, flip=0.0),
    }
    columns = columns_of(HARP_RELIT, list(methods.values()))
    assert [(column.part, column.score) for column in columns] == [
        *(("unseen", "psnr_db"), ("unseen", "flip"), ("seen", "psnr_db"))
    ]
    assert best_methods(Column("", "unseen", "psnr_db"), methods) == set()  # alike as they are printed
    assert best_methods(Column("", "unseen", "flip"), methods) == {"a"}
    assert best_methods(Column("", "unseen", "brightness"), methods) == set()
