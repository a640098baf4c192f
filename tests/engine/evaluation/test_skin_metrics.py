"""Skin colours: published CIEDE2000 pairs and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.evaluation.skin_metrics import (
    color_difference,
    median_color_difference,
    scaled_albedo_psnr,
    tone_difference,
)
from engine.lighting.color import linear_to_srgb

SHARMA = [
    ((50.0000, 2.6772, -79.7751), (50.0000, 0.0000, -82.7485), 2.0425),
    ((50.0000, -1.3802, -84.2814), (50.0000, 0.0000, -82.7485), 1.0000),
    ((50.0000, 2.5000, 0.0000), (50.0000, 0.0000, -2.5000), 4.3065),
    ((50.0000, 2.5000, 0.0000), (73.0000, 25.0000, -18.0000), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]
"""Rows of table 1 of Sharma, Wu and Dalal (2005): two CIELAB colours and their CIEDE2000."""


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_the_library_gives_the_published_differences(first, second, expected):
    from skimage.color import deltaE_ciede2000

    assert deltaE_ciede2000(np.array(first), np.array(second)) == pytest.approx(expected, abs=1e-4)


def test_difference_of_srgb_colours():
    # white against black differ by L alone: 100 / S_L with S_L = 1 + 0.015 · 0 at the mean L of 50
    black, white = torch.zeros(3), torch.ones(3)
    assert float(color_difference(black, white)) == pytest.approx(100, abs=0.01)
    # a known sRGB red is L 53.24, a 80.09, b 67.20 (D65): against itself nothing, against grey of its L its chroma's
    red = torch.tensor([[1.0, 0, 0], [0.2, 0.5, 0.7]])
    assert color_difference(red, red).tolist() == [0, 0]
    assert color_difference(red[:1], red[1:]).shape == (1,)
    assert float(color_difference(red[0], red[1])) == pytest.approx(float(color_difference(red[1], red[0])), abs=1e-4)


def test_median_and_tone_over_visible_skin():
    target = torch.full((6, 6, 3), 0.5)
    found = target.clone()
    found[:, :2] = 0.9  # a third is far off
    found[0] = 0  # what is not visible does not count
    visible = torch.ones(6, 6, dtype=torch.bool)
    visible[0] = False
    assert median_color_difference(found, target, visible) == pytest.approx(0, abs=1e-4)
    assert tone_difference(found, target, visible) > 5


def test_tone_is_of_the_mean_in_linear_light():
    linear = torch.tensor([0.1, 0.3]).repeat(8, 4)[..., None].expand(8, 8, 3)
    flat = torch.full((8, 8, 3), 0.2)
    visible = torch.ones(8, 8, dtype=torch.bool)
    assert tone_difference(linear_to_srgb(linear), linear_to_srgb(flat), visible) == pytest.approx(0, abs=1e-3)
    assert median_color_difference(linear_to_srgb(linear), linear_to_srgb(flat), visible) > 5


def test_scaled_psnr_forgives_one_factor_and_no_more():
    linear = 0.05 + 0.4 * torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(0))
    visible = torch.ones(8, 8, dtype=torch.bool)
    target = linear_to_srgb(linear)
    assert scaled_albedo_psnr(linear_to_srgb(0.6 * linear), target, visible) > 80
    tinted = linear * torch.tensor([0.6, 0.8, 1.0])
    assert scaled_albedo_psnr(linear_to_srgb(tinted), target, visible) < 30
