"""The quick terms of a picture are `picture_terms`, with the same gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from palm_tiny import CONFIG, tiny_photos, tiny_posed

from engine.methods.palm_objective import Picture, picture_terms
from engine.methods.palm_rays import plan_rays
from engine.methods.palm_terms import pyramid_bands, srgb_and_slope, terms_of
from engine.training.batch import RayBatch
from engine.training.perceptual import pyramid_l1


def batch_of(draws: int, patch_px: int, photos: int) -> RayBatch:
    config = replace(CONFIG, draws=draws, pixels=replace(CONFIG.pixels, patch_px=patch_px))
    batch = plan_rays(tiny_photos()[:photos], config, tiny_posed().root.double())[0].batch
    return batch._replace(background=torch.tensor([0.2, 0.001, 0.9], dtype=torch.float64))


@pytest.mark.parametrize(("draws", "patch_px", "photos"), [(1, 8, 1), (2, 7, 2), (2, 0, 1)])
def test_values_and_gradients_are_the_objectives(draws, patch_px, photos):
    batch = batch_of(draws, patch_px, photos)
    generator = torch.Generator().manual_seed(1)
    opacity = torch.rand(len(batch.hand), generator=generator).double()
    opacity[:4], opacity[4:6] = 0.0, 1.0
    color = opacity[:, None] * torch.rand(len(opacity), 3, generator=generator).double().pow(3) * 1.5
    factors = {"radiance": 1.0, "mask": 0.3, "perceptual": 0.7}
    found = []
    for terms in (
        lambda p: picture_terms(p, batch, pyramid_l1),
        lambda p: terms_of(batch, pyramid_l1)(p, batch.background),
    ):
        picture = Picture(opacity.clone().requires_grad_(), color.clone().requires_grad_())
        values = terms(picture)
        torch.stack([factors[name] * value for name, value in values.items()]).sum().backward()
        found.append((values, picture.opacity.grad, picture.radiance.grad))
    (expected, *slopes), (values, *ours) = found
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(values[name], value, atol=1e-9, rtol=1e-7)
    for one, other in zip(ours, slopes, strict=True):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-7)


def test_other_perceptual_terms_are_asked():
    batch = batch_of(1, 8, 1)
    picture = Picture(batch.inside, batch.image_srgb)
    terms = terms_of(batch, lambda one, other, weight: (one - other).sum() * 0 + 5)(picture, batch.background)
    assert float(terms["perceptual"]) == 5


@pytest.mark.parametrize("side", [3, 4, 13, 24])
def test_bands_are_the_pyramids(side):
    generator = torch.Generator().manual_seed(2)
    one, other = (torch.rand(side, side, 3, generator=generator).double() for _ in range(2))
    bands = pyramid_bands(side, torch.float64, one.device)
    patch = (one - other).movedim(-1, 0)
    values = bands.fine @ patch @ bands.fine.T - bands.blurred @ patch @ bands.blurred.T
    expected = pyramid_l1(one, other, torch.ones(side, side).double())
    torch.testing.assert_close((values.abs().mean(0) * bands.share).sum(), expected)


def test_the_slope_is_the_encodings():
    color = torch.tensor([0.0, 0.001, 0.1, 0.9, 1.5], dtype=torch.float64, requires_grad=True)
    shown, slope = srgb_and_slope(color.detach())
    assert shown[-1] == 1 and slope[-1] == 0
    assert torch.autograd.grad(srgb_and_slope(color)[0].sum(), color)[0] == pytest.approx(slope)
