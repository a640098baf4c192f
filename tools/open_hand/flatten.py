"""From anny's relaxed hands to MANO's flat rest pose: straight fingers in one plane, thumb beside the palm."""

from __future__ import annotations

import numpy as np

from tools.open_hand.skeleton import DISTAL_CREASE_MM, FINGERS, PHALANGES_MM, REST_YAW_DEG, first_joint

THUMB_DIRECTIONS = ((-0.73, -0.07, 0.68), (-0.76, -0.20, 0.62), (-0.80, -0.20, 0.56))
"""Rest directions of the thumb's three bones."""

THUMB_PRE_TURN_DEG = -25.0
"""Turn of the whole thumb about +X before its bones are laid along THUMB_DIRECTIONS: the nail's supination."""

TIP_SHORTENING = 0.5
"""Part of the excess of anny's end phalanges over the published length that is taken away."""


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Smallest rotations [*, 3, 3] that turn directions a [*, 3] into b [*, 3] (not opposite)."""
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = np.broadcast_to(b / np.linalg.norm(b, axis=-1, keepdims=True), a.shape)
    v, c = np.cross(a, b), (a * b).sum(-1)[..., None, None]
    k = _hat(v)
    return np.eye(3) + k + k @ k / (1 + c)


def about_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def target_directions(finger: str) -> np.ndarray:
    """Unit directions [3, 3] of a finger's bones in the rest pose."""
    if finger == "thumb":
        d = np.array(THUMB_DIRECTIONS)
        return d / np.linalg.norm(d, axis=1, keepdims=True)
    yaw = np.deg2rad(REST_YAW_DEG[finger])
    return np.tile([-np.cos(yaw), 0.0, np.sin(yaw)], (3, 1))


def flatten(points: np.ndarray, joints: np.ndarray, tips: dict[str, int], weights: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Lay hands flat by linear blend skinning (bends of 10–25° only).

    points [N, V, 3], joints [N, 16, 3] metres; returns both in the flat pose, wrist joint at the origin.
    """
    count = len(points)
    world = np.broadcast_to(np.eye(3), (count, 16, 3, 3)).copy()
    moved = joints.copy()
    for finger in FINGERS:
        j = first_joint(finger)
        chain = np.concatenate([joints[:, j : j + 3], points[:, [tips[finger]]]], 1)
        turn = about_x(np.deg2rad(THUMB_PRE_TURN_DEG)) if finger == "thumb" else np.eye(3)
        goal = target_directions(finger)
        if finger != "thumb":
            # the tip's apex lies above or below the axis, so the end phalanx keeps its own bend to the middle one
            chain[:, 3] = chain[:, 2] + (chain[:, 2] - chain[:, 1])
        for i in range(3):
            bone = (chain[:, i + 1] - chain[:, i]) @ turn.T
            world[:, j + i] = rotation_between(bone, goal[i]) @ turn
            if i:
                previous = joints[:, j + i] - joints[:, j + i - 1]
                moved[:, j + i] = moved[:, j + i - 1] + np.einsum("nab,nb->na", world[:, j + i - 1], previous)
    offset = moved - np.einsum("njab,njb->nja", world, joints)
    blended = np.einsum("vj,njab->nvab", weights, world)
    flat = np.einsum("nvab,nvb->nva", blended, points) + np.einsum("vj,nja->nva", weights, offset)
    origin = moved[:, :1]
    return flat - origin, moved - origin


def shorten_tips(points: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compress the end phalanges of the long fingers towards the published length.

    points [N, V, 3], joints [N, 16, 3] in the flat pose. anny's flexion creases lie farther from the tips than the
    published end phalanges are long; the compression fades in over the crease, so that no step is seen.
    """
    points = points.copy()
    for finger, (crease, _) in DISTAL_CREASE_MM.items():
        j = first_joint(finger)
        axis = target_directions(finger)[2]
        along = (points - joints[:, None, j + 2]) @ axis
        ratio = 1 - TIP_SHORTENING * (1 - PHALANGES_MM[finger][2] / crease)
        soft = 0.003
        past = soft * np.logaddexp(0, along / soft)
        own = weights[:, j : j + 3].sum(1) > 0.5
        points -= np.where(own, (1 - ratio) * past, 0)[..., None] * axis
    return points


def _hat(v: np.ndarray) -> np.ndarray:
    zero = np.zeros_like(v[..., 0])
    rows = [zero, -v[..., 2], v[..., 1], v[..., 2], zero, -v[..., 0], -v[..., 1], v[..., 0], zero]
    return np.stack(rows, -1).reshape(*v.shape[:-1], 3, 3)
