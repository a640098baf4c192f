"""Cameras all around a hand in motion, each as near as the whole motion allows. NumPy only."""

from __future__ import annotations

import numpy as np

from ...engine.datasets.palm_files import Camera
from .hand_shape import rotation_matrices
from .ring import looking

DOME_NAMES = tuple(f"DOME_{number:02d}" for number in range(1, 37))
"""In an order whose every beginning is spread all around: the first faces the palm, the second the back."""
LOWEST_DEG, HIGHEST_DEG = -38.0, 58.0
DISTANCE_M = (0.74, 0.82)
MARGIN = 0.035
"""Share of the picture that stays free on each side."""
_AIMING = 4


def dome_directions() -> np.ndarray:
    """[36,3] unit, from the middle to each camera: a golden spiral between two heights, farthest ones first."""
    count = 1440
    step = np.arange(count) + 0.5
    low, high = np.sin(np.deg2rad([LOWEST_DEG, HIGHEST_DEG]))
    up = low + (high - low) * step / count
    azimuth = np.pi * (3 - np.sqrt(5)) * step
    level = np.sqrt(1 - up**2)
    # y points down, and the palm faces -z
    spiral = np.stack([np.sin(azimuth) * level, -up, -np.cos(azimuth) * level], axis=1)
    chosen = [int((spiral @ [0.0, -0.1, -1.0]).argmax())]
    nearest = np.full(count, -1.0)
    while len(chosen) < len(DOME_NAMES):
        nearest = np.maximum(nearest, spiral @ spiral[chosen[-1]])
        chosen.append(int(nearest.argmin()))
    return spiral[chosen]


def dome_cameras(
    generator: np.random.Generator, points: np.ndarray, width: int, height: int, count: int
) -> dict[str, Camera]:
    """The first `count` of DOME_NAMES, in whose pictures points [N,3] of the world all lie and reach two sides."""
    # all are always drawn, so that more cameras do not move the first ones
    places = dome_directions() * generator.uniform(*DISTANCE_M, (len(DOME_NAMES), 1))
    rolls = np.deg2rad(generator.uniform(-2, 2, len(DOME_NAMES)))
    off_centres = generator.uniform(-0.006, 0.006, (len(DOME_NAMES), 2)) * min(width, height)
    parts = list(zip(DOME_NAMES, places, rolls, off_centres, strict=True))[:count]
    return {name: _fitted(points, place, roll, off, width, height) for name, place, roll, off in parts}


def _fitted(points: np.ndarray, place: np.ndarray, roll: float, off: np.ndarray, width: int, height: int) -> Camera:
    """A camera at a place, aimed at the middle of what it is to see, with the longest lens that shows it all."""
    forward = -place
    for _ in range(_AIMING):
        rotation = rotation_matrices(np.array([0.0, 0.0, roll])) @ looking(forward)
        slopes = _slopes(points, rotation, place)
        low, high = slopes.min(0), slopes.max(0)
        forward = rotation.T @ np.array([*(low + high) / 2, 1.0])
    half = np.array([width, height]) / 2
    reach = np.abs(_slopes(points, rotation, place)).max(0)
    focal = float(((half * (1 - 2 * MARGIN) - np.abs(off)) / reach).min())
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = np.round(rotation, 12)
    world_to_camera[:3, 3] = np.round(-rotation @ place, 9)
    centre = half + off
    intrinsics = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    return Camera(np.round(intrinsics, 6), world_to_camera, height, width)


def _slopes(points: np.ndarray, rotation: np.ndarray, place: np.ndarray) -> np.ndarray:
    """[N,2] x/z and y/z in a camera's axes."""
    seen = (points - place) @ rotation.T
    return seen[:, :2] / seen[:, 2:]
