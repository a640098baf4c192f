"""Scores of pictures: what they are taken over, by pictures whose scores can be worked out."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from synthetic_sequence import CONFIG, write_sequence

from engine.hand.model import open_hand_model
from engine.methods.xhand import new_model
from engine.methods.xhand_metrics import HandScores, mean_of_scores, measure, score
from engine.methods.xhand_pictures import cut_out


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """An untrained hand, and the pictures of another one."""
    sequence = write_sequence(tmp_path_factory.mktemp("toy"), moments=2, views=2)
    model = new_model(sequence, open_hand_model(), CONFIG)
    return model, cut_out(sequence, model)


def decibels(squared: torch.Tensor) -> float:
    return -10 * math.log10(float(squared))


@torch.no_grad()
def test_what_is_missing_costs_as_much_as_what_is_wrong(seen):
    model, pictures = seen
    moment, picture = pictures.moments[0], pictures.views[0]["cam0"]
    white = dataclasses.replace(
        picture, color=torch.full_like(picture.color, 255), mask=torch.full_like(picture.mask, 255)
    )
    posed = model.posed(*moment[1:])
    shown = model.picture(posed, picture.camera, model.light_of("cam0"))
    error = (shown.color.clamp(0, 1) - 1).square()
    found = score(model, posed, moment, white, neural=False)
    # the true mask is the whole crop, and the rendered hand a part of it
    assert found.psnr_db == pytest.approx(decibels(error.mean()), abs=1e-3) == found.shaded_psnr_db
    frame = picture.frame
    assert found.psnr_whole_db == pytest.approx(decibels(error.sum() / (3 * frame.width * frame.height)), abs=1e-3)
    assert found.iou == pytest.approx(float((shown.coverage > 0.5).float().mean()))


@torch.no_grad()
def test_the_whole_is_the_mean_of_its_pictures(seen):
    model, pictures = seen
    one_by_one = [
        score(model, model.posed(*moment[1:]), moment, picture, neural=False)
        for moment, views in zip(pictures.moments, pictures.views, strict=True)
        for picture in views.values()
    ]
    found = measure(model, pictures, neural=False)
    assert found is not None and len(one_by_one) == pictures.count == 4
    for name, value in mean_of_scores(one_by_one)._asdict().items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-5)
    assert mean_of_scores([]) is None


def test_names_in_the_avatars_file():
    scores = HandScores(30.123456, 35.0, 0.95, 29.0, 0.98)
    assert scores.as_metrics("train")["train_psnr_db"] == 30.1235
