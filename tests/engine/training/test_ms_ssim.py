"""MS-SSIM against closed forms and against what the reference implementation in torch gives for pictures of formulas."""

from __future__ import annotations

import pytest
import torch

from engine.training.ms_ssim import LEAST_PX, SCALE_WEIGHTS, ms_ssim


def waves(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Stripes [H,W,3] of three widths, and the same under a hyperbolic stain, in [0,1]."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64), indexing="ij"
    )
    first = torch.stack([0.5 + 0.4 * torch.sin(x / (3 + 4 * c) + 0.1 * y) for c in range(3)], -1)
    return first, (first + 0.2 * torch.cos(x * y / 97)[..., None]).clamp(0, 1)


@pytest.mark.parametrize(
    "size, value", [((176, 208), 0.8811040434531877), ((192, 320), 0.9078746641167147)], ids=["small", "wide"]
)
def test_is_the_reference_implementation_s_value(size, value):
    """pytorch-msssim 1.0 on the same pictures; its window is of single precision."""
    first, second = waves(*size)
    assert float(ms_ssim(second, first)) == pytest.approx(value, abs=1e-6)
    assert float(ms_ssim(255 * second, 255 * first, data_range=255)) == pytest.approx(value, abs=1e-6)


def test_equal_pictures_are_alike_and_order_does_not_matter():
    first, second = waves(176, 176)
    assert float(ms_ssim(first, first)) == pytest.approx(1, abs=1e-12)
    assert float(ms_ssim(first, second)) == pytest.approx(float(ms_ssim(second, first)), abs=1e-12)


def test_even_pictures_differ_by_the_coarsest_luminance_alone():
    a, b = 0.3, 0.7
    luminance = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    pictures = (torch.full((LEAST_PX, LEAST_PX, 3), value, dtype=torch.float64) for value in (a, b))
    assert float(ms_ssim(*pictures)) == pytest.approx(luminance ** SCALE_WEIGHTS[-1], rel=1e-9)


def test_opposite_structure_counts_nothing_and_has_a_finite_slope():
    first, _ = waves(176, 176)
    inverse = (1 - first).requires_grad_()
    value = ms_ssim(inverse, first)
    value.backward()
    assert value.item() == 0 and bool(torch.isfinite(inverse.grad).all())


def test_many_pictures_give_their_mean_and_keep_their_type():
    first, second = (picture.float() for picture in waves(176, 176))
    both = ms_ssim(torch.stack([second, first]), torch.stack([first, first]))
    assert both.dtype == torch.float32
    assert float(both) == pytest.approx((float(ms_ssim(second, first)) + 1) / 2, abs=1e-6)


def test_the_slope_is_the_difference_quotient_s():
    first, second = waves(LEAST_PX, LEAST_PX)
    first, second = first[..., :1], second[..., :1]
    direction = torch.randn(second.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = second.clone().requires_grad_()
    ms_ssim(moved, first).backward()
    step = 1e-5
    quotient = (ms_ssim(second + step * direction, first) - ms_ssim(second - step * direction, first)) / (2 * step)
    assert float((moved.grad * direction).sum()) == pytest.approx(float(quotient), rel=1e-4)


@pytest.mark.parametrize("shapes", [((175, 300, 3),) * 2, ((176, 176, 3), (176, 177, 3)), ((176, 176),) * 2])
def test_pictures_that_cannot_be_compared_are_refused(shapes):
    with pytest.raises(ValueError, match="MS-SSIM"):
        ms_ssim(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
