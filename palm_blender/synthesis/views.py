"""One camera that sees a whole motion, as a phone on a stand would. NumPy only."""

from __future__ import annotations

import numpy as np

from ...engine.datasets.palm_files import Camera
from ...engine.hand.cameras import pinhole_matrix

PHONE_FOCAL = 1.9
"""Focal length over the picture's shorter side: a phone's twofold lens, cut to the middle of the picture."""
PHONE_DISTANCE_M = (0.45, 0.60)
"""From the camera to the wrist. Motions that need more room are taken from farther away."""
MARGIN = 0.04
"""Share of the picture that stays free on each side."""


def phone_camera(width: int, height: int) -> Camera:
    """The camera at the origin of the world, whose axes are the world's."""
    return Camera(pinhole_matrix(PHONE_FOCAL * min(width, height), width, height), np.eye(4), height, width)


def outermost(points: np.ndarray, camera: Camera, margin: float = MARGIN) -> np.ndarray:
    """The few of points [N,3] that alone decide what `shift_into_view` answers."""
    beyond = points[:, 2:] * _reach(camera, margin)
    sides = np.concatenate([points[:, :2] - beyond, -points[:, :2] - beyond], axis=1)
    return points[sides.argmax(0)]


def shift_into_view(points: np.ndarray, camera: Camera, margin: float = MARGIN) -> np.ndarray:
    """The shift [3] that brings points [N,3] as near to a camera with Rt = identity as its picture allows, centred.

    Exact: x + X ≤ a (z + Z) for every point is linear in the shift (X, Y, Z).
    """
    reach = _reach(camera, margin)
    beyond = points[:, 2:] * reach
    high, low = (points[:, :2] - beyond).max(0), (-points[:, :2] - beyond).max(0)
    depth = float(((high + low) / (2 * reach)).max())
    return np.array([*(low - high) / 2, depth])


def _reach(camera: Camera, margin: float) -> np.ndarray:
    """[2] how far from the optical axis the picture shows, in metres a metre of depth; the principal point is central."""
    half = np.array([camera.width / camera.intrinsics[0, 0], camera.height / camera.intrinsics[1, 1]]) / 2
    return half * (1 - 2 * margin)


def phone_shift(points: np.ndarray, camera: Camera, looseness: float) -> np.ndarray:
    """As `shift_into_view`, but from PHONE_DISTANCE_M where that shows everything.

    looseness in [0,1]: how much farther away than necessary, within those bounds.
    """
    shift = shift_into_view(points, camera)
    near, far = max(shift[2], PHONE_DISTANCE_M[0]), max(shift[2], PHONE_DISTANCE_M[1])
    shift[2] = min(near * (1 + 0.1 * looseness), far)
    return shift
