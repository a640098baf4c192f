"""Light from many directions: what matt and glossy skin shows of it, in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from engine.fields.sky import BLOCK, BOUNCE, REFLECTANCE, RIM, Sky, radiance_along


def some_normals(count: int) -> torch.Tensor:
    return normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(2)), dim=1)


@torch.no_grad()
def test_an_even_sky_shows_matt_skin_in_its_own_colour_and_hidden_skin_by_what_is_thrown_back():
    sky, normals = Sky(256), some_normals(BLOCK + 7)
    albedo = torch.tensor([0.5, 0.3, 0.2]).expand(len(normals), 3)
    even = torch.ones(256, 3)
    torch.testing.assert_close(sky.matt(even, normals, albedo, None), albedo, atol=0, rtol=0.01)
    nothing = torch.zeros(len(normals), 256)
    torch.testing.assert_close(sky.matt(even, normals, albedo, nothing), BOUNCE * albedo**2, atol=0, rtol=0.01)
    half = sky.matt(even, normals, albedo, torch.full((len(normals), 256), 0.5))
    torch.testing.assert_close(half, 0.5 * albedo + 0.5 * BOUNCE * albedo**2, atol=0, rtol=0.01)


@torch.no_grad()
def test_an_even_sky_is_mirrored_by_schlick_s_share():
    sky = Sky(512)
    normals = torch.tensor([[0.0, 0, -1], [0, math.sqrt(0.75), -0.5]])
    rays = torch.tensor([[0.0, 0, 1], [0, 0, 1]])
    # the whole sky within the gloss's brightest directions: equal ones, so any
    shown = sky.gloss(torch.ones(512, 3), normals, rays, None)
    assert shown.max() <= REFLECTANCE + RIM
    bright = torch.zeros(512, 3)
    mirrored = rays - 2 * (rays * normals).sum(1, keepdim=True) * normals
    near = (sky.directions @ mirrored[1]).topk(40).indices
    bright[near] = 1.0
    shown = sky.gloss(bright, normals, rays, None)
    share = REFLECTANCE + RIM * 0.5**5
    # a lobe of sharpness κ has 1 − e^(κ (cos θ − 1)) of its weight within an angle θ
    cosine = 1 - 2 * 40 / 512
    wanted = share * (1 - math.exp(float(sky.sharpness) * (cosine - 1)))
    assert shown[1, 0] == pytest.approx(wanted, rel=0.05)
    hidden = torch.ones(2, 512)
    hidden[:, near] = 0
    assert sky.gloss(bright, normals, rays, hidden).abs().max() == 0


def test_gradients_reach_all_but_what_shape_must_not_follow():
    sky = Sky(12).double()
    normals = some_normals(5).double().requires_grad_()
    albedo = torch.rand(5, 3, dtype=torch.float64).requires_grad_()
    radiance = torch.rand(12, 3, dtype=torch.float64).requires_grad_()
    seen = torch.rand(5, 12, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(sky.matt, (radiance, normals, albedo, seen))
    rays = -normals.detach() + 0.1
    gloss = lambda light, shown: sky.gloss(light, normals, normalize(rays, dim=1), shown)  # noqa: E731
    assert torch.autograd.gradcheck(gloss, (radiance, seen))
    sky.gloss(radiance, normals, normalize(rays, dim=1), seen).sum().backward()
    assert normals.grad is None and sky.log_rim.grad is not None and sky.log_sharpness.grad is not None


@torch.no_grad()
def test_some_directions_add_up_to_the_whole_sky():
    sky, normals = Sky(64), some_normals(9)
    albedo, radiance = torch.full((9, 3), 0.4), torch.rand(64, 3)
    seen = (torch.rand(9, 64) > 0.5).float()
    parts = [
        sky.matt(radiance[part], normals, albedo, seen[:, part], sky.directions[part])
        for part in (slice(0, 20), slice(20, 64))
    ]
    torch.testing.assert_close(sum(parts), sky.matt(radiance, normals, albedo, seen))


@torch.no_grad()
def test_radiance_along_its_own_directions_and_of_an_even_sky():
    sky = Sky(128)
    directions = some_normals(50)
    torch.testing.assert_close(radiance_along(torch.ones(128, 3), sky.directions, directions), torch.ones(50, 3))
    one = torch.zeros(128, 3)
    one[17] = 1.0
    along = radiance_along(one, sky.directions, sky.directions)[:, 0]
    assert along.argmax() == 17 and along[17] > 0.6 and along[(sky.directions @ sky.directions[17]) < 0.7].max() < 1e-3


@torch.no_grad()
def test_sharper_gloss_is_smoother_skin():
    sky = Sky(256)
    rough = sky.roughness
    sky.log_sharpness += 1
    assert 0.3 < sky.roughness < rough < 0.6
    sky.log_sharpness += 10
    assert float(sky.sharpness) == 64  # what the directions' spacing resolves
