"""Distances between surfaces in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from engine.errors import HandModelError
from engine.evaluation.surface_metrics import (
    Cut,
    point_to_surface_mm,
    spread,
    surface_distances,
    surface_error,
    wrist_cut,
)

SQUARE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_distances_to_an_open_square_s_face_edge_and_corner():
    points = torch.tensor([[0.5, 0.2, 0.003], [0.3, 0.4, -0.002], [-0.01, 0.5, 0], [1.03, 1.04, 0.0]])
    expected = torch.tensor([3.0, 2.0, 10.0, 50.0])
    torch.testing.assert_close(point_to_surface_mm(points, SQUARE, FACES), expected, atol=1e-3, rtol=0)


def test_parallel_squares_are_their_distance_apart_both_ways():
    error = surface_error(SQUARE + torch.tensor([0, 0, 0.004]), FACES, SQUARE, FACES, samples=500)
    assert error.mean_mm == pytest.approx(4, abs=1e-3)
    assert error.largest_mm == pytest.approx(4, abs=1e-3)


def test_what_is_missing_counts_on_the_way_back():
    """Half the square: nothing is off it, but the other half's points are 0 to 1 from it, along x: a mean of an eighth."""
    half = SQUARE * torch.tensor([0.5, 1, 1])
    error = surface_error(half, FACES, SQUARE, FACES, samples=20000)
    assert error.there_mm == pytest.approx(0, abs=1e-3)
    assert error.back_mm == pytest.approx(125, rel=0.03)
    assert error.largest_mm == pytest.approx(500, rel=0.01)
    assert error.mean_mm == pytest.approx(error.back_mm / 2, abs=1e-3)


def test_no_surface_is_refused():
    with pytest.raises(HandModelError):
        point_to_surface_mm(SQUARE, SQUARE * math.nan, FACES)


def test_what_lies_behind_the_cut_is_not_compared():
    """A plane tilted about x = 0.5 by 2 mm a metre: beyond the cut at 0.75 its distances run from 0.5 to 1 mm."""
    tilted = SQUARE + torch.stack([torch.zeros(4), torch.zeros(4), 0.002 * (SQUARE[:, 0] - 0.5)], dim=1)
    cut = Cut(torch.tensor([0.75, 0, 0]), torch.tensor([1.0, 0, 0]))
    for distances in surface_distances(tilted, FACES, SQUARE, FACES, cut, samples=20000):
        assert 4600 < len(distances) < 5400
        found = spread(distances)
        assert found.mean_mm == pytest.approx(0.75, abs=0.01)
        assert found.p95_mm == pytest.approx(0.975, abs=0.01)


def test_wrist_s_cut_is_parallel_to_its_lid():
    """A tube along x whose lid is tilted: the cut lies one centimetre in along the lid's normal."""
    angle = torch.linspace(0, 2 * math.pi, 9)[:-1]
    ring = torch.stack([torch.zeros(8), 0.02 * angle.cos(), 0.02 * angle.sin()], dim=1)
    lid = ring + torch.stack([0.5 * ring[:, 1], torch.zeros(8), torch.zeros(8)], dim=1)
    cut = wrist_cut(torch.cat([lid, ring + torch.tensor([0.1, 0, 0])]), torch.arange(8))
    expected = torch.tensor([1, -0.5, 0]) / math.sqrt(1.25)
    torch.testing.assert_close(cut.normal, expected)
    torch.testing.assert_close(cut.point, 0.01 * expected)
    assert cut.keeps(torch.tensor([[0.05, 0.0, 0.0], [0.005, 0, 0]])).tolist() == [True, False]
    with pytest.raises(ValueError, match="lid"):
        wrist_cut(ring, torch.arange(2))


def test_no_distances_have_no_spread():
    with pytest.raises(ValueError, match="nothing"):
        spread(torch.zeros(0))
