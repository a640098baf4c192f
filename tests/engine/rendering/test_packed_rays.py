"""Packed rays: compositing against closed forms, the lattice in occupied cells, refinement without a loop over rays."""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch.autograd import gradcheck

from engine.rendering.compositing import accumulate, ray_starts, rendering_weights, transmittance
from engine.rendering.occupancy import Occupancy, occupancy_grid
from engine.rendering.ray_sampling import (
    RayIntervals,
    interval_edges,
    lattice_intervals,
    quantile_samples,
    split_intervals,
    values_after_split,
    worth_shading,
)

RAY = [0, 0, 0, 2, 2, 3]
"""Four rays; the second is empty."""


@pytest.fixture
def ray(device):
    return torch.tensor(RAY, device=device)


def test_transmittance_is_the_exponential_of_what_lies_before(ray, device):
    depth = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.25, 7.0], device=device)
    before = torch.tensor([0.0, 0.5, 1.5, 0.0, 3.0, 0.0], device=device)
    assert torch.allclose(transmittance(depth, ray), torch.exp(-before))
    weights = rendering_weights(depth, ray)
    assert torch.allclose(weights, torch.exp(-before) * (1 - torch.exp(-depth)))
    opacity = accumulate(weights, None, ray, 4)
    total = torch.tensor([3.5, 0.0, 3.25, 7.0], device=device)
    assert torch.allclose(opacity, 1 - torch.exp(-total))


def test_a_slab_cut_into_many_pieces_stays_the_slab(device):
    ray = torch.arange(1000, device=device).repeat_interleave(500)
    weights = rendering_weights(torch.full((500_000,), 40.0 * 0.02 / 500, device=device), ray)
    opacity = accumulate(weights, None, ray, 1000)
    # the last rays as exactly as the first, though all share one running sum
    assert torch.allclose(opacity, torch.full_like(opacity, 1 - math.exp(-0.8)), atol=1e-6)


def test_opaque_pieces_before_do_not_blur_later_rays(device):
    ray = torch.tensor([0, 0, 1, 1], device=device)
    depth = torch.tensor([1e9, 1e9, 0.25, 0.5], device=device)
    expected = torch.tensor([1.0, 0, 1 - math.exp(-0.25), math.exp(-0.25) * (1 - math.exp(-0.5))], device=device)
    assert torch.allclose(rendering_weights(depth, ray), expected, atol=1e-6)


def test_compositing_has_its_gradient(ray, device):
    depth = torch.rand(6, device=device, dtype=torch.float64, requires_grad=True)
    values = torch.rand(6, 3, device=device, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda d, v: accumulate(rendering_weights(d, ray), v, ray, 4), (depth, values))


def test_nothing_composites_to_nothing(device):
    none = torch.zeros(0, dtype=torch.int64, device=device)
    weights = rendering_weights(torch.zeros(0, device=device), none)
    assert accumulate(weights, torch.zeros(0, 3, device=device), none, 3).tolist() == [[0.0] * 3] * 3
    assert ray_starts(none, 3).tolist() == [0, 0, 0, 0]


def test_cells_within_the_band_are_occupied_and_no_others(device):
    generator = torch.Generator().manual_seed(0)
    vertices = (torch.rand(2, 40, 3, generator=generator) * 0.1).to(device)
    grid = occupancy_grid(vertices, band_m=0.015, resolution=32)
    index = torch.arange(32, device=device)
    low = torch.stack(torch.meshgrid(index, index, index, indexing="ij"), -1).float()
    for hand in range(2):
        corner = grid.lowest[hand] + low * grid.cell_size[hand]
        nearest = torch.maximum(
            torch.minimum(vertices[hand, :, None, None, None], corner + grid.cell_size[hand]), corner
        )
        distance = (nearest - vertices[hand, :, None, None, None]).norm(dim=-1).amin(0)
        sure = (distance - 0.015).abs() > 1e-6
        assert torch.equal((grid.cells[hand] != 0)[sure], (distance < 0.015)[sure])
    points = vertices[1, :10] + 0.008
    assert grid.contains(points, torch.ones(10, dtype=torch.int64, device=device)).all()
    assert not grid.contains(points + 1.0, torch.ones(10, dtype=torch.int64, device=device)).any()


def test_the_lattice_keeps_intervals_whose_midpoint_is_occupied(device):
    cells = torch.zeros(2, 8, 8, 8, dtype=torch.uint8, device=device)
    cells[0, 2, 4, 4] = 1
    cells[0, 5:7, 4, 4] = 1
    cells[1] = 1
    grid = Occupancy(cells, torch.full((2, 3), -0.4, device=device), torch.full((2,), 0.1, device=device))
    origins = torch.tensor([[-1.0, 0.05, 0.05], [-1.0, 0.05, 0.05], [-1.0, 0.6, 0.05], [0.0, 0, 0]], device=device)
    directions = torch.tensor([[1.0, 0, 0]], device=device).repeat(4, 1)
    hand = torch.tensor([0, 1, 1, 1], device=device)
    found = lattice_intervals(origins, directions, hand, grid, 0.05)
    counts = torch.bincount(found.ray, minlength=4).tolist()
    # cells are two steps long; the last ray starts in the middle of its grid, the third passes beside
    assert counts == [6, 16, 0, 8]
    first = found.select(found.ray == 0)
    assert torch.allclose(first.start.cpu(), torch.tensor([0.8, 0.85, 1.1, 1.15, 1.2, 1.25]), atol=1e-5)
    assert torch.allclose(first.length, torch.full_like(first.length, 0.05), atol=1e-6)
    shifted = lattice_intervals(origins, directions, hand, grid, 0.05, torch.full((4,), 0.02, device=device))
    assert torch.allclose(shifted.select(shifted.ray == 3).start[:2].cpu(), torch.tensor([0.02, 0.07]), atol=1e-6)
    short = lattice_intervals(origins, directions, hand, grid, 0.05, max_distance_m=0.9)
    assert torch.bincount(short.ray, minlength=4).tolist()[0] == 2
    edges = interval_edges(first)
    assert len(edges.t) == 8
    assert torch.allclose(edges.t[edges.of_start], first.start) and torch.allclose(edges.t[edges.of_end], first.end)


