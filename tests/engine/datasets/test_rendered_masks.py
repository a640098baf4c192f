"""Masks drawn from the posed hand: where the keypoints are, for either side, written and read back."""

from __future__ import annotations

import numpy as np
import pytest
from published_hands import hand_with_mean, projected
from published_sets import make_interhand

from engine.datasets.hand_sequence import load_pixels
from engine.datasets.interhand import read_interhand
from engine.datasets.rendered_masks import write_rendered_masks
from engine.errors import Cancelled


@pytest.mark.parametrize("side", ["right", "left"])
def test_joints_lie_on_the_mask_and_masks_are_read_back(tmp_path, side):
    make_interhand(tmp_path, side, numbers=(1, 2), cameras=("400262",))
    (sequence,) = read_interhand(tmp_path, hand_with_mean())
    masked = write_rendered_masks(sequence, hand_with_mean(), tmp_path / "masks_made")
    assert masked.notes[-1] == "masks are the posed model's outline"
    for frame in masked.frames:
        mask = load_pixels(frame).mask
        assert mask.shape == (512, 334) and set(np.unique(mask)) == {0, 255} and 0.01 < (mask > 0).mean() < 0.4
        columns, rows = projected(frame, side)[:16].astype(int).T  # joints lie inside the hand, tips on its skin
        assert (mask[rows, columns] == 255).mean() > 0.9
    again = write_rendered_masks(masked, hand_with_mean(), tmp_path / "elsewhere")
    assert again.frames == masked.frames and not (tmp_path / "elsewhere").exists()


def test_drawing_can_be_cancelled(tmp_path):
    make_interhand(tmp_path, numbers=(1,), cameras=("400262",))
    (sequence,) = read_interhand(tmp_path, hand_with_mean())

    def cancel(*_, **__):
        raise Cancelled

    with pytest.raises(Cancelled):
        write_rendered_masks(sequence, hand_with_mean(), tmp_path / "made", cancel)
