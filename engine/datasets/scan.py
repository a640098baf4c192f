"""A scanned surface and what registration needs of it. NumPy and SciPy.

Scans are open, noisy and holey: normals are smoothed over the neighbourhood, the rims of holes are known, and pieces too small
to be part of a hand are taken away and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components

from ..errors import DatasetError
from ..hand.joints import KEYPOINT_PARENTS
from ..hand.normals import face_normals

SMALLEST_PIECE = 0.005
"""Of the largest piece's area."""
NORMAL_SMOOTHINGS = 4
HAND_REACH_M = 0.045
"""From a hand's bones to its skin, generously."""
LEAST_VERTICES = 200
LARGEST_M = 5.0
SMALLEST_M = 0.02


@dataclass(frozen=True)
class Scan:
    """N vertices, F triangles; metres, world."""

    vertices: np.ndarray
    """[N,3]"""
    faces: np.ndarray
    """[F,3] int64, counter-clockwise from outside."""
    normals: np.ndarray
    """[N,3] unit, outward, smoothed."""
    rim: np.ndarray
    """[N] bool: on the border of a hole, or next to it."""
    areas: np.ndarray
    """[N] square metres, a third of the triangles around."""
    removed: int = 0
    """Vertices of pieces that were taken away."""


def scan_from_mesh(vertices: np.ndarray, faces: np.ndarray, name: str) -> Scan:
    """A scan of any triangles [F,3] over vertices [N,3] in metres, without pieces that are too small.

    name: starts the messages. Raises DatasetError for an empty mesh, numbers that are not finite and sizes that are no hand's
    in metres.
    """
    vertices = np.asarray(vertices, float).reshape(-1, 3)
    faces = np.asarray(faces, np.int64).reshape(-1, 3)
    if not len(faces) or not len(vertices):
        raise DatasetError(f"{name} holds no triangles: give the scanned surface as a mesh")
    if not np.isfinite(vertices).all():
        raise DatasetError(f"{name} has vertices that are NaN or infinite: export the scan again")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise DatasetError(f"{name} has triangles of vertices that it does not have: export the scan again")
    size = float(np.linalg.norm(np.ptp(vertices[np.unique(faces)], axis=0)))
    if size > LARGEST_M:
        raise DatasetError(f"{name} is {size:.0f} m long: it is in millimetres or centimetres; say so with --scan-unit")
    if size < SMALLEST_M:
        raise DatasetError(f"{name} is {1000 * size:.2g} mm long, which is no hand in metres: check --scan-unit")
    vertices, faces = _merged(vertices, faces)
    vertices, faces, removed = _without_small_pieces(vertices, faces)
    if len(vertices) < LEAST_VERTICES:
        raise DatasetError(f"{name} has {len(vertices)} vertices in one piece, too few for a hand: scan it again")
    return _with_normals(vertices, faces, removed)


def near_hand(scan: Scan, keypoints: np.ndarray) -> Scan:
    """The part of a scan within a hand's reach of the bones between known keypoints [21,3] (NaN where unknown).

    Leaves out tables, walls and most of the forearm without asking the fit.
    """
    bones = [(keypoints[p], keypoints[k]) for k, p in enumerate(KEYPOINT_PARENTS) if p >= 0]
    bones = [bone for bone in bones if np.isfinite(bone).all()]
    if not bones:
        return scan
    nearest = np.full(len(scan.vertices), np.inf)
    for start, end in bones:
        np.minimum(nearest, _distance_to_segment(scan.vertices, start, end), out=nearest)
    return cropped(scan, nearest < HAND_REACH_M)


def cropped(scan: Scan, keep: np.ndarray) -> Scan:
    """The triangles whose corners [N] are all kept; normals and rims stay what they were."""
    chosen = scan.faces[keep[scan.faces].all(1)]
    used, index = np.unique(chosen, return_inverse=True)
    return Scan(
        scan.vertices[used],
        index.reshape(-1, 3),
        scan.normals[used],
        scan.rim[used],
        scan.areas[used],
        scan.removed,
    )


def samples(scan: Scan, count: int, seed: int) -> np.ndarray:
    """Indices [≤count] of vertices drawn evenly over the surface, without repetition."""
    count = min(count, len(scan.vertices))
    share = scan.areas / scan.areas.sum()
    # the keys of Efraimidis and Spirakis (2006): the largest are a weighted draw without repetition
    keys = np.log(np.random.default_rng(seed).random(len(share))) / np.maximum(share, 1e-15)
    return np.sort(np.argpartition(-keys, count - 1)[:count])


def _merged(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices at one place are one, unused ones none, and triangles without area are gone."""
    unique, index = np.unique(vertices, axis=0, return_inverse=True)
    faces = index.reshape(-1)[faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    used, compact = np.unique(faces, return_inverse=True)
    return unique[used], compact.reshape(-1, 3)


def _without_small_pieces(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    if not len(faces):
        return vertices[:0], faces, len(vertices)
    label = connected_components(_adjacency(faces, len(vertices)), directed=False)[1]
    area = np.bincount(label[faces[:, 0]], np.linalg.norm(face_normals(vertices, faces), axis=1) / 2)
    kept = area >= SMALLEST_PIECE * area.max()
    faces = faces[kept[label[faces[:, 0]]]]
    used, index = np.unique(faces, return_inverse=True)
    return vertices[used], index.reshape(-1, 3), len(vertices) - len(used)


def _adjacency(faces: np.ndarray, count: int) -> csr_matrix:
    pairs = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    matrix = coo_matrix((np.ones(len(pairs), np.float32), (pairs[:, 0], pairs[:, 1])), (count, count))
    return (matrix + matrix.T).tocsr()


def _with_normals(vertices: np.ndarray, faces: np.ndarray, removed: int) -> Scan:
    doubled = face_normals(vertices, faces)
    normals, areas = np.zeros_like(vertices), np.zeros(len(vertices))
    for corner in range(3):
        np.add.at(normals, faces[:, corner], doubled)
        np.add.at(areas, faces[:, corner], np.linalg.norm(doubled, axis=1) / 6)
    links = _adjacency(faces, len(vertices))
    counts = links.copy()
    links.data[:] = 1
    blur = diags(1 / (1 + np.asarray(links.sum(1))[:, 0])) @ (links + diags(np.ones(len(vertices))))
    for _ in range(NORMAL_SMOOTHINGS):
        normals = blur @ normals
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-15)
    # an inner edge is counted by both its triangles
    border = (counts == 1).sum(1)
    rim = np.asarray(border)[:, 0] > 0
    rim |= np.asarray(links @ rim.astype(np.float32)) > 0
    return Scan(vertices, faces, normals, rim, areas, removed)


def _distance_to_segment(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    along = end - start
    share = np.clip((points - start) @ along / max(float(along @ along), 1e-12), 0, 1)
    return np.linalg.norm(points - start - share[:, None] * along, axis=1)