def test_rays_that_are_no_numbers_end_at_once(device):
    """A ray that nothing bounds would be followed for a thousand kilometres."""
    grid = occupancy_grid(torch.zeros(1, 1, 3, device=device))
    origins = torch.tensor([[0.0, 0, -0.5], [0, 0, -0.5], [0, 0, -0.5], [0, 0, -0.5]], device=device)
    directions = torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]], device=device)
    origins[1], origins[2, 2], directions[3, 1] = torch.nan, torch.nan, torch.nan
    hand = torch.zeros(4, dtype=torch.int64, device=device)
    start = time.perf_counter()
    found = lattice_intervals(origins.repeat(50, 1), directions.repeat(50, 1), hand.repeat(50), grid, 0.004)
    assert time.perf_counter() - start < 10
    assert (torch.bincount(found.ray, minlength=200).reshape(50, 4) > 0).all(0).tolist() == [True, False, False, False]


def test_quantiles_fall_by_weight_and_the_rest_to_the_background(ray, device):
    weights = torch.tensor([0.25, 0.0, 0.5, 0.125, 0.375, 1.0], device=device)
    interval, place, which = quantile_samples(weights, ray, 4, 8)
    counts = torch.bincount(interval, minlength=6).tolist()
    assert counts == [2, 0, 4, 1, 3, 8]
    assert place[interval == 0].tolist() == pytest.approx([0.25, 0.75], abs=1e-6)
    assert which[interval == 4].tolist() == [17, 18, 19]
    generator = torch.Generator().manual_seed(0)
    offset = torch.rand(4, generator=generator).to(device)
    again, _, _ = quantile_samples(weights, ray, 4, 8, offset)
    assert torch.bincount(again, minlength=6).sub(torch.tensor(counts, device=device)).abs().max() <= 1


def test_systematic_samples_are_fair(device):
    """Over random offsets an interval of weight w gets w · count samples on average, however small w is."""
    ray = torch.arange(4000, device=device).repeat_interleave(3)
    weights = torch.tensor([0.03, 0.4, 0.2], device=device).repeat(4000)
    offset = torch.rand(4000, generator=torch.Generator().manual_seed(1)).to(device)
    interval, place, _ = quantile_samples(weights, ray, 4000, 4, offset)
    mean = torch.bincount(interval % 3, minlength=3).float() / 4000
    assert torch.allclose(mean.cpu(), torch.tensor([0.12, 1.6, 0.8]), atol=0.03)
    assert float(place.mean()) == pytest.approx(0.5, abs=0.01)


def test_split_intervals_stay_sorted_and_cover_the_same(ray, device):
    start = torch.tensor([0.0, 1, 4, 0, 1, 5], device=device)
    intervals = RayIntervals(ray, start, start + 1)
    interval = torch.tensor([0, 0, 2, 4, 5], device=device)
    t = torch.tensor([0.25, 0.5, 4.5, 1.1, 5.9], device=device)
    split = split_intervals(intervals, interval, t)
    pieces = split.intervals
    assert pieces.ray.tolist() == [0, 0, 0, 0, 0, 0, 2, 2, 2, 3, 3]
    assert pieces.start.tolist() == pytest.approx([0, 0.25, 0.5, 1, 4, 4.5, 0, 1, 1.1, 5, 5.9])
    assert pieces.end.tolist() == pytest.approx([0.25, 0.5, 1, 2, 4.5, 5, 1, 1.1, 2, 5.9, 6])
    values = lambda at: 2 * at + 1  # noqa: E731
    near, far = values_after_split(split, values(intervals.start), values(intervals.end), values(t))
    assert torch.allclose(near, values(pieces.start)) and torch.allclose(far, values(pieces.end))
    untouched = split_intervals(intervals, interval[:0], t[:0])
    assert torch.equal(untouched.intervals.start, start) and torch.equal(untouched.parent, torch.arange(6).to(device))


def test_faint_rays_keep_their_pieces(device):
    ray = torch.tensor([0, 0, 1, 1, 2], device=device)
    weights = torch.tensor([0.9, 1e-4, 0.02, 1e-4, 1e-8], device=device)
    assert worth_shading(weights, ray, 3, 1e-3).tolist() == [True, False, True, True, False]
    assert worth_shading(weights, ray, 3, 0.0).all()
