"""Joint and keypoint tables: MANO's order, the project's 21 keypoints, and the orders of other tools.

Plain NumPy, importable without torch and without bpy.
"""

from __future__ import annotations

import numpy as np

FINGERS = ("index", "middle", "pinky", "ring", "thumb")
"""Finger order of MANO's joints 1..15, three joints each."""

JOINT_NAMES: tuple[str, ...] = ("wrist", *(f"{finger}{k}" for finger in FINGERS for k in (1, 2, 3)))
"""MANO's 16 joints."""

MANO_PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""Parent of each joint, -1 for the root."""

TIP_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
"""Finger order of the five tips that follow the joints."""

KEYPOINT_NAMES: tuple[str, ...] = (*JOINT_NAMES, *(f"{finger}_tip" for finger in TIP_FINGERS))
"""The project's 21 keypoints: MANO's joints, then the tips."""

KEYPOINT_PARENTS: tuple[int, ...] = (*MANO_PARENTS, 15, 3, 6, 12, 9)
"""Parent of each keypoint: a tip hangs on its finger's last joint."""

_WRIST_THEN_FINGERS = tuple(
    ["wrist"] + [name for finger in TIP_FINGERS for name in (*(f"{finger}{k}" for k in (1, 2, 3)), f"{finger}_tip")]
)

OTHER_ORDERS: dict[str, tuple[str, ...]] = {
    "palm": KEYPOINT_NAMES,
    # wrist, then thumb to little finger, each from root to tip
    "mediapipe": _WRIST_THEN_FINGERS,
    "openpose": _WRIST_THEN_FINGERS,
    "harp": _WRIST_THEN_FINGERS,
    "freihand": _WRIST_THEN_FINGERS,
    # InterHand2.6M: thumb to little finger, each from tip to root, wrist last
    "interhand": tuple([n for f in TIP_FINGERS for n in (f"{f}_tip", *(f"{f}{k}" for k in (3, 2, 1)))] + ["wrist"]),
    # smplx's own MANO output order is the project's
    "smplx": KEYPOINT_NAMES,
}
"""Keypoint names in the order each tool writes them."""


def keypoint_order(name: str) -> np.ndarray:
    """Index array `o` [21] with palm = other[o]: where each project keypoint stands in another tool's order.

    name: a key of OTHER_ORDERS. Raises KeyError for an unknown name.
    """
    other = OTHER_ORDERS[name]
    return np.array([other.index(keypoint) for keypoint in KEYPOINT_NAMES])


def to_palm(keypoints: np.ndarray, order: str) -> np.ndarray:
    """Keypoints [*, 21, D] in a tool's order → the project's order."""
    return np.asarray(keypoints)[..., keypoint_order(order), :]


def from_palm(keypoints: np.ndarray, order: str) -> np.ndarray:
    """Keypoints [*, 21, D] in the project's order → a tool's order."""
    return np.asarray(keypoints)[..., np.argsort(keypoint_order(order)), :]
