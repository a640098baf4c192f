"""Windows around the hand, of a few sizes for all cameras of a moment: Cycles works there alone. NumPy only.

A window that changes its size, as a border around each camera's hand would, makes Cycles take in the whole scene anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ...engine.datasets.palm_files import Camera
from ...engine.hand.cameras import project
from .display import Picture

AROUND_PX = 8
"""Beside the hand, more than the pixel filter reaches."""
SIZES = 4
"""Of the windows of one moment: more of them leave less around the hand, but each makes Cycles begin anew."""
MOST_PIXELS = 6_000_000
"""Of pictures held at a time."""


class Window(NamedTuple):
    """Part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int


def batch(cameras: Mapping[str, Camera], name: str) -> tuple[str, ...]:
    """The cameras that are photographed together with one: as many as MOST_PIXELS hold. Cameras of one size."""
    names = list(cameras)
    count = max(1, MOST_PIXELS // (cameras[name].width * cameras[name].height))
    first = names.index(name) // count * count
    return tuple(names[first : first + count])


def by_size(vertices: np.ndarray, cameras: Mapping[str, Camera]) -> dict[str, Window]:
    """{camera: window} that hold points [N,3] of the world, smallest first; they have SIZES sizes or fewer.

    Cameras of one size of picture.
    """
    boxes = {name: _box(vertices, camera) for name, camera in cameras.items()}
    order = sorted(boxes, key=lambda name: int(np.prod(boxes[name][1] - boxes[name][0])))
    placed: dict[str, Window] = {}
    for names in np.array_split(np.array(order), min(SIZES, len(order))):
        placed |= _alike({str(name): boxes[str(name)] for name in names}, cameras)
    return placed


def _alike(boxes: Mapping[str, np.ndarray], cameras: Mapping[str, Camera]) -> dict[str, Window]:
    """Windows around boxes, all of the size that the largest needs."""
    extent = np.array(list(boxes.values()))
    size = (extent[:, 1] - extent[:, 0]).max(0)
    placed = {}
    for name, (low, high) in boxes.items():
        room = np.array([cameras[name].width, cameras[name].height]) - size
        corner = np.clip((low + high - size) // 2, 0, room)
        placed[name] = Window(*map(int, (*corner, *size)))
    return placed


def _box(vertices: np.ndarray, camera: Camera) -> np.ndarray:
    """[2,2] whole pixels: the first and the one after the last, within the picture."""
    pixels = project(np.asarray(vertices, float), camera.intrinsics, camera.world_to_camera)
    low, high = np.floor(pixels.min(0)) - AROUND_PX, np.ceil(pixels.max(0)) + AROUND_PX
    return np.clip([low, high], 0, [camera.width, camera.height]).astype(int)


def seen_through(window: Window, camera: Camera) -> Camera:
    """The camera of a window alone: its pixels are the whole picture's."""
    intrinsics = np.array(camera.intrinsics, float)
    intrinsics[:2, 2] -= window.left, window.top
    return Camera(intrinsics, camera.world_to_camera, window.height, window.width)


def whole(part: Picture, window: Window, camera: Camera) -> Picture:
    """The window's picture in the camera's, black and empty around it."""
    radiance = np.zeros((camera.height, camera.width, 3), part.radiance.dtype)
    coverage = np.zeros((camera.height, camera.width), part.coverage.dtype)
    rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
    radiance[rows, columns], coverage[rows, columns] = part.radiance, part.coverage
    return Picture(radiance, coverage)
