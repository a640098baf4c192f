"""Spherical harmonics and Gaussians against integrals over the sphere."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from engine.lighting.environment import equirect_grid, irradiance
from engine.lighting.spherical_gaussians import SphericalGaussians, evaluate, integral, product_integral
from engine.lighting.spherical_harmonics import (
    project_radiance,
    radiance_from_irradiance,
    sh_basis,
    sh_irradiance,
    sh_radiance,
)


@pytest.fixture
def grid() -> tuple[torch.Tensor, torch.Tensor]:
    directions, solid_angles = equirect_grid(128, torch.zeros(1, dtype=torch.float64))
    return directions.reshape(-1, 3), solid_angles.reshape(-1)


def test_basis_is_orthonormal(grid):
    directions, solid_angles = grid
    basis = sh_basis(directions)
    assert (basis.T @ (basis * solid_angles[:, None]) - torch.eye(9)).abs().max() < 1e-3


def test_constant_and_linear_light(grid):
    directions, solid_angles = grid
    normals = directions[::997]
    constant = project_radiance(torch.ones(len(directions), 1).double(), directions, solid_angles)
    assert torch.allclose(sh_irradiance(constant, normals), torch.tensor(math.pi).double(), rtol=1e-3)
    # radiance 1 + z: the cosine lobe weighs the linear part with 2 pi / 3
    sloped = project_radiance(1 + directions[:, 2:3], directions, solid_angles)
    expected = math.pi + 2 * math.pi / 3 * normals[:, 2:3]
    assert torch.allclose(sh_irradiance(sloped, normals), expected, rtol=2e-3, atol=1e-3)


def test_quadratic_light_equals_the_summed_irradiance(grid):
    directions, solid_angles = grid
    x, y, z = directions.unbind(-1)
    radiance = torch.stack([1 + 0.5 * x * y, 1 + 0.4 * (x**2 - y**2), 1 + 0.3 * y * z + 0.2 * z**2], -1)
    coefficients = project_radiance(radiance, directions, solid_angles)
    normals = directions[::1499]
    assert torch.allclose(sh_radiance(coefficients, normals), radiance[::1499], atol=2e-3)
    summed = irradiance(radiance.reshape(128, 256, 3), normals)
    assert torch.allclose(sh_irradiance(coefficients, normals), summed, rtol=3e-3)
    again = radiance_from_irradiance(
        project_radiance(sh_irradiance(coefficients, directions), directions, solid_angles)
    )
    assert torch.allclose(again, coefficients, atol=5e-3)


def test_gaussian_peak_and_integral(grid):
    directions, solid_angles = grid
    lobes = SphericalGaussians(
        torch.tensor([[0.0, 3, 4], [1, 0, 0]]).double(),
        torch.tensor([12.0, 2.0]).double(),
        torch.tensor([[2.0], [0.5]]).double(),
    )
    single = SphericalGaussians(*(part[:1] for part in lobes))
    assert float(evaluate(single, torch.tensor([0.0, 0.6, 0.8]).double())) == pytest.approx(2.0)
    summed = (evaluate(lobes, directions) * solid_angles[:, None]).sum(0)
    assert torch.allclose(summed, integral(lobes).sum(0), rtol=1e-3)


@pytest.mark.parametrize("sharpness", [1.0, 20.0, 400.0])
def test_product_of_gaussians(grid, sharpness):
    directions, solid_angles = grid
    lobes = SphericalGaussians(
        torch.tensor([[0.2, 0.3, 0.9], [-1, 0.2, 0]]).double(),
        torch.tensor([15.0, 4.0]).double(),
        torch.rand(2, 3).double(),
    )
    axis = normalize(torch.tensor([0.1, 0.5, 0.8]).double(), dim=0)
    other = torch.exp(sharpness * (directions @ axis - 1))
    summed = (evaluate(lobes, directions) * (other * solid_angles)[:, None]).sum(0)
    assert torch.allclose(product_integral(lobes, axis, torch.tensor(sharpness).double()), summed, rtol=5e-3)


def test_gaussian_gradients():
    axes = torch.tensor([[0.2, 0.3, 0.9], [-1, 0.2, 0.1]], dtype=torch.float64, requires_grad=True)
    sharpness = torch.tensor([15.0, 4.0], dtype=torch.float64, requires_grad=True)
    amplitudes = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    points = normalize(torch.rand(4, 3, dtype=torch.float64), dim=1)
    assert torch.autograd.gradcheck(
        lambda *parts: evaluate(SphericalGaussians(*parts), points), (axes, sharpness, amplitudes)
    )
