"""The nearest points of a triangle mesh. NumPy and SciPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from ..hand.normals import face_normals

CANDIDATES = 8


class ClosestPoints(NamedTuple):
    """The points of a mesh nearest to N others."""

    faces: np.ndarray
    """[N] int64."""
    barycentric: np.ndarray
    """[N,3] ≥ 0, rows sum to 1."""
    points: np.ndarray
    """[N,3] metres."""
    distances: np.ndarray
    """[N] metres."""


class SurfaceSearch:
    """Nearest points of one mesh: a few triangles by their middles, then exactly.

    Exact where the triangle that holds the answer is among the CANDIDATES whose middles are nearest, as on meshes of even
    triangles; elsewhere too far by less than a triangle's size.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray):
        self.corners = vertices[faces]
        self.normals = face_normals(vertices, faces)
        self.normals /= np.maximum(np.linalg.norm(self.normals, axis=1, keepdims=True), 1e-15)
        self._tree = cKDTree(self.corners.mean(1), balanced_tree=False)

    def closest(self, points: np.ndarray) -> ClosestPoints:
        """Of points [N,3]."""
        found = self._candidates(points)
        return found.best(found.distances)

    def closest_agreeing(
        self, points: np.ndarray, normals: np.ndarray, least_cosine: float
    ) -> tuple[ClosestPoints, ClosestPoints]:
        """Of points [N,3] with unit normals [N,3]: the nearest of all triangles, and of those whose normals agree.

        The second one's distance is infinite where no candidate's normal agrees by the cosine.
        """
        found = self._candidates(points)
        agrees = np.einsum("nkd,nd->nk", self.normals[found.faces], normals) >= least_cosine
        return found.best(found.distances), found.best(np.where(agrees, found.distances, np.inf))

    def _candidates(self, points: np.ndarray) -> _Candidates:
        count = min(CANDIDATES, len(self.corners))
        near = self._tree.query(points, count)[1].reshape(len(points), count)
        weights = closest_barycentric(points[:, None], self.corners[near])
        places = np.einsum("nkc,nkcd->nkd", weights, self.corners[near])
        return _Candidates(near, weights, places, np.linalg.norm(places - points[:, None], axis=-1))


class _Candidates(NamedTuple):
    """Of N points, the nearest place in each of k triangles: [N,k,…]."""

    faces: np.ndarray
    barycentric: np.ndarray
    places: np.ndarray
    distances: np.ndarray

    def best(self, distances: np.ndarray) -> ClosestPoints:
        best, row = distances.argmin(1), np.arange(len(distances))
        return ClosestPoints(
            self.faces[row, best], self.barycentric[row, best], self.places[row, best], distances[row, best]
        )


def closest_barycentric(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """[*,3] weights of the corners of triangles [*,3,3] whose mean is nearest to points [*,3] (broadcast).

    Ericson (2005), section 5.1.5: the regions of corners, edges and the inside.
    """
    a, b, c = triangles[..., 0, :], triangles[..., 1, :], triangles[..., 2, :]
    ab, ac, ap, bp, cp = b - a, c - a, points - a, points - b, points - c
    d1, d2 = (ab * ap).sum(-1), (ac * ap).sum(-1)
    d3, d4 = (ab * bp).sum(-1), (ac * bp).sum(-1)
    d5, d6 = (ab * cp).sum(-1), (ac * cp).sum(-1)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2

    def share(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        return np.clip(top / np.where(np.abs(bottom) < 1e-30, 1e-30, bottom), 0, 1)

    total = va + vb + vc
    v, w = share(vb, total), share(vc, total)
    weights = np.stack([1 - v - w, v, w], -1)
    zero = np.zeros_like(v)
    on_bc = share(d4 - d3, (d4 - d3) + (d5 - d6))
    on_ac, on_ab = share(d2, d2 - d6), share(d1, d1 - d3)
    regions = (
        ((va <= 0) & (d4 >= d3) & (d5 >= d6), (zero, 1 - on_bc, on_bc)),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), (1 - on_ac, zero, on_ac)),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), (1 - on_ab, on_ab, zero)),
        ((d6 >= 0) & (d5 <= d6), (zero, zero, zero + 1)),
        ((d3 >= 0) & (d4 <= d3), (zero, zero + 1, zero)),
        ((d1 <= 0) & (d2 <= 0), (zero + 1, zero, zero)),
    )
    for inside, corners in regions:
        weights = np.where(inside[..., None], np.stack(np.broadcast_arrays(*corners), -1), weights)
    return weights
