"""Directions: their strata, their densities, their frames."""

from __future__ import annotations

import math

import pytest
import torch

from engine.lighting.sphere_sampling import (
    about,
    fibonacci_sphere,
    hemisphere_directions,
    shifted_sequence,
    sphere_directions,
    strata,
    stratified_hemisphere,
    stratified_sphere,
)


@pytest.mark.parametrize("seed", [None, 0])
def test_one_direction_in_each_stratum(seed):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    directions = stratified_sphere(3, generator=generator, dtype=torch.float64)
    assert directions.shape == (3, 512, 3)
    assert torch.allclose(directions.norm(dim=-1), torch.ones(1).double())
    row = ((directions[..., 2] + 1) / 2 * 16).floor().clamp(0, 15)
    azimuth = torch.atan2(directions[..., 1], directions[..., 0]) % (2 * math.pi)
    column = (azimuth / (2 * math.pi) * 32).floor().clamp(0, 31)
    for ray in range(3):
        assert len(torch.unique(row[ray] * 32 + column[ray])) == 512
    if seed is not None:
        assert not torch.equal(row[0], row[1])


def test_same_seed_same_directions():
    first, second = (stratified_sphere(2, 4, 4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)


def test_moments_of_even_and_cosine_directions():
    u = strata(1, 64, 64, torch.Generator().manual_seed(0), dtype=torch.float64)[0]
    even, lobe = sphere_directions(u), hemisphere_directions(u)
    assert torch.allclose(even.T @ even / len(even), torch.eye(3).double() / 3, atol=2e-3)
    assert float(lobe[:, 2].mean()) == pytest.approx(2 / 3, abs=1e-3)
    assert float((lobe[:, 2] ** 2).mean()) == pytest.approx(1 / 2, abs=1e-3)


def test_frames_turn_and_keep_length():
    axes = torch.nn.functional.normalize(torch.randn(50, 3).double(), dim=1)
    axes = torch.cat([axes, torch.eye(3).double(), -torch.eye(3).double()])
    assert torch.allclose(about(axes, torch.tensor([0.0, 0, 1]).double().expand_as(axes)), axes)
    directions = stratified_hemisphere(axes, 8, 8)
    assert torch.allclose(directions.norm(dim=-1), torch.ones(1).double())
    cosine = (directions * axes[:, None]).sum(-1)
    assert (cosine > 0).all()
    assert torch.allclose(cosine.mean(1), torch.tensor(2 / 3).double(), atol=0.01)


def test_shifted_sequence_fills_the_square_in_parts():
    """The parts that several rays take together are the whole, and the whole is even."""
    shifts = torch.rand(2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = shifted_sequence(shifts, 64)
    parts = torch.cat([shifted_sequence(shifts, 16, 16 * part) for part in range(4)], dim=1)
    assert torch.allclose(whole, parts)
    counts = torch.histogramdd(whole[0], bins=[2, 2], range=[0.0, 1, 0, 1]).hist
    assert (counts - 16).abs().max() <= 2


def test_fibonacci_sphere():
    directions = fibonacci_sphere(64, torch.zeros(1, dtype=torch.float64))
    assert torch.allclose(directions.T @ directions / 64, torch.eye(3).double() / 3, atol=5e-3)
    nearest = (directions @ directions.T - 2 * torch.eye(64)).amax(1)
    assert nearest.max() < math.cos(0.6 * math.sqrt(4 * math.pi / 64))
