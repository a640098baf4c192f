"""What is done to a sequence of MANO poses before it drives a hand. NumPy only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..engine.hand.pose_files import PoseSequence
from .bone_math import continuous_signs, from_bone_rotations, mirror_axis_angle, to_bone_rotations


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


def resampled(poses: PoseSequence, fps: float) -> PoseSequence:
    """The same motion with `fps` poses a second, as long as the file's own rate is known.

    Rotations run along their shortest way (slerp), the wrist straight. Poses whose time stays are kept to the bit, as all
    are from 120 to 30.
    """
    if poses.fps is None or poses.fps == fps or len(poses) < 2:
        return replace(poses, fps=poses.fps or fps)
    count = int((len(poses) - 1) * fps / poses.fps + 1e-6) + 1
    at = np.arange(count) * poses.fps / fps
    first = np.minimum(np.floor(at + 1e-6).astype(int), len(poses) - 1)
    second = np.minimum(first + 1, len(poses) - 1)
    share = np.clip(at - first, 0.0, 1.0)
    share[share < 1e-6] = 0.0
    joints = _joint_vectors(poses)
    a, b = (_quaternions(joints[index]) for index in (first, second))
    mixed = _vectors(_slerp(a, b, share[:, None]))
    mixed[share == 0] = joints[first[share == 0]]
    transl = poses.transl[first] + share[:, None] * (poses.transl[second] - poses.transl[first])
    note = f"{len(poses)} poses at {poses.fps:g} a second became {count} at {fps:g}"
    return _with_joints(replace(poses, transl=transl, fps=fps, notes=(*poses.notes, note)), mixed)


def smoothed(poses: PoseSequence, frames: float) -> PoseSequence:
    """The motion with jitter taken out by a Gaussian of this standard deviation, in poses; 0 changes nothing.

    Rotations are averaged as quaternions brought onto one half of the sphere, which for the small angles within a Gaussian is
    their mean rotation. At the ends the Gaussian is cut off, so that the first and the last pose are not drawn to rest.
    """
    if frames <= 0 or len(poses) < 3:
        return poses
    reach = min(int(np.ceil(4 * frames)), len(poses) - 1)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / frames) ** 2)
    joints = continuous_signs(_quaternions(_joint_vectors(poses)))
    values = np.concatenate([joints.reshape(len(poses), -1), poses.transl], axis=1)
    total, weight = np.zeros_like(values), np.zeros((len(poses), 1))
    for offset, amount in zip(offsets, kernel, strict=True):
        here = slice(max(0, -offset), len(poses) - max(0, offset))
        there = slice(max(0, offset), len(poses) - max(0, -offset))
        total[here] += amount * values[there]
        weight[here] += amount
    mean = total / weight
    note = f"smoothed by a Gaussian of {frames:g} poses"
    rotations = _vectors(mean[:, :64].reshape(-1, 16, 4))
    return _with_joints(replace(poses, transl=mean[:, 64:], notes=(*poses.notes, note)), rotations)


_SAME_AXES = np.broadcast_to(np.eye(3), (16, 3, 3))


def _joint_vectors(poses: PoseSequence) -> np.ndarray:
    return np.concatenate([poses.global_orient, poses.hand_pose], axis=1, dtype=float).reshape(-1, 16, 3)


def _with_joints(poses: PoseSequence, joints: np.ndarray) -> PoseSequence:
    return replace(poses, global_orient=joints[:, 0], hand_pose=joints[:, 1:].reshape(-1, 45))


def _quaternions(vectors: np.ndarray) -> np.ndarray:
    return to_bone_rotations(vectors, _SAME_AXES)


def _vectors(quaternions: np.ndarray) -> np.ndarray:
    return from_bone_rotations(quaternions, _SAME_AXES)


def _slerp(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Quaternions [T,J,4] between a and b along the shortest way. share [T,1]."""
    cosine = (a * b).sum(-1)
    b = np.where(cosine[..., None] < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    near = angle < 1e-6
    sine = np.where(near, 1.0, np.sin(angle))
    of_a = np.where(near, 1 - share, np.sin((1 - share) * angle) / sine)
    of_b = np.where(near, share, np.sin(share * angle) / sine)
    return of_a[..., None] * a + of_b[..., None] * b
