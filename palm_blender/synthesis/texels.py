"""Which point of a mesh's surface each texel of its texture is, in strips of rows so that memory stays bounded. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Texels(NamedTuple):
    """The texels of some rows of a map that lie on the mesh, N of them."""

    index: np.ndarray
    """[N] int64, flat into the size × size map, row-major from the top"""
    faces: np.ndarray
    """[N] int32"""
    barycentric: np.ndarray
    """[N,3] float32"""

    def gather(self, values: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """Values [V,C] of vertices (or of UVs) at the texels [N,C]; corners [F,3] names each face's rows."""
        rows = corners[self.faces]
        values = np.asarray(values, np.float32)
        return sum(self.barycentric[:, k, None] * values[rows[:, k]] for k in range(3))


def texel_strips(uv: np.ndarray, uv_faces: np.ndarray, size: int, texels_at_once: int = 1 << 20) -> Iterator[Texels]:
    """The texels of a size × size map whose centres lie on the mesh, in strips of whole rows from the top.

    uv [T,2] in [0,1], V upward; uv_faces [F,3]. Where charts overlap, the face with the greater index wins.
    """
    corners = np.stack([uv[:, 0] * size, (1 - uv[:, 1]) * size], axis=1)[uv_faces]
    top = np.ceil(corners[..., 1].min(1) - 0.5).astype(int)
    bottom = np.floor(corners[..., 1].max(1) - 0.5).astype(int)
    height = max(1, texels_at_once // size)
    for start in range(0, size, height):
        stop = min(start + height, size)
        touching = np.flatnonzero((bottom >= start) & (top < stop))
        yield _strip(corners, touching, size, start, stop)


def _strip(corners: np.ndarray, faces: np.ndarray, size: int, start: int, stop: int) -> Texels:
    owner = np.full((stop - start, size), -1, np.int32)
    weights = np.zeros((stop - start, size, 3), np.float32)
    for face in faces:
        triangle = corners[face]
        low = np.maximum(np.ceil(triangle.min(0) - 0.5).astype(int), (0, start))
        high = np.minimum(np.floor(triangle.max(0) - 0.5).astype(int) + 1, (size, stop))
        if (high <= low).any():
            continue
        edge1, edge2 = triangle[1] - triangle[0], triangle[2] - triangle[0]
        area = edge1[0] * edge2[1] - edge1[1] * edge2[0]
        if area == 0:
            continue
        x = np.arange(low[0], high[0]) + 0.5 - triangle[0, 0]
        y = (np.arange(low[1], high[1]) + 0.5 - triangle[0, 1])[:, None]
        second = (x * edge2[1] - y * edge2[0]) / area
        third = (y * edge1[0] - x * edge1[1]) / area
        first = 1 - second - third
        inside = (first >= -1e-9) & (second >= -1e-9) & (third >= -1e-9)
        window = (slice(low[1] - start, high[1] - start), slice(low[0], high[0]))
        owner[window][inside] = face
        weights[window][inside] = np.stack([first, second, third], axis=-1)[inside]
    found = np.flatnonzero(owner.reshape(-1) >= 0)
    return Texels(found + start * size, owner.reshape(-1)[found], weights.reshape(-1, 3)[found])


def pad(image: np.ndarray, inside: np.ndarray, width: int) -> np.ndarray:
    """A map [H,W,C] carried beyond its charts (inside [H,W] bool) by `width` texels, and its mean farther out."""
    height, span = inside.shape
    result = np.pad(image, ((1, 1), (1, 1), (0, 0))).reshape(-1, image.shape[2])
    known = np.pad(inside, 1)
    around = np.array([-1, 1, -(span + 2), span + 2])
    for _ in range(width):
        grown = known.copy()
        grown[1:-1, 1:-1] |= known[:-2, 1:-1] | known[2:, 1:-1] | known[1:-1, :-2] | known[1:-1, 2:]
        new = np.flatnonzero(grown & ~known)
        neighbours = new[:, None] + around
        there = known.reshape(-1)[neighbours].astype(np.float32)[..., None]
        result[new] = (result[neighbours] * there).sum(1) / there.sum(1)
        known = grown
    result = result.reshape(height + 2, span + 2, -1)[1:-1, 1:-1].copy()
    result[~known[1:-1, 1:-1]] = image[inside].mean(0)
    return result


def slopes(height: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences [H,W] of a height map per texel to the right and per texel upward, from texels inside the charts only.

    Central differences where both neighbours are inside, one-sided at a chart's rim, 0 where there are none.
    """

    def along(axis: int) -> np.ndarray:
        value, known = np.moveaxis(height, axis, 0), np.moveaxis(inside, axis, 0)
        step = np.where(known[1:] & known[:-1], value[1:] - value[:-1], 0)
        there = (known[1:] & known[:-1]).astype(np.float32)
        total, count = np.zeros_like(value), np.zeros(value.shape, np.float32)
        total[1:] += step
        total[:-1] += step
        count[1:] += there
        count[:-1] += there
        return np.moveaxis(total / np.maximum(count, 1), 0, axis)

    return along(1), -along(0)
