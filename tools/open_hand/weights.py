"""Skinning weights around the re-placed joints: smooth across each joint, no bleed from finger to finger."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from tools.open_hand.skeleton import FINGERS, first_joint
from tools.open_hand.topology import smooth

LONG_FINGERS = ("index", "middle", "pinky", "ring")


def ramp(x: np.ndarray, start, end) -> np.ndarray:
    """Smoothstep from 0 at `start` to 1 at `end`."""
    t = np.clip((x - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def bisecting_planes(joints: np.ndarray, tip: np.ndarray, finger: str) -> tuple[np.ndarray, np.ndarray]:
    """Points [3, 3] and unit normals [3, 3] of the planes through a finger's joints that halve its bends."""
    j = first_joint(finger)
    chain = np.stack([joints[j], joints[j + 1], joints[j + 2], tip])
    bones = np.diff(chain, axis=0)
    bones /= np.linalg.norm(bones, axis=1, keepdims=True)
    normals = bones.copy()
    normals[1:] += bones[:-1]
    return chain[:3], normals / np.linalg.norm(normals, axis=1, keepdims=True)


def skinning_weights(points: np.ndarray, joints: np.ndarray, tips: dict[str, int],
                     membership: dict[str, np.ndarray], graph: sp.csr_matrix) -> np.ndarray:  # fmt: skip
    """Weights [V, 16], rows sum to 1.

    points [V, 3] and joints [16, 3] metres in one pose; tips: apex vertex of each finger; membership: anny's weight
    of each finger [V], which tells fingers apart beyond the webs; graph [V, V] adjacency.
    """
    mm = 1e3 * points
    planes = {f: bisecting_planes(1e3 * joints, mm[tips[f]], f) for f in FINGERS}
    distance = {f: [(mm - planes[f][0][i]) @ planes[f][1][i] for i in range(3)] for f in FINGERS}

    lateral = {f: _lateral(mm, *(planes[f][k][0] for k in (0, 1))) for f in LONG_FINGERS}
    near = {f: np.exp(-((lateral[f] / 7.0) ** 2)) for f in LONG_FINGERS}
    total_near = sum(near.values()) + 1e-6
    claimed = np.clip(sum(membership[f] for f in FINGERS), 0, 1)
    share = np.stack([membership[f] + (1 - claimed) * near[f] / total_near for f in LONG_FINGERS], 1)
    share = smooth(share, graph, 2)

    weights = np.zeros((len(points), 16))
    for column, finger in enumerate(LONG_FINGERS):
        # skin beside a knuckle and in the webs follows the finger later than skin on top of it
        lag = 10.0 * np.clip(lateral[finger] / 9.0, 0, 1)
        palmar = 4.0 * ramp(-(mm[:, 1] - planes[finger][0][0][1]), 0, 10)
        knuckle = ramp(distance[finger][0], -10.0 + palmar, 13.0 + lag + palmar)
        middle = ramp(distance[finger][1], -6.0, 6.0)
        end = ramp(distance[finger][2], -5.0, 5.0)
        j = first_joint(finger)
        moved = share[:, column] * knuckle
        weights[:, j] = moved * (1 - middle)
        weights[:, j + 1] = moved * middle * (1 - end)
        weights[:, j + 2] = moved * middle * end
    _add_thumb(weights, mm, 1e3 * joints, distance["thumb"], membership["thumb"], graph)
    weights[:, 0] = np.clip(1 - weights[:, 1:].sum(1), 0, 1)
    weights = smooth(weights, graph, 1)
    weights[weights < 0.004] = 0
    return weights / weights.sum(1, keepdims=True)


def without_bleed(weights: np.ndarray) -> np.ndarray:
    """Weights [V, 16] in which skin that follows one finger to 95 % or more follows nothing else."""
    weights = weights.copy()
    for f in range(5):
        own = weights[:, 1 + 3 * f : 4 + 3 * f].sum(1)
        kept = np.ones(16, bool)
        kept[1 + 3 * f : 4 + 3 * f] = False
        weights[:, kept] *= (1 - ramp(own, 0.80, 0.95))[:, None]
    return weights / weights.sum(1, keepdims=True)


def _add_thumb(weights, mm, joints_mm, distance, membership, graph) -> None:
    to_thumb = _segment_distance(mm, joints_mm[13], joints_mm[14])
    to_palm = np.min([_segment_distance(mm, joints_mm[0], joints_mm[k]) for k in (1, 4, 10, 7)], axis=0)
    thenar = 1 / (1 + (to_thumb / np.maximum(to_palm, 1e-3)) ** 4)
    thenar = thenar * ramp(distance[0], -8, 24) * (1 - weights[:, 1:13].sum(1)) ** 2
    share = smooth(np.maximum(membership, thenar * (1 - membership)), graph, 4)
    knuckle = ramp(distance[1], -9, 9)
    end = ramp(distance[2], -6, 6)
    weights[:, 1:13] *= (1 - share)[:, None]
    weights[:, 13] = share * (1 - knuckle)
    weights[:, 14] = share * knuckle * (1 - end)
    weights[:, 15] = share * knuckle * end


def _lateral(mm: np.ndarray, origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Distance from the vertical plane (spanned with +y) through a finger's axis, mm."""
    side = np.cross(direction, [0.0, 1.0, 0.0])
    return np.abs((mm - origin) @ (side / np.linalg.norm(side)))


def _segment_distance(mm: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    t = np.clip((mm - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return np.linalg.norm(mm - a - t[:, None] * (b - a), axis=1)
