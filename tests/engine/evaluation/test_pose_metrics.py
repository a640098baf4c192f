"""Errors of points in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from engine.evaluation.pose_metrics import aligned_error_mm, mean_point_error_mm, procrustes, recall
from engine.hand.rotations import axis_angle_to_matrix


@pytest.fixture
def points():
    return 0.05 * torch.randn(4, 21, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def turn():
    return axis_angle_to_matrix(torch.tensor([0.7, -1.9, 0.4], dtype=torch.float64))


def test_a_shift_is_its_length_and_nothing_from_the_root(points):
    moved = points + torch.tensor([0.003, 0.0, 0.004])
    torch.testing.assert_close(mean_point_error_mm(moved, points), torch.full((4,), 5.0).double())
    assert float(mean_point_error_mm(moved, points, root=0).max()) < 1e-9


def test_a_known_turn_shift_and_scale_leave_no_aligned_error(points, turn):
    moved = 1.3 * points @ turn.T + torch.tensor([0.1, -0.2, 0.7])
    assert float(aligned_error_mm(moved, points).max()) < 1e-9
    assert float(mean_point_error_mm(moved, points).min()) > 100
    # without scale what is left is the size: 0.3 of each point's distance from the mean
    left = 300 * (points - points.mean(1, keepdim=True)).norm(dim=-1).mean(-1)
    torch.testing.assert_close(aligned_error_mm(moved, points, scale=False), left)


def test_alignment_is_the_best_there_is(points, turn):
    """No small turn, shift or scale of the aligned set comes nearer in squares."""
    noise = 0.004 * torch.randn(points.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    aligned = procrustes((points + noise) @ turn.T, points)
    least = (aligned - points).square().sum((1, 2))
    for axis in range(3):
        small = torch.zeros(3, dtype=torch.float64)
        small[axis] = 1e-3
        for other in (aligned @ axis_angle_to_matrix(small).T, aligned + small, aligned * (1 + 1e-3)):
            assert bool(((other - points).square().sum((1, 2)) >= least).all())


def test_mirrored_hands_are_not_alike(points):
    mirrored = points * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert float(aligned_error_mm(mirrored, points).min()) > 5


def test_flat_and_collapsed_sets(turn):
    square = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=torch.float64)
    assert float(aligned_error_mm(square @ turn.T, square)) < 1e-9
    one = torch.zeros(4, 3, dtype=torch.float64)
    assert float(aligned_error_mm(one, square)) == pytest.approx(1000 * math.sqrt(0.5))


def test_recall_counts_what_is_known():
    errors = torch.tensor([1.0, 9.0, 10.0, 11.0, math.nan])
    assert recall(errors, 10) == 0.75
    with pytest.raises(ValueError, match="no errors"):
        recall(errors[4:], 10)


@pytest.mark.parametrize("shapes", [((21, 3), (20, 3)), ((21, 2), (21, 2)), ((3,), (3,)), ((0, 3), (0, 3))])
def test_points_that_do_not_pair_are_refused(shapes):
    with pytest.raises(ValueError, match="points"):
        mean_point_error_mm(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
