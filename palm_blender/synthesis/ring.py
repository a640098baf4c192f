"""The capture volume's seven cameras: a full ring around the hand, as PALM's capture has. NumPy only.

One calibrated rig for every data set: its cameras differ a little in place, aim, lens and sensor, as real ones do, and
each sees the whole volume in which hands are held.
"""

from __future__ import annotations

import numpy as np

from ...engine.datasets.palm_files import Camera
from .hand_shape import rotation_matrices

RING_NAMES = tuple(f"MCU_{number:02d}" for number in range(1, 8))
"""In order around the ring; the first one faces the palm."""

VOLUME_RADIUS_M = 0.135
"""Of the sphere about the world's origin that all cameras see whole. The largest of 300 people needed 0.125, a hand with
betas far beyond people's 0.132."""

FULL_SIZE_PX = (2448, 2048)
"""Width and height of PALM's pictures."""

_DISTANCE_M = 0.8
_HEIGHTS_DEG = (4.0, 24.0, -16.0, 20.0, -20.0, 24.0, -16.0)
"""Elevation of each camera: alternately above and below, the palm's own nearly level."""
_RIG_SEED = 7
_MARGIN = 1.005


def chosen_cameras(count: int) -> tuple[str, ...]:
    """`count` (1 to 7) names spread evenly around the ring."""
    return tuple(RING_NAMES[round(place * len(RING_NAMES) / count) % len(RING_NAMES)] for place in range(count))


def ring_cameras(width: int, height: int, count: int) -> dict[str, Camera]:
    """`count` of the rig's cameras, for pictures of this size in pixels.

    Whatever the size, its shorter side shows the whole volume and pixels are square: other sizes than FULL_SIZE_PX are
    the same pictures scaled, and cut or widened on the longer side.
    """
    return {name: _camera(RING_NAMES.index(name), width, height) for name in chosen_cameras(count)}


def _camera(number: int, width: int, height: int) -> Camera:
    rig = np.random.default_rng([_RIG_SEED, number])
    azimuth = 2 * np.pi * number / len(RING_NAMES) + np.deg2rad(rig.uniform(-3, 3))
    elevation = np.deg2rad(_HEIGHTS_DEG[number] + rig.uniform(-2, 2))
    distance = _DISTANCE_M + rig.uniform(-0.02, 0.02)
    aim = rig.uniform(-0.003, 0.003, 3)
    roll = np.deg2rad(rig.uniform(-1.5, 1.5))
    off_centre = rig.uniform(-0.004, 0.004, 2) * min(width, height)
    longer_lens = rig.uniform(0.0, 0.015)
    # y points down, and the palm faces -z
    outward = np.array([np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), -np.cos(azimuth) * np.cos(elevation)])
    place = distance * outward
    rotation = rotation_matrices(np.array([0.0, 0.0, roll])) @ looking(aim - place)
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = np.round(rotation, 12)
    world_to_camera[:3, 3] = np.round(-rotation @ place, 9)
    focal = _focal_px(world_to_camera[:3, 3], min(width, height) / 2 - np.abs(off_centre).max()) / (1 + longer_lens)
    intrinsics = np.array([[focal, 0, width / 2 + off_centre[0]], [0, focal, height / 2 + off_centre[1]], [0, 0, 1]])
    return Camera(np.round(intrinsics, 6), world_to_camera, height, width)


def looking(direction: np.ndarray) -> np.ndarray:
    """World to camera [3,3] of a level camera that looks along a direction."""
    forward = direction / np.linalg.norm(direction)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def _focal_px(origin: np.ndarray, reach_px: float) -> float:
    """The longest focal length with which the volume about `origin` [3] (camera axes) lies within `reach_px` of the
    principal point."""
    distance = np.linalg.norm(origin)
    off_axis = np.arctan2(np.hypot(origin[0], origin[1]), origin[2])
    half_angle = np.arcsin(VOLUME_RADIUS_M / distance)
    return float(reach_px / (_MARGIN * np.tan(off_axis + half_angle)))
