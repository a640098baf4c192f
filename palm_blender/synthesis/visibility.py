"""Which keypoints a camera sees: those before which lies nothing but their own flesh. NumPy only."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...engine.hand.cameras import project
from ...engine.hand.joints import KEYPOINT_PARENTS
from .hand_shape import HandShape, load_hand_shape

OUTSIDE, HIDDEN, VISIBLE = 0, 1, 2
"""COCO's: not labelled, labelled but not visible, labelled and visible."""

SLACK = 1.25
"""Flesh is thicker where it is bent than at rest."""
ALONG = 2.5
"""How much farther than across its bone a keypoint's flesh reaches along it, where it is seen aslant."""
_DIRECTIONS = 12
_LAST_JOINTS = KEYPOINT_PARENTS[16:]
_BONES = tuple(
    tuple(end for end in range(21) if KEYPOINT_PARENTS[end] == joint or KEYPOINT_PARENTS[joint] == end)
    for joint in range(21)
)
"""The keypoints at the other ends of the bones that meet in each."""


def visibility(
    keypoints: np.ndarray, intrinsics: np.ndarray, world_to_camera: np.ndarray, depth: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """[21] of OUTSIDE, HIDDEN and VISIBLE.

    keypoints [21,3] metres, world; depth [H,W] metres along the camera's z, 0 where there is no hand; radii [21] metres,
    the thickness of each keypoint's own flesh across its bone. A keypoint is visible if the skin at its pixel, or at one
    beside it, is its own: nearer than its radius, or as near to a bone that meets in it and not far along that. It is also
    visible if there is no skin at all. It is outside where its pixel is not in the picture or it lies behind the camera.
    """
    height, width = depth.shape
    places = keypoints @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    found = np.full(len(keypoints), OUTSIDE)
    ahead = np.flatnonzero(places[:, 2] > 0)
    pixels = np.floor(project(places[ahead], intrinsics))
    for joint, (column, row) in zip(ahead, pixels, strict=True):
        if not (0 <= column < width and 0 <= row < height):
            continue
        skin = _skin_around(int(column), int(row), depth, intrinsics)
        apart = np.linalg.norm(skin - places[joint], axis=1)
        own = apart <= radii[joint]
        for end in _BONES[joint]:
            thin = _distances(skin, places[joint], places[end]) <= min(radii[joint], radii[end])
            own |= thin & (apart <= ALONG * radii[joint])
        found[joint] = VISIBLE if own.any() or not len(skin) else HIDDEN
    return found


def _skin_around(column: int, row: int, depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Points [≤9,3] in camera axes that the pixel and those beside it show."""
    top, left = max(0, row - 1), max(0, column - 1)
    around = depth[top : row + 2, left : column + 2].astype(float)
    rows, columns = np.nonzero(around)
    rays = np.stack([columns + left + 0.5, rows + top + 0.5, np.ones(len(rows))], axis=1)
    return rays @ np.linalg.inv(intrinsics).T * around[rows, columns, None]


def _distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """[N] from points [N,3] to the segment between two points."""
    along = end - start
    share = np.clip((points - start) @ along / max(float(along @ along), 1e-12), 0, 1)
    return np.linalg.norm(points - start - share[:, None] * along, axis=1)


def flesh_radii(betas: np.ndarray) -> np.ndarray:
    """[21] metres: how thick the flesh around each keypoint of this hand is across its bone, with some slack."""
    return np.array(_flesh_radii(tuple(np.asarray(betas, dtype=float).tolist())))


@lru_cache(maxsize=8)
def _flesh_radii(betas: tuple[float, ...]) -> tuple[float, ...]:
    shape = load_hand_shape(np.array(betas))
    joints = SLACK * np.array([_thickness(shape, joint) for joint in range(16)])
    # a fingertip lies on the skin: what may lie before it is the fingertip's own half
    return tuple(np.concatenate([joints, joints[list(_LAST_JOINTS)]]).tolist())


def _thickness(shape: HandShape, joint: int) -> float:
    """Median distance from a joint at rest to the skin around it, across its bone."""
    child = 4 if joint == 0 else joint + 1 if joint % 3 else None
    parent = KEYPOINT_PARENTS[joint]
    start, end = (joint, child) if child is not None else (parent, joint)
    along = shape.joints[end] - shape.joints[start]
    along /= np.linalg.norm(along)
    across = np.cross(along, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    rays = np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * np.cross(along, across)
    return float(np.median(_first_hits(shape.joints[joint], rays, shape.vertices[shape.faces])))


def _first_hits(origin: np.ndarray, rays: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distances [R] along unit rays [R,3] to the nearest of triangles [F,3,3] (Möller and Trumbore 1997), inf for none."""
    corner = triangles[:, 0]
    first, second = triangles[:, 1] - corner, triangles[:, 2] - corner
    offset = origin - corner
    turned = np.cross(offset, first)
    distances = np.full(len(rays), np.inf)
    for number, ray in enumerate(rays):
        normal = np.cross(ray, second)
        determinant = (first * normal).sum(-1)
        safe = np.where(np.abs(determinant) < 1e-15, np.inf, determinant)
        u = (offset * normal).sum(-1) / safe
        v = turned @ ray / safe
        t = (second * turned).sum(-1) / safe
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-9) & np.isfinite(safe)
        if hit.any():
            distances[number] = t[hit].min()
    return distances
