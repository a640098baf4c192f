"""Normals and mirrored views: harmonics by monomials are the harmonics, and gradients are those of finite differences."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from engine.fields.direction_encoding import reflect, spherical_harmonics
from engine.methods.palm_mirror import MONOMIALS, harmonics_of_monomials, mirror_monomials, unit_columns


def directions(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=1).T.contiguous()


def test_harmonics_are_sums_of_monomials():
    normals, views = directions(20, 0), directions(20, 1)
    monomials = mirror_monomials(normals, views)
    assert monomials.shape == (MONOMIALS, 20)
    expected = spherical_harmonics(reflect(views.T, normals.T)).T
    torch.testing.assert_close(harmonics_of_monomials(normals) @ monomials, expected, atol=1e-13, rtol=0)


def test_gradients_reach_normals():
    normals, views = directions(5, 2).requires_grad_(), directions(5, 3)
    assert torch.autograd.gradcheck(lambda n: mirror_monomials(n, views), normals)
    assert torch.autograd.gradcheck(unit_columns, (3 * directions(5, 4)).requires_grad_())


def test_unit_columns_of_nothing_are_nothing():
    vectors = torch.zeros(3, 2, requires_grad=True)
    found = unit_columns(vectors)
    found.sum().backward()
    assert not bool(found.any())
    assert bool(torch.isfinite(vectors.grad).all())
