"""A finer, smoother hand model: Loop's subdivision of every field that is linear in the vertices. NumPy only.

Midpoint subdivision (`subdivide`) keeps the coarse facets, whose corners show in outlines close up. Loop's scheme rounds them
(C. Loop, Smooth Subdivision Surfaces Based on Triangles, 1987). As template, shape and pose correctives and skinning weights are
refined alike, the finer hand is posed like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

SOLVER_ROUNDS = 80
"""Loop's move of the old vertices has eigenvalues of a quarter and more: errors shrink to 3/4 of themselves each round."""


class LoopStep(NamedTuple):
    """One subdivision of a mesh of V vertices and E edges. Finer vertices: the V old ones, moved, then one an edge."""

    faces: np.ndarray
    """[4F,3]; face 4f+k (k<3) touches corner k of face f, face 4f+3 is the middle one"""
    edges: np.ndarray
    """[E,2] ends"""
    opposite: np.ndarray
    """[E,2] the corners across an edge; on a crease the ends themselves"""
    smooth: np.ndarray
    """[E] bool, false on creases"""
    own: np.ndarray
    """[V] weight of a vertex in its new place"""
    pairs: np.ndarray
    """[P,2] vertex and a neighbour that moves it"""
    share: np.ndarray
    """[P] that neighbour's weight"""

    def old_vertices(self, values: np.ndarray) -> np.ndarray:
        """Values [V,...] at the old vertices' new places."""
        return self._moved(values, self.pairs)

    def _moved(self, values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """The old vertices' move, or its transpose where the pairs are turned."""
        order = np.argsort(pairs[:, 0], kind="stable")
        vertices, first = np.unique(pairs[order, 0], return_index=True)
        moved = values * _column(self.own, values)
        moved[vertices] += np.add.reduceat(values[pairs[order, 1]] * _column(self.share[order], values), first)
        return moved

    def refine(self, values: np.ndarray) -> np.ndarray:
        """Values [V,...] of vertices → [V+E,...]."""
        values = np.asarray(values, dtype=float)
        ends, across = values[self.edges].sum(1), values[self.opposite].sum(1)
        middle = np.where(_column(self.smooth, values), 0.375 * ends + 0.125 * across, 0.5 * ends)
        return np.concatenate([self.old_vertices(values), middle])

    def sharpened(self, values: np.ndarray) -> np.ndarray:
        """The values [V,...] whose `old_vertices` are the given ones: refined, they pass through what was given."""
        return self._solve(np.asarray(values, dtype=float), self.pairs)

    def refine_regressor(self, regressor: np.ndarray) -> np.ndarray:
        """A regressor [J,V] of coarse vertices → [J,V+E] that gives from the finer ones what it gave from the coarse ones."""
        solved = self._solve(np.asarray(regressor, dtype=float).T, self.pairs[:, ::-1])
        return np.pad(solved.T, ((0, 0), (0, len(self.edges))))

    def _solve(self, wanted: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Undo `_moved` by Richardson's iteration."""
        solved = wanted.copy()
        for _ in range(SOLVER_ROUNDS):
            solved += wanted - self._moved(solved, pairs)
        return solved


def _column(factors: np.ndarray, values: np.ndarray) -> np.ndarray:
    return factors.reshape(-1, *(1,) * (values.ndim - 1))


def split_edges(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges [E,2], their number at each side of each face [F,3] and the finer faces [4F,3]. faces [F,3] of `count` vertices."""
    sides = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1)
    edges, number = np.unique(np.sort(sides, axis=-1).reshape(-1, 2), axis=0, return_inverse=True)
    number = number.reshape(-1, 3)
    (a, b, c), (ab, bc, ca) = faces.T, (number + count).T
    finer = np.stack([np.stack(t, -1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))], axis=1)
    return edges, number, finer.reshape(-1, 3)


def loop_step(faces: np.ndarray, count: int, patch: np.ndarray) -> LoopStep:
    """One Loop subdivision. patch [F]: edges between faces of different patches, and borders, stay sharp creases."""
    edges, number, finer = split_edges(faces, count)
    face_count = np.bincount(number.ravel(), minlength=len(edges))
    lowest, highest = np.full(len(edges), np.iinfo(np.int64).max), np.full(len(edges), -1)
    patches = np.repeat(np.asarray(patch, dtype=np.int64), 3)
    np.minimum.at(lowest, number.ravel(), patches)
    np.maximum.at(highest, number.ravel(), patches)
    smooth = (face_count == 2) & (lowest == highest)

    opposite = edges.copy()
    order = np.argsort(number.ravel(), kind="stable")
    across = np.roll(faces, 1, axis=1).ravel()[order]
    first = np.searchsorted(number.ravel()[order], np.flatnonzero(smooth))
    opposite[smooth] = np.stack([across[first], across[first + 1]], axis=1)

    both = np.concatenate([edges, edges[:, ::-1]])
    sharp = np.tile(~smooth, 2)
    valence = np.bincount(both[:, 0], minlength=count)
    creases = np.bincount(both[sharp, 0], minlength=count)
    beta = (0.625 - (0.375 + 0.25 * np.cos(2 * np.pi / np.maximum(valence, 3))) ** 2) / np.maximum(valence, 1)
    at = both[:, 0]
    # a vertex on a crease follows the crease alone, one where creases end or meet stays
    share = np.where(creases[at] == 0, beta[at], np.where((creases[at] == 2) & sharp, 0.125, 0.0))
    own = 1.0 - np.bincount(at, weights=share, minlength=count)
    used = share > 0
    return LoopStep(finer, edges, opposite, smooth, own, both[used], share[used])


def refined_fields(fields: Mapping[str, np.ndarray], levels: int) -> dict[str, np.ndarray]:
    """A hand model file's arrays (`model_file.read_model_file`) with 4^levels as many triangles.

    Joints stay what they are, and so do the coarse vertices of every unposed shape at the first level: Loop's scheme alone would
    thin the fingers by half a millimetre. Later levels move them by a tenth of one. Texture coordinates and the marks of nails
    and palm are halved linearly; the wrist's lid keeps its sharp rim. Other fields are passed on.
    """
    result = dict(fields)
    for level in range(levels):
        faces, count = result["f"].astype(np.int64), len(result["v_template"])
        step = loop_step(faces, count, result.get("cap_faces", np.zeros(len(faces), bool)))
        for name in ("v_template", "shapedirs"):
            result[name] = step.refine(step.sharpened(result[name]) if level == 0 else result[name])
        for name in ("posedirs", "weights", "forearm_weight"):
            if name in result:
                result[name] = step.refine(result[name])
        for name in ("J_regressor", "elbow_regressor"):
            if name in result:
                rows = np.atleast_2d(result[name])
                kept = np.pad(rows, ((0, 0), (0, len(step.edges)))) if level == 0 else step.refine_regressor(rows)
                result[name] = kept.reshape(*result[name].shape[:-1], -1)
        result["f"] = step.faces
        for name in ("palm_weight", "nail_vertices"):
            if name in result:
                ends = np.asarray(result[name], dtype=float)[step.edges]
                middle = ends.mean(1) if name == "palm_weight" else ends.all(1)
                result[name] = np.concatenate([result[name], middle.astype(result[name].dtype)])
        if "vt" in result:
            edges, _, texture_faces = split_edges(result["ft"].astype(np.int64), len(result["vt"]))
            result["vt"] = np.concatenate([result["vt"], result["vt"][edges].mean(1)])
            result["ft"] = texture_faces
        if "cap_faces" in result:
            result["cap_faces"] = np.repeat(result["cap_faces"], 4)
    return result
