"""Where a hand stands in the world and how it is turned there. NumPy only.

World axes are OpenCV-like: x right, y down, z away from the camera that looks along them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...engine.hand.pose_files import matrix_to_axis_angle
from .hand_shape import HandShape, pose_hand, rotation_matrices
from .shots import HandPose

UPRIGHT = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Turns MANO's rest frame (fingers −X, palm −Y) so that the fingers point up and the palm faces a camera looking along +Z."""

DIGITS = 6
"""Decimals of stored pose parameters: micrometres and microradians, coarser than what machines disagree about."""


class Sphere(NamedTuple):
    """A ball that holds a set of points."""

    centre: np.ndarray
    """[3] metres"""
    radius: float
    """metres"""


def enclosing_sphere(points: np.ndarray, rounds: int = 80) -> Sphere:
    """A sphere around points [N,3], at most a few percent larger than the smallest one (Bădoiu and Clarkson 2003)."""
    centre = (points.min(0) + points.max(0)) / 2
    for step in range(2, rounds + 2):
        farthest = points[((points - centre) ** 2).sum(1).argmax()]
        centre = centre + (farthest - centre) / step
    return Sphere(centre, float(np.sqrt(((points - centre) ** 2).sum(1).max())))


def placed_vertices(shape: HandShape, pose: HandPose) -> np.ndarray:
    """Vertices [V,3] of a hand in the world: turned about its rest wrist joint, then moved (MANO's convention)."""
    turn = rotation_matrices(np.asarray(pose.global_orient, dtype=float))
    wrist = shape.joints[0]
    return (pose_hand(shape, pose.hand_pose) - wrist) @ turn.T + wrist + pose.transl


def turned_upright(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation [3,3] from MANO's rest frame: held up with the palm to the camera, then turned by angles in radians.

    yaw about the vertical, pitch about the camera's x, roll about its line of sight.
    """
    about_x, about_y, about_z = rotation_matrices(np.diag([pitch, yaw, roll]))
    return about_z @ about_x @ about_y @ UPRIGHT


def moved_rigidly(shape: HandShape, pose: HandPose, rotation: np.ndarray, shift: np.ndarray) -> HandPose:
    """The pose whose vertices are rotation · vertices + shift. rotation [3,3], shift [3] metres."""
    wrist = shape.joints[0]
    turn = rotation @ rotation_matrices(np.asarray(pose.global_orient, dtype=float))
    return HandPose(matrix_to_axis_angle(turn), pose.hand_pose, rotation @ (wrist + pose.transl) + shift - wrist)


def rounded(pose: HandPose) -> HandPose:
    """The pose as it is stored and rendered. Adding 0 turns −0 into 0."""
    return HandPose(*(np.round(np.asarray(part, dtype=float), DIGITS) + 0.0 for part in pose))
