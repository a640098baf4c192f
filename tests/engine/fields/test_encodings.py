"""Harmonics, density, codes and schedules against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from engine.fields.bands import BandSchedule, all_bands, bands_at
from engine.fields.codes import SubjectCodes, fit_pca
from engine.fields.config import OFFICIAL, OPEN
from engine.fields.density import LaplaceDensity, laplace_density
from engine.fields.direction_encoding import reflect, spherical_harmonics
from engine.fields.pose_encoder import shortest_axis_angle
from engine.hand.rotations import axis_angle_to_matrix, matrix_to_axis_angle


def sphere_quadrature(count: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions and weights that integrate polynomials of high degree over the sphere exactly (Gauss in z, even in angle)."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(count)
    z, azimuth = torch.as_tensor(nodes), 2 * math.pi * torch.arange(2 * count, dtype=torch.float64) / (2 * count)
    radius = (1 - z**2).sqrt()[:, None]
    directions = torch.stack([radius * azimuth.cos(), radius * azimuth.sin(), z[:, None].expand(-1, 2 * count)], -1)
    return directions.reshape(-1, 3), (torch.as_tensor(weights) * math.pi / count).repeat_interleave(2 * count)


def test_harmonics_are_orthonormal():
    directions, weights = sphere_quadrature()
    values = spherical_harmonics(directions)
    assert torch.allclose((values * weights[:, None]).T @ values, torch.eye(16, dtype=torch.float64), atol=1e-12)


def test_harmonics_along_the_axes():
    values = spherical_harmonics(torch.eye(3, dtype=torch.float64))
    assert torch.allclose(values[:, 1:4].abs().diagonal(), torch.zeros(3, dtype=torch.float64))
    x, y, z = values
    assert y[1] == pytest.approx(-0.48860251)
    assert z[2] == pytest.approx(0.48860251)
    assert x[3] == pytest.approx(-0.48860251)
    assert z[6] == pytest.approx(0.94617470 - 0.31539157)
    assert z[12] == pytest.approx(2 * 0.37317633)
    assert x[15] == pytest.approx(-0.59004359)
    assert y[9] == pytest.approx(0.59004359)


def test_harmonics_of_a_degree_are_odd_or_even():
    directions = normalize(torch.randn(20, 3, dtype=torch.float64), dim=1)
    sign = torch.tensor([1.0] + [-1.0] * 3 + [1.0] * 5 + [-1.0] * 7, dtype=torch.float64)
    assert torch.allclose(spherical_harmonics(-directions), sign * spherical_harmonics(directions))


def test_reflection():
    directions, normals = (normalize(torch.randn(50, 3, dtype=torch.float64), dim=1) for _ in range(2))
    mirrored = reflect(directions, normals)
    assert torch.allclose(mirrored.norm(dim=1), torch.ones(50, dtype=torch.float64))
    assert torch.allclose((mirrored * normals).sum(1), -(directions * normals).sum(1))
    assert torch.allclose(reflect(mirrored, normals), directions)


def test_direction_gradients():
    directions = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    normals = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d, n: spherical_harmonics(reflect(d, n)), (directions, normals))


def test_density_of_a_half_space():
    width = torch.tensor(0.002, dtype=torch.float64)
    sdf = torch.tensor([-1.0, -0.002, 0.0, 0.002, 1.0], dtype=torch.float64)
    expected = [1.0, 1 - 0.5 * math.exp(-1), 0.5, 0.5 * math.exp(-1), 0.0]
    assert torch.allclose(laplace_density(sdf, width) * width, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_light_through_the_outer_shell():
    """Down to the surface, straight on: the optical depth is ∫ ½ e^(−s/β)/β ds = ½."""
    width = torch.tensor(0.003, dtype=torch.float64)
    edges = torch.linspace(0, 0.2, 200001, dtype=torch.float64)
    depth = torch.trapezoid(laplace_density(edges, width), edges)
    assert float(depth) == pytest.approx(0.5, rel=1e-3)


def test_density_module_and_gradients(device):
    density = LaplaceDensity(0.01).to(device)
    assert density.width.item() == pytest.approx(0.0101)
    with torch.no_grad():
        density.beta.fill_(-0.02)
    assert density.width.item() == pytest.approx(0.0201)
    assert density(torch.zeros(4, 5, device=device)).shape == (4, 5)
    sdf = torch.tensor([-0.01, 0.004, 0.02], dtype=torch.float64, requires_grad=True)
    width = torch.tensor(0.01, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(laplace_density, (sdf, width))


def test_shortest_rotations_are_those_of_the_matrices():
    axis_angle = 4 * torch.randn(300, 3, dtype=torch.float64)
    axis_angle[0] = 0
    through_matrices = matrix_to_axis_angle(axis_angle_to_matrix(axis_angle))
    assert torch.allclose(shortest_axis_angle(axis_angle), through_matrices, atol=1e-8)
    leaf = (0.3 * torch.randn(4, 3, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(shortest_axis_angle, (leaf,))


def test_principal_axes_of_a_known_cloud():
    axes = torch.linalg.qr(torch.randn(32, 32, dtype=torch.float64))[0][:2]
    scores = torch.randn(40, 2, dtype=torch.float64) * torch.tensor([3.0, 1.0], dtype=torch.float64)
    scores = scores - scores.mean(0)
    codes = 5 + scores @ axes
    basis, share = fit_pca(codes, 2)
    assert torch.allclose(basis.mean, torch.full((32,), 5.0, dtype=torch.float64))
    assert torch.allclose(basis.components @ basis.components.T, torch.eye(2, dtype=torch.float64), atol=1e-10)
    assert float(share.sum()) == pytest.approx(1.0)
    rebuilt = basis.mean + (codes - basis.mean) @ basis.components.T @ basis.components
    assert torch.allclose(rebuilt, codes, atol=1e-9)
    assert (basis.components.gather(1, basis.components.abs().argmax(1, keepdim=True)) > 0).all()


def test_few_codes_have_few_axes():
    basis, share = fit_pca(torch.randn(3, 32), 5)
    assert basis.components.shape == (2, 32)
    assert share.shape == (2,)
    equal, none = fit_pca(torch.ones(4, 32), 5)
    assert torch.isfinite(equal.components).all()
    assert (none == 0).all()
    with pytest.raises(ValueError, match="two subjects"):
        fit_pca(torch.randn(1, 32))


def test_subject_codes_start_alike():
    codes = SubjectCodes(7, 32)
    assert codes(torch.tensor([0, 6, 6])).shape == (3, 32)
    assert 0 < codes.codes.abs().max() < 1e-6


@pytest.mark.parametrize(
    ("step", "levels"), [(0, 4), (3000, 4), (3499, 4), (3500, 5), (10000, 18), (17000, 32), (10**6, 32)]
)
def test_published_level_schedule(step, levels):
    bands = bands_at(step, OFFICIAL)
    assert int(bands.radiance_levels.sum()) == levels
    assert (bands.radiance_levels[:levels] == 1).all()
    assert (bands.geometry_levels == 1).all()
    assert int(bands_at(step, OFFICIAL, geometry_open=False).geometry_levels.sum()) == levels


@pytest.mark.parametrize(
    ("step", "weights"),
    [(0, (0, 0, 0, 0)), (3000, (0, 0, 0, 0)), (4875, (0.5, 0, 0, 0)), (6750, (1, 0, 0, 0)), (10500, (1, 1, 0, 0)),
     (12375, (1, 1, 0.5, 0)), (14250, (1, 1, 1, 0)), (18000, (1, 1, 1, 1)), (25000, (1, 1, 1, 1))],
)  # fmt: skip
def test_published_harmonics_schedule(step, weights):
    sh = bands_at(step, OFFICIAL).sh
    starts = [0, 1, 4, 9, 16]
    for degree, weight in enumerate(weights):
        assert torch.allclose(sh[starts[degree] : starts[degree + 1]], torch.tensor(float(weight)), atol=1e-6)


def test_other_schedules_and_all_bands(device):
    quick = BandSchedule(first_levels=2, start=10, level_every=5, sh_steps=40)
    assert int(bands_at(21, OPEN, schedule=quick).radiance_levels.sum()) == 4
    assert bands_at(50, OPEN, schedule=quick).sh.min() == 1
    everything = all_bands(OPEN, device)
    assert everything.radiance_levels.shape == (OPEN.radiance_grid.levels,)
    assert all(bool((band == 1).all()) for band in everything)
    assert everything.sh.device.type == device.type
    with pytest.raises(ValueError, match="step"):
        bands_at(-1, OPEN)
