"""The light of spherical Gaussians: its start, its axes, its way to images and back."""

from __future__ import annotations

import math

import pytest
import torch

from engine.errors import InputError
from engine.lighting import image_light
from engine.lighting.environment import blender_world, equirect_grid, irradiance
from engine.lighting.sg_light import (
    fibonacci_sg_light,
    fit_sg_light,
    sg_from_image,
    sg_irradiance,
    sg_light_lobes,
    sg_radiance,
    sg_to_image,
    shrunk_environment,
)


@pytest.mark.parametrize("seed", [None, 0])
def test_fresh_light(seed):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    params = fibonacci_sg_light(generator=generator)
    assert params.shape == (64, 7)
    assert torch.allclose(params[:32, :3], params[32:, :3])
    assert (params[:, 3] >= 10).all()
    assert torch.allclose(params[:, 4], params[:, 6])
    assert torch.allclose(sg_irradiance(params), torch.tensor(1.6 * math.pi))
    directions, solid_angles = equirect_grid(64, params)
    total = (sg_radiance(params, directions) * solid_angles[..., None]).sum((0, 1))
    assert torch.allclose(total, torch.tensor(1.6 * math.pi), rtol=5e-3)
    with pytest.raises(InputError, match="even number"):
        fibonacci_sg_light(7)


def test_signs_and_lengths_of_the_parameters_do_not_matter():
    params = fibonacci_sg_light(generator=torch.Generator().manual_seed(1))
    changed = params * torch.tensor([3.0, 3, 3, -1, -1, -1, -1])
    directions = torch.nn.functional.normalize(torch.randn(9, 3), dim=1)
    assert torch.allclose(sg_radiance(params, directions), sg_radiance(changed, directions), atol=1e-6)
    assert torch.allclose(sg_light_lobes(changed).axes.norm(dim=1), torch.ones(64))


def test_gradients():
    params = fibonacci_sg_light(4, torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    directions = torch.nn.functional.normalize(torch.randn(3, 3).double(), dim=1)
    assert torch.autograd.gradcheck(lambda p: sg_radiance(p, directions), params)


def test_image_shows_the_lobes_where_the_world_has_them():
    """Looked up along the same world direction, the image and the lobes agree: both sides of the axis conversion."""
    params = fibonacci_sg_light(generator=torch.Generator().manual_seed(2))
    params[0] = torch.tensor([0.3, -0.8, 0.5, 40, 9, 1, 0])
    image = sg_to_image(sg_light_lobes(params), 128)
    assert image.shape == (128, 256, 3)
    directions = torch.nn.functional.normalize(torch.randn(300, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    seen = image_light.radiance(image_light.image_light(image), blender_world(directions))
    assert (seen - sg_radiance(params, directions)).abs().max() < 0.03
    # "up" in OpenCV's axes is −y, the top row of the picture
    params[0] = torch.tensor([0.0, -1, 0, 40, 9, 9, 9])
    assert sg_to_image(sg_light_lobes(params), 32).mean((1, 2)).argmax() == 0


def test_environment_to_lobes_keeps_its_light():
    image = torch.full((64, 128, 3), 0.3)
    image[12:18, 100:108] = torch.tensor([40.0, 35, 30])
    image[24:32, 20:32] = torch.tensor([2.0, 5, 9])
    fit = fit_sg_light(image, steps=120)
    assert fit.params.shape == (64, 7)
    assert fit.irradiance_error < 0.02
    normals = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    received = irradiance(sg_to_image(sg_light_lobes(fit.params), 64), normals)
    expected = irradiance(image, normals)
    assert (((received - expected) ** 2).mean() ** 0.5 / expected.mean()) < 0.03


def test_lobes_to_image_and_back():
    params = fibonacci_sg_light(generator=torch.Generator().manual_seed(1))
    fit = fit_sg_light(sg_to_image(sg_light_lobes(params), 32), steps=120)
    assert fit.irradiance_error < 0.01
    assert fit.radiance_error < 0.2
    assert not fit.params.requires_grad


def test_lights_are_fitted_where_gradients_are_off():
    with torch.no_grad():
        assert fit_sg_light(torch.rand(8, 16, 3), 4, steps=2).params.shape == (4, 7)


def test_black_and_misshapen_environments():
    assert float(sg_radiance(sg_from_image(torch.zeros(8, 16, 3)), torch.eye(3)).abs().max()) == 0
    with pytest.raises(InputError, match="environment"):
        sg_from_image(torch.ones(8, 8, 3))


def test_shrinking_keeps_the_energy():
    image = torch.rand(48, 96, 3, dtype=torch.float64)
    small = shrunk_environment(image, 20)
    assert small.shape == (20, 40, 3)
    _, fine = equirect_grid(48, image)
    _, coarse = equirect_grid(20, image)
    totals = [(i * s[..., None]).sum((0, 1)) for i, s in ((image, fine), (small, coarse))]
    assert torch.allclose(*totals, rtol=2e-3)
