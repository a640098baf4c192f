"""Pictures against pictures: textbook values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.evaluation.image_metrics import (
    LARGEST_PSNR_DB,
    flip_in_box,
    lpips_in_box,
    mask_box,
    masked_psnr,
    silhouette_iou,
    ssim_in_box,
)


def disc(size: int = 48) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (x - 20) ** 2 + (y - 25) ** 2 < 14**2


def picture(seed: int = 0, size: int = 48) -> torch.Tensor:
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    return smooth[0].permute(1, 2, 0).clamp(0.1, 0.9)


@pytest.mark.parametrize(("noise", "expected_db"), [(0.1, 20.0), (0.01, 40.0)])
def test_known_noise_gives_the_textbook_psnr(noise, expected_db):
    target, mask = picture(), disc()
    sign = torch.where(torch.rand(target.shape, generator=torch.Generator().manual_seed(1)) < 0.5, -1.0, 1.0)
    assert masked_psnr(target + noise * sign, target, mask) == pytest.approx(expected_db, abs=1e-3)


def test_psnr_sees_the_mask_alone():
    target, mask = picture(), disc()
    outside = torch.where(mask[..., None], target, 1 - target)
    assert masked_psnr(outside, target, mask) == LARGEST_PSNR_DB
    inside = torch.where(mask[..., None], target + 0.5, target)
    assert masked_psnr(inside, target, mask) == pytest.approx(-20 * math.log10(0.5), abs=1e-4)
    with pytest.raises(ValueError, match="without pixels"):
        masked_psnr(target, target, torch.zeros_like(mask))


def test_box_of_a_mask():
    mask = torch.zeros(10, 12, dtype=torch.bool)
    mask[3, 4] = mask[7, 9] = True
    assert mask_box(mask) == (slice(3, 8), slice(4, 10))
    with pytest.raises(ValueError, match="bounding box"):
        mask_box(torch.zeros(4, 4, dtype=torch.bool))


def test_ssim_of_flat_pictures_is_its_luminance_term():
    mask = torch.ones(16, 16, dtype=torch.bool)
    first, second = torch.full((16, 16, 3), 0.2), torch.full((16, 16, 3), 0.6)
    for data_range in (1.0, 2.0):
        c1 = (0.01 * data_range) ** 2
        expected = (2 * 0.2 * 0.6 + c1) / (0.2**2 + 0.6**2 + c1)
        assert ssim_in_box(first, second, mask, data_range) == pytest.approx(expected, abs=1e-5)


def test_ssim_looks_at_the_box_and_the_published_range_flatters():
    target, mask = picture(), disc()
    beside = target.clone()
    beside[:5] = 0
    assert ssim_in_box(beside, target, mask) == pytest.approx(1.0)
    noisy = (target + 0.15 * torch.randn(target.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    assert ssim_in_box(noisy, target, mask) < ssim_in_box(noisy, target, mask, data_range=2.0) < 1


def test_ssim_of_a_mask_smaller_than_its_window():
    mask = torch.zeros(48, 48, dtype=torch.bool)
    mask[10:13, 20:22] = True
    assert ssim_in_box(picture(), picture(), mask) == pytest.approx(1.0)


def flip_of_flat_colours(first, second) -> float:
    """FLIP's equations 1, 6 and 7 by hand for pictures without edges: filtering leaves flat colours as they are."""
    from skimage.color import rgb2lab

    def hunt(color):
        lightness, a, b = rgb2lab(np.array(color, dtype=float).reshape(1, 1, 3))[0, 0]
        return np.array([lightness, 0.01 * lightness * a, 0.01 * lightness * b])

    def distance(one, other):
        gap = np.abs(hunt(one) - hunt(other))
        return (gap[0] + np.hypot(gap[1], gap[2])) ** 0.7

    greatest = distance((0, 1, 0), (0, 0, 1))
    found, knee = distance(first, second), 0.4 * greatest
    if found < knee:
        return 0.95 * found / knee
    return 0.95 + (found - knee) / (greatest - knee) * 0.05


@pytest.mark.parametrize(
    ("first", "second"), [((0, 0, 0), (1, 1, 1)), ((0, 1, 0), (0, 0, 1)), ((0.5, 0.5, 0.5), (0.55, 0.5, 0.5))]
)
def test_flip_of_flat_colours_is_the_papers(first, second):
    mask = torch.ones(32, 32, dtype=torch.bool)
    pictures = [torch.tensor(color, dtype=torch.float32).expand(32, 32, 3) for color in (first, second)]
    assert flip_in_box(*pictures, mask) == pytest.approx(flip_of_flat_colours(first, second), abs=5e-3)
    assert flip_in_box(pictures[0], pictures[0], mask) == pytest.approx(0, abs=1e-6)


def test_flip_looks_at_the_box():
    target, mask = picture(), disc()
    beside = target.clone()
    beside[:, 40:] = 1
    assert flip_in_box(beside, target, mask) == pytest.approx(0, abs=1e-6)


def test_perceptual_distance_gets_the_box():
    mask = disc()
    seen = []

    def term(found, wanted, weight):
        seen.append((found.shape, wanted.shape, float(weight.min())))
        return (found - wanted).abs().mean()

    assert lpips_in_box(term, picture(1), picture(1), mask) == 0
    rows, columns = mask_box(mask)
    shape = (rows.stop - rows.start, columns.stop - columns.start, 3)
    assert seen == [(shape, shape, 1.0)]


def test_overlap_of_outlines():
    mask = torch.zeros(10, 10, dtype=torch.bool)
    mask[:, :6] = True
    coverage = torch.zeros(10, 10)
    coverage[:, 3:9] = 0.8
    assert silhouette_iou(coverage, mask) == pytest.approx(3 / 9)
    assert silhouette_iou(0.5 * coverage, mask) == 0
    assert silhouette_iou(torch.zeros(10, 10), torch.zeros(10, 10, dtype=torch.bool)) == 1


def test_arguments_are_left_alone():
    target, mask = picture(), disc()
    before = target.clone()
    for metric in (masked_psnr, ssim_in_box, flip_in_box):
        metric(target, target, mask)
    assert np.array_equal(before, target)
