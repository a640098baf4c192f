"""Where the view's camera stands, and which poses it shows where none are given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .pose_pictures import orbit
from .view_hand import FLESH_M, HandPose, ViewHand, bones
from .view_sliders import SPREAD_SHARES, Sliders, slider_pose
from .xhand_model import Camera

DISTANCE_M = 0.6
MARGIN = 0.04
"""Of the picture, about the hand."""


class Standpoint(NamedTuple):
    """From where a hand is looked at."""

    facing: Tensor
    """[3,3] world to camera of the camera to begin with."""
    azimuth: float = 0.0
    """Radians by which it goes around the hand to its right."""
    elevation: float = 0.0
    """Radians by which it rises."""
    zoom: float = 1.0
    """Above 1 the hand is larger."""

    @property
    def up(self) -> Tensor:
        """[3] the vertical about which it goes around, world."""
        return self.facing[1]


def camera_at(standpoint: Standpoint, centre: Tensor, spread: float, size: tuple[int, int]) -> Camera:
    """A camera that looks at a centre [3] and shows, to half its shorter side, angles of tangent `spread`.

    size: (width, height) px.
    """
    width, height = size
    turn = orbit(standpoint.azimuth, standpoint.elevation).to(centre) @ standpoint.facing.to(centre)
    matrix = torch.eye(4).to(centre)
    matrix[:3, :3] = turn
    matrix[:3, 3] = -turn @ centre
    matrix[2, 3] += DISTANCE_M
    focal = standpoint.zoom * (0.5 - MARGIN) * min(width, height) / spread
    return Camera(_pinhole(focal, width, height), matrix.cpu(), height, width)


def camera_for(
    standpoint: Standpoint, hand: ViewHand, poses: Sequence[HandPose], size: tuple[int, int], most: int = 200
) -> Camera:
    """A steady camera that holds the hand in all poses (at most so many are looked at), as large as it can be."""
    chosen = poses[:: max(1, len(poses) // most)]
    points = torch.cat([bones(hand.joints, pose) for pose in chosen]).cpu()
    centre = (points.amin(0) + points.amax(0)) / 2
    camera = camera_at(standpoint, centre, 1.0, size)
    matrix, (width, height) = camera.world_to_camera, size
    seen = points @ matrix[:3, :3].T + matrix[:3, 3]
    reach = ((seen[:, :2].abs() + FLESH_M) / seen[:, 2:].clamp_min(0.05)).amax(0)
    focal = standpoint.zoom * (0.5 - MARGIN) * min(width / float(reach[0]), height / float(reach[1]))
    return camera._replace(intrinsics=_pinhole(focal, width, height))


def _pinhole(focal: float, width: int, height: int) -> Tensor:
    return torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def open_and_close(hand: ViewHand, global_orient: Tensor, transl: Tensor, count: int) -> list[HandPose]:
    """The fingers bending one after the other and stretching again, `count` poses."""
    poses = []
    for number in range(count):
        phase = 2 * math.pi * number / max(count, 1)
        curls = {name: 0.4 - 0.4 * math.cos(phase - 0.3 * k) for k, name in enumerate(SPREAD_SHARES)}
        sliders = Sliders(thumb=0.2 - 0.2 * math.cos(phase), spread=0.5 * math.cos(phase), **curls)
        hand_pose = slider_pose(sliders, hand.joint_axes, hand.joint_limits)
        poses.append(HandPose(global_orient, hand_pose.to(global_orient), transl))
    return poses
