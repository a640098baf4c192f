"""What is done to a sequence of MANO poses before it drives a hand. NumPy only."""

from __future__ import annotations

import numpy as np

from ..engine.hand.pose_files import PoseSequence
from .bone_math import mirror_axis_angle


def for_side(poses: PoseSequence, side: str) -> PoseSequence:
    """The poses for a hand of this side: mirrored in X when the file says that they are the other hand's."""
    if poses.side in (None, side):
        return poses
    return PoseSequence(
        global_orient=mirror_axis_angle(poses.global_orient),
        hand_pose=mirror_axis_angle(poses.hand_pose.reshape(-1, 15, 3)).reshape(-1, 45),
        transl=poses.transl * np.array([-1.0, 1.0, 1.0]),
        betas=poses.betas,
        side=side,
        fps=poses.fps,
        notes=(*poses.notes, f"the {poses.side} hand's poses were mirrored for this {side} hand"),
    )


def placed_at(poses: PoseSequence, global_orient: np.ndarray, transl: np.ndarray) -> PoseSequence:
    """The fingers' motion only: the wrist stays where these parameters put it."""
    count = len(poses)
    return PoseSequence(
        global_orient=np.tile(np.reshape(global_orient, (1, 3)), (count, 1)),
        hand_pose=poses.hand_pose,
        transl=np.tile(np.reshape(transl, (1, 3)), (count, 1)),
        betas=poses.betas,
        side=poses.side,
        fps=poses.fps,
        notes=poses.notes,
    )
