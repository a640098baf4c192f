"""From raw hands to the statistical model: flat hands of measured size, joint regressor, shape components."""

from __future__ import annotations

import numpy as np

from tools.open_hand.flatten import flatten, shorten_tips
from tools.open_hand.skeleton import WRIST, canonical_frame
from tools.open_hand.source import RawHands

HAND_LENGTH_MM = {"men": (193.8, 9.8), "women": (180.5, 9.7)}
"""Wrist crease to tip of the middle finger, mean and standard deviation, in the US Army's survey of 1988 (Gordon et
al. 1989; Greiner 1991, "Hand Anthropometry of U.S. Army Personnel")."""

HAND_BREADTH_MM = {"men": 90.4, "women": 79.4}
"""Breadth across the knuckles of index and little finger in the same survey. anny's hands are narrower."""

WRIST_CREASE_MM = 5.0
"""The distal wrist crease, from which hand length is measured, lies this far beyond the joint's centre."""

SHAPE_COMPONENTS = 10


def canonical_hands(raw: RawHands) -> np.ndarray:
    """Vertices [N, V, 3] of every hand in its own canonical frame (wrist joint of anny at the origin)."""
    hands = np.empty_like(raw.vertices)
    for i, (points, heads) in enumerate(zip(raw.vertices, raw.bone_heads, strict=True)):
        rotation, origin = canonical_frame(heads, raw.bone_labels)
        hands[i] = (points - origin) @ rotation.T
    return hands


def joint_regressor(points: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Rows [16, V] that sum to 1 and reproduce joints [16, 3] from points [V, 3] exactly.

    Each row starts as a Gaussian over the skin around the joint (the ring that both neighbouring bones move) and is
    corrected by the smallest change, relative to that Gaussian, which meets the four linear conditions.
    """
    rows = np.zeros((16, len(points)))
    mm, joints_mm = 1e3 * points, 1e3 * joints
    for j in range(16):
        reach = 8.0 if j and (j - 1) % 3 else 13.0
        distance = np.linalg.norm(mm - joints_mm[j], axis=1)
        if j == 0:
            start = np.exp(-0.5 * ((mm[:, 0] - joints_mm[0, 0]) / 6.0) ** 2)
        else:
            finger = first_joint_of(j)
            parent = 0 if (j - 1) % 3 == 0 else j - 1
            member = weights[:, finger : finger + 3].sum(1) + (weights[:, 0] if parent == 0 else 0)
            start = member * np.exp(-0.5 * (distance / reach) ** 2)
        start[start < 1e-3 * start.max()] = 0
        start /= start.sum()
        conditions = np.concatenate([mm.T, np.ones((1, len(mm)))])
        wanted = np.r_[joints_mm[j], 1.0]
        scaled = conditions * start
        change = np.linalg.solve(scaled @ conditions.T, wanted - conditions @ start)
        rows[j] = start * (1 + change @ conditions)
    return rows


def first_joint_of(joint: int) -> int:
    return 1 + 3 * ((joint - 1) // 3)


def flat_hands(hands: np.ndarray, regressor: np.ndarray, tips: dict[str, int], weights: np.ndarray,
               female: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Flat hands [N, V, 3] and their joints [N, 16, 3] in MANO's frame, metres.

    female [N] bool: lengths are brought to each sex's measured mean and deviation, keeping each hand's rank, and
    breadths to each sex's measured mean.
    """
    joints = np.einsum("jv,nvc->njc", regressor, hands)
    flat, flat_joints = flatten(hands, joints, tips, weights)
    flat = shorten_tips(flat, flat_joints, weights)
    length = 1e3 * np.abs(flat[:, tips["middle"], 0]) + WRIST_CREASE_MM
    breadth = 1e3 * hand_breadth(flat, flat_joints, weights)
    scale = np.empty((len(hands), 1, 3))
    for sex, (mean, deviation) in HAND_LENGTH_MM.items():
        chosen = female == (sex == "women")
        own = np.log(length[chosen])
        along = mean * np.exp((own - own.mean()) / own.std() * deviation / mean) / length[chosen]
        across = along * HAND_BREADTH_MM[sex] / (along * breadth[chosen]).mean()
        scale[chosen] = np.stack([along, along, across], -1)[:, None]
    return scale * flat + WRIST, scale * flat_joints + WRIST


def hand_breadth(hands: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Breadth [N] across the knuckles of flat hands [N, V, 3] with joints [N, 16, 3], metres; weights [V, 16]."""
    palm = (weights[:, 0] > 0.2) & (weights[:, 13:].sum(1) < 0.15)
    z = hands[..., 2]
    edges = []
    for knuckle, side in ((1, 1), (7, -1)):
        level = palm & (np.abs(hands[..., 0] - joints[:, None, knuckle, 0]) < 0.010)
        edges.append(np.where(level, side * z, -np.inf).max(1))
    return edges[0] + edges[1]


def shape_space(hands: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [V, 3], components [V, 3, 10] scaled so that betas have unit variance, and the explained share [10].

    The sign of each component makes the hand longer (towards −X) where it is positive.
    """
    mean = hands.mean(0)
    centred = (hands - mean).reshape(len(hands), -1)
    _, values, rows = np.linalg.svd(centred, full_matrices=False)
    rows = rows[:SHAPE_COMPONENTS]
    deviations = values[:SHAPE_COMPONENTS] / np.sqrt(len(hands) - 1)
    directions = (rows * deviations[:, None]).reshape(SHAPE_COMPONENTS, -1, 3)
    growth = (directions * (mean - WRIST)).sum((1, 2))
    directions *= np.where(growth < 0, -1.0, 1.0)[:, None, None]
    explained = values[:SHAPE_COMPONENTS] ** 2 / (values**2).sum()
    return mean, np.moveaxis(directions, 0, -1), explained


def betas_of(hands: np.ndarray, mean: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Shape coefficients [N, 10] of hands [N, V, 3] in a shape space (mean [V, 3], directions [V, 3, 10])."""
    flat = directions.reshape(-1, directions.shape[-1])
    return (hands - mean).reshape(len(hands), -1) @ flat / (flat**2).sum(0)
