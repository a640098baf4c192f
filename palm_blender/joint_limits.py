"""How far each joint turns: the hand model's ranges of motion as constraints of the bones, and the fingers' angles.

The model limits a joint's rotation vector along its axes of flexion, abduction and twist. Blender limits Euler angles; each
bone gets the smallest box of these that holds all that the model allows, so that no pose within the model's limits is
changed, and some a little outside of them pass.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import bpy
import numpy as np

from ..engine.hand.joints import FINGERS
from ..engine.hand.model_file import read_model_file
from . import bone_math, rig

OPEN_HAND = Path(__file__).parents[1] / "assets" / "hand" / "open_hand_right.npz"
CONSTRAINT = "PALM joint limit"
_SLACK = 0.01
"""Radians by which a constraint is wider, so that rounding and neighbours in Euler angles do not touch a pose."""


class JointRanges(NamedTuple):
    """Ranges of motion of joints 1..15."""

    axes: np.ndarray
    """[15,3,3] unit axes (rows) of flexion, abduction and twist in the rest frame; flexion closes the hand."""
    limits: np.ndarray
    """[15,3,2] radians, least and greatest component along each axis."""


@lru_cache(maxsize=2)
def joint_ranges(side: str) -> JointRanges:
    """The open hand's ranges, which other hands with MANO's joints share; mirrored for a left hand."""
    fields = read_model_file(OPEN_HAND)
    # rotation axes are mirrored as rotations are, so that the limits along them stay what they are
    turn = np.array([1.0, -1.0, -1.0]) if side == "left" else np.ones(3)
    return JointRanges(fields["joint_axes"].astype(float) * turn, fields["joint_limits"].astype(float))


def angles_of(hand_pose: np.ndarray, ranges: JointRanges) -> np.ndarray:
    """Components [*,15,3] of poses [*,45] along flexion, abduction and twist, radians."""
    vectors = np.reshape(hand_pose, (*np.shape(hand_pose)[:-1], 15, 3))
    return np.einsum("jcd,...jd->...jc", ranges.axes, vectors)


def pose_of(angles: np.ndarray, ranges: JointRanges) -> np.ndarray:
    """The inverse of `angles_of`: [*,15,3] → [*,45]."""
    return np.einsum("jcd,...jc->...jd", ranges.axes, angles).reshape(*angles.shape[:-2], 45)


def euler_boxes(ranges: JointRanges, bases: np.ndarray, steps: int = 7) -> np.ndarray:
    """Least and greatest XYZ Euler angles [15,3,2] of the bones' own rotations over all that the ranges allow.

    bases [16,3,3]: the bones' rest axes. steps: samples along each axis.
    """
    share = np.linspace(0, 1, steps)
    grid = np.stack(np.meshgrid(share, share, share, indexing="ij"), axis=-1).reshape(-1, 3)
    low, high = ranges.limits[..., 0], ranges.limits[..., 1]
    angles = low + grid[:, None] * (high - low)
    poses = pose_of(angles, ranges).reshape(-1, 15, 3)
    eulers = euler_angles(bone_math.to_bone_rotations(poses, bases[1:]))
    return np.stack([eulers.min(0), eulers.max(0)], axis=-1)


def euler_angles(quaternions: np.ndarray) -> np.ndarray:
    """XYZ Euler angles [*,3], the middle one within ±π/2, of unit quaternions [*,4]: R = Rz Ry Rx, Blender's order."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    return np.stack(
        [
            np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
            np.arcsin(np.clip(2 * (w * y - x * z), -1.0, 1.0)),
            np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
        ],
        axis=-1,
    )


def set_limits(armature: bpy.types.Object, on: bool) -> None:
    """Let the fingers turn only as joints do, or freely. The skin's correctives follow what the constraints leave."""
    boxes = euler_boxes(joint_ranges(rig.side_of(armature)), rig.rest_bases(armature)) if on else None
    for joint, bone in enumerate(rig.joint_bones(armature)[1:]):
        held = bone.constraints.get(CONSTRAINT)
        if boxes is None:
            if held is not None:
                bone.constraints.remove(held)
            continue
        limit = held or bone.constraints.new("LIMIT_ROTATION")
        limit.name, limit.owner_space, limit.euler_order = CONSTRAINT, "LOCAL", "XYZ"
        limit.use_transform_limit = True
        limit.enabled, limit.influence = True, 1.0
        for axis, (low, high) in zip("xyz", boxes[joint], strict=True):
            setattr(limit, f"use_limit_{axis}", True)
            setattr(limit, f"min_{axis}", low - _SLACK)
            setattr(limit, f"max_{axis}", high + _SLACK)
    armature.update_tag()
    bpy.context.view_layer.update()


def are_on(armature: bpy.types.Object) -> bool:
    """Whether the fingers are limited."""
    limits = [bone.constraints.get(CONSTRAINT) for bone in rig.joint_bones(armature)[1:]]
    return all(limit is not None and limit.enabled for limit in limits)


def finger_joints(finger: str) -> slice:
    """Where a finger's three joints lie among joints 1..15."""
    first = 3 * FINGERS.index(finger)
    return slice(first, first + 3)
