"""Poses of a video in which some frames are missing → one pose for every frame. NumPy only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .pose_files import PoseSequence


def bridged(poses: PoseSequence, at: np.ndarray) -> PoseSequence:
    """Poses seen at frames `at` → one for every frame, by the shortest rotations between neighbours."""
    if at[-1] + 1 == len(at):
        return poses
    frames = np.arange(at[-1] + 1)
    after = np.searchsorted(at, frames)
    before = np.where(at[after] == frames, after, after - 1)
    span = np.maximum(at[after] - at[before], 1)
    share = (frames - at[before]) / span

    def mixed(vectors: np.ndarray) -> np.ndarray:
        joints = vectors.reshape(len(vectors), -1, 3)
        a, b = _quaternions(joints[before]), _quaternions(joints[after])
        b = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
        # between neighbours of a video the normalised mean runs as the great circle does
        between = _vectors(a + share[:, None, None] * (b - a))
        return np.where((share > 0)[:, None, None], between, joints[before]).reshape(len(frames), -1)

    shift = poses.transl[before] + share[:, None] * (poses.transl[after] - poses.transl[before])
    return replace(poses, global_orient=mixed(poses.global_orient), hand_pose=mixed(poses.hand_pose), transl=shift)


def _quaternions(vectors: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), vectors * 0.5 * np.sinc(angle / (2 * np.pi))], axis=-1)


def _vectors(quaternions: np.ndarray) -> np.ndarray:
    quaternions = quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)
    quaternions = np.where(quaternions[..., :1] < 0, -quaternions, quaternions)
    sine = np.linalg.norm(quaternions[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternions[..., :1])
    return quaternions[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)
