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


def face_map(uv: np.ndarray, uv_faces: np.ndarray, size: int) -> np.ndarray:
    """The face [size,size] int32 under each texel's centre, -1 where there is none; first row at the top.

    uv [T,2] in [0,1], V upward; uv_faces [F,3]. Where charts overlap, the face with the greater index wins.
    """
    owner = np.full((size, size), -1, np.int32)
    corners, inverse = _affine(uv, uv_faces, size)
    lows = np.maximum(np.ceil(corners.min(1) - 0.5).astype(int), 0)
    highs = np.minimum(np.floor(corners.max(1) - 0.5).astype(int) + 1, size)
    centres = np.arange(size) + 0.5
    for face in np.flatnonzero((highs > lows).all(1) & np.isfinite(inverse).all((1, 2))):
        (left, top), (right, bottom) = lows[face], highs[face]
        x = centres[left:right] - corners[face, 0, 0]
        y = centres[top:bottom, None] - corners[face, 0, 1]
        (a, b), (c, d) = inverse[face]
        second, third = a * x + b * y, c * x + d * y
        inside = (second >= -1e-9) & (third >= -1e-9) & (second + third <= 1 + 1e-9)
        owner[top:bottom, left:right][inside] = face
    return owner


def texel_strips(
    uv: np.ndarray, uv_faces: np.ndarray, owner: np.ndarray, texels_at_once: int = 1 << 19
) -> Iterator[Texels]:
    """The texels of a map that lie on the mesh, in strips of whole rows from the top. owner: from `face_map`."""
    size = len(owner)
    corners, inverse = _affine(uv, uv_faces, size)
    height = max(1, texels_at_once // size)
    for start in range(0, size, height):
        index = np.flatnonzero(owner[start : start + height].reshape(-1) >= 0) + start * size
        if not len(index):
            continue
        faces = owner.reshape(-1)[index]
        offset = np.stack([index % size + 0.5, index // size + 0.5], axis=1) - corners[faces, 0]
        second, third = np.einsum("nij,nj->in", inverse[faces], offset)
        yield Texels(index, faces, np.stack([1 - second - third, second, third], axis=1).astype(np.float32))


def _affine(uv: np.ndarray, uv_faces: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners [F,3,2] in texels from the upper left, and [F,2,2] from offsets to the weights of corners 1 and 2."""
    corners = np.stack([uv[:, 0] * size, (1 - uv[:, 1]) * size], axis=1)[uv_faces]
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = np.stack([edge2[:, 1], -edge2[:, 0], -edge1[:, 1], edge1[:, 0]], axis=1) / area[:, None]
    return corners, rows.reshape(-1, 2, 2)


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
