"""A rendered view's scores in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from engine.evaluation.measures import MEASURES
from engine.evaluation.view_scores import over_black, view_scores

SIZE = 192


def hand(first: int, last: int) -> torch.Tensor:
    """[H,W] bool: columns of a picture."""
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[:, first:last] = True
    return mask


def test_a_missing_part_costs_in_the_union_and_nothing_in_the_rendered_mask():
    """Half of a hand of value 0.5 is not drawn: the union's mean square is 0.125, the drawn half is right."""
    true = 0.5 * hand(0, 96)[..., None].float().expand(SIZE, SIZE, 3)
    drawn = hand(0, 48)
    scores = view_scores(true * drawn[..., None], drawn.float(), true, hand(0, 96))
    assert scores["psnr_union_db"] == pytest.approx(-10 * math.log10(0.125), abs=1e-4)
    assert scores["psnr_whole_db"] == pytest.approx(-10 * math.log10(0.0625), abs=1e-4)
    assert scores["psnr_drawn_db"] == 100
    assert scores["iou"] == pytest.approx(0.5)
    assert scores["l1"] == pytest.approx(0.125)
    assert set(scores) <= set(MEASURES)


def test_what_is_drawn_too_much_costs_in_the_union():
    true = 0.5 * hand(0, 48)[..., None].float().expand(SIZE, SIZE, 3)
    shown = 0.5 * hand(0, 96)[..., None].float().expand(SIZE, SIZE, 3)
    scores = view_scores(shown, hand(0, 96).float(), true, hand(0, 48))
    assert scores["psnr_union_db"] == pytest.approx(-10 * math.log10(0.125), abs=1e-4)


def test_equal_pictures_are_alike():
    picture = torch.rand(SIZE, SIZE, 3, generator=torch.Generator().manual_seed(0))
    scores = view_scores(picture, torch.ones(SIZE, SIZE), picture, hand(0, SIZE))
    assert scores["psnr_union_db"] == 100
    assert scores["ssim"] == pytest.approx(1, abs=1e-6)
    assert scores["ms_ssim"] == pytest.approx(1, abs=1e-6)


def test_small_pictures_have_no_ms_ssim():
    picture = torch.full((32, 32, 3), 0.5)
    assert "ms_ssim" not in view_scores(picture, torch.ones(32, 32), picture, torch.ones(32, 32, dtype=torch.bool))


def test_edges_mixed_with_black_stay_and_other_backgrounds_are_cut():
    mask = hand(40, 80)
    image = 0.8 * mask[..., None].float().repeat(1, 1, 3)
    image[:, 80] = 0.2
    torch.testing.assert_close(over_black(image, mask), image)
    room = image.clone()
    room[:, 120:] = 0.6
    torch.testing.assert_close(over_black(room, mask), image * mask[..., None])
