"""Named poses of the open hand, as MANO parameters in `assets/poses/`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tools.open_hand.skeleton import FINGERS

Angles = tuple[float, float, float]
FingerAngles = tuple[Angles, Angles, Angles]


def _bent(knuckle: float, middle: float, end: float, abduction: float = 0.0) -> FingerAngles:
    return (knuckle, abduction, 0.0), (middle, 0.0, 0.0), (end, 0.0, 0.0)


_STRAIGHT = _bent(0, 0, 0)

NAMED_POSES_DEG: dict[str, dict[str, FingerAngles]] = {
    "flat": {},
    "relaxed": {
        "index": _bent(18, 24, 12), "middle": _bent(24, 30, 15, 2), "ring": _bent(28, 34, 18, 4),
        "pinky": _bent(30, 34, 20, 8), "thumb": ((8, 12, 25), (8, 0, 0), (12, 0, 0)),
    },
    "fist": {
        "index": _bent(82, 103, 72, -6), "middle": _bent(86, 104, 74, 2), "ring": _bent(88, 104, 74, 9),
        "pinky": _bent(88, 100, 74, 17), "thumb": ((44, 25, 47), (29, 7, 6), (39, 0, 0)),
    },
    "pinch": {
        "index": _bent(57, 46, 19, -1.3), "middle": _bent(38, 34, 18, 2), "ring": _bent(30, 30, 16, 3),
        "pinky": _bent(26, 26, 14, 4), "thumb": ((40, 38, 54), (10, 0, 8), (9, 0, 0)),
    },
    "point": {
        "index": _bent(4, 3, 2), "middle": _bent(84, 103, 72, 2), "ring": _bent(87, 103, 72, 8),
        "pinky": _bent(88, 100, 72, 15), "thumb": ((45, 24, 48), (27, 7, 6), (37, 0, 0)),
    },
    "spread": {
        "index": _bent(-6, 0, 0, 14), "middle": _bent(-6, 0, 0, 2), "ring": _bent(-6, 0, 0, -9),
        "pinky": _bent(-6, 0, 0, -18), "thumb": ((-14, 4, 0), (-6, 0, 0), (-8, 0, 0)),
    },
    "thumbs_up": {
        "index": _bent(82, 103, 72, -6), "middle": _bent(86, 104, 74, 2), "ring": _bent(88, 104, 74, 9),
        "pinky": _bent(88, 100, 74, 17), "thumb": ((-20, -4, 0), (-8, 0, 0), (-14, 0, 0)),
    },
}  # fmt: skip
"""Degrees about each joint's flexion, abduction and twist axes."""


def hand_pose(angles_deg: np.ndarray, joint_axes: np.ndarray) -> np.ndarray:
    """Rotation vectors [*, 45] from degrees [*, 15, 3] about the joints' axes [15, 3, 3]."""
    vectors = np.einsum("...ja,jax->...jx", np.deg2rad(angles_deg), joint_axes)
    return vectors.reshape(*vectors.shape[:-2], 45)


def named_angles(name: str) -> np.ndarray:
    """Degrees [15, 3] of a named pose, joints in MANO's order."""
    return np.concatenate([np.array(NAMED_POSES_DEG[name].get(f, _STRAIGHT), float) for f in FINGERS])


def write_poses(folder: Path, joint_axes: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMED_POSES_DEG:
        pose = hand_pose(named_angles(name), joint_axes.astype(float))
        document = {
            "side": "right", "fps": None, "convention": "flat_hand",
            "global_orient": [[0.0, 0.0, 0.0]], "hand_pose": [[round(float(x), 5) + 0.0 for x in pose]],
            "transl": [[0.0, 0.0, 0.0]], "betas": [0.0] * 10,
        }  # fmt: skip
        temporary = folder / f"{name}.partial"
        temporary.write_text(json.dumps(document, indent=1) + "\n")
        temporary.replace(folder / f"{name}.json")
