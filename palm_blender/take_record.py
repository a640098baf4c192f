"""The numbers that an action was made from, kept with it.

An action holds 32-bit quaternions. Poses that nobody changed since are given back as the very numbers that came in; stored
as plain custom properties of the action.
"""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np

from ..engine.hand.pose_files import PoseSequence

FRAMES, ORIENT, POSE, TRANSL = "palm_frames", "palm_global_orient", "palm_hand_pose", "palm_transl"
UNCHANGED = 4e-6
"""How far a bone's quaternion may be from the record and still count as untouched: a few roundings of 32 bits."""


def remember(action: bpy.types.Action, frames: np.ndarray, poses: PoseSequence) -> None:
    """Keep the poses, each with its frame [T]."""
    for name, values in (
        (FRAMES, frames),
        (ORIENT, poses.global_orient),
        (POSE, poses.hand_pose),
        (TRANSL, poses.transl),
    ):
        action[name] = np.asarray(values, dtype=float).ravel().tolist()


def forget(action: bpy.types.Action) -> None:
    """For an action whose curves were changed as a whole."""
    for name in (FRAMES, ORIENT, POSE, TRANSL):
        if name in action:
            del action[name]


def recall(action: bpy.types.Action) -> tuple[np.ndarray, PoseSequence] | None:
    """(frames [T], poses) of an action that has them whole, else None."""
    if any(name not in action for name in (FRAMES, ORIENT, POSE, TRANSL)):
        return None
    frames = np.array(action[FRAMES], dtype=float)
    orient, pose, transl = (np.array(action[name], dtype=float) for name in (ORIENT, POSE, TRANSL))
    if (orient.size, pose.size, transl.size) != (3 * len(frames), 45 * len(frames), 3 * len(frames)):
        return None
    return frames, PoseSequence(orient.reshape(-1, 3), pose.reshape(-1, 45), transl.reshape(-1, 3))


def restored(poses: PoseSequence, recorded: PoseSequence, untouched: np.ndarray) -> PoseSequence:
    """The poses with the recorded numbers where untouched [T] bool."""
    chosen = untouched[:, None]
    return replace(
        poses,
        global_orient=np.where(chosen, recorded.global_orient, poses.global_orient),
        hand_pose=np.where(chosen, recorded.hand_pose, poses.hand_pose),
        transl=np.where(chosen, recorded.transl, poses.transl),
    )
