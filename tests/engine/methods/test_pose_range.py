"""Poses beyond those that were seen."""

from __future__ import annotations

import torch

from engine.methods.pose_range import MARGIN_RAD, clamp_pose, joints_outside, pose_range

POSES = torch.tensor([-0.2, 0.6, 0.0], dtype=torch.float64)[:, None].repeat(1, 45)
SEEN = pose_range(POSES)


def test_the_range_of_poses():
    torch.testing.assert_close(SEEN.low, POSES[0])
    torch.testing.assert_close(SEEN.high, POSES[1])
    torch.testing.assert_close(SEEN.mean, torch.full((45,), 0.4 / 3, dtype=torch.float64))
    assert (pose_range(POSES[:1]).deviation == 0).all()


def test_inside_nothing_changes_and_far_outside_it_saturates():
    inside = torch.linspace(-0.2, 0.6, 45).double()
    torch.testing.assert_close(clamp_pose(inside, SEEN), inside)
    far = torch.full((2, 45), 9.0, dtype=torch.float64)
    torch.testing.assert_close(clamp_pose(far, SEEN), torch.full_like(far, 0.6 + MARGIN_RAD))
    torch.testing.assert_close(clamp_pose(-far, SEEN), torch.full_like(far, -0.2 - MARGIN_RAD))


def test_the_slope_is_one_where_it_begins_to_hold_and_falls_to_nothing():
    angles = torch.tensor([0.6 - 1e-6, 0.6 + 1e-6, 0.6 + MARGIN_RAD, 5.0], dtype=torch.float64)
    values = torch.zeros(4, 45).double()
    values[:, 0] = angles
    values.requires_grad_()
    clamp_pose(values, SEEN)[:, 0].sum().backward()
    slopes = values.grad[:, 0]
    torch.testing.assert_close(slopes[:2], torch.ones(2).double(), atol=1e-6, rtol=0)
    assert 0.3 < float(slopes[2]) < 0.5 and float(slopes[3]) < 1e-6


def test_it_grows_with_the_angle():
    values = torch.linspace(-3, 3, 200).double()[:, None].expand(-1, 45)
    assert (clamp_pose(values, SEEN).diff(dim=0) >= 0).all()


def test_joints_outside_are_named():
    pose = torch.zeros(45).double()
    assert joints_outside(pose, SEEN) == ()
    pose[3] = 0.6 + 0.5 * MARGIN_RAD
    assert joints_outside(pose, SEEN) == ()
    pose[3], pose[44] = 1.5, -1.0
    assert joints_outside(pose, SEEN) == ("index2", "thumb3")
