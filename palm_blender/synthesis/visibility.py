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
"""Flesh is thicker when bent and seen aslant than straight across at rest."""
_DIRECTIONS = 12
_LAST_JOINTS = KEYPOINT_PARENTS[16:]


def visibility(
    keypoints: np.ndarray, intrinsics: np.ndarray, world_to_camera: np.ndarray, depth: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """[21] of OUTSIDE, HIDDEN and VISIBLE.

    keypoints [21,3] metres, world; depth [H,W] metres along the camera's z, 0 where there is no hand; radii [21] metres,
    the thickness of each keypoint's own flesh. A keypoint is visible if at its pixel, or at one beside it, the skin lies
    no farther before or behind it than that, or if there is nothing at all; it is outside where its pixel is not in the
    picture or it lies behind the camera.
    """
    height, width = depth.shape
    z = keypoints @ world_to_camera[2, :3] + world_to_camera[2, 3]
    found = np.full(len(keypoints), OUTSIDE)
    ahead = np.flatnonzero(z > 0)
    pixels = np.floor(project(keypoints[ahead], intrinsics, world_to_camera))
    for joint, (column, row) in zip(ahead, pixels, strict=True):
        if not (0 <= column < width and 0 <= row < height):
            continue
        x, y = int(column), int(row)
        around = depth[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        skin = around[around > 0]
        seen = not skin.size or bool((np.abs(skin - z[joint]) <= radii[joint]).any())
        found[joint] = VISIBLE if seen else HIDDEN
    return found


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
