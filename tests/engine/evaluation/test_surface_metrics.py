"""Distances between surfaces in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from engine.errors import HandModelError
from engine.evaluation.surface_metrics import point_to_surface_mm, surface_error

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
