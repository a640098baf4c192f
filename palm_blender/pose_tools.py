"""Posing by hand: fingers curled and spread by one number each, resetting, mirroring, and keys where recording is on.

A slider holds nothing of its own: it reads what the bones show and writes their rotations, so it is true after undo, import
and playback. Angles of sideways movement and twist stay when a finger curls.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..engine.errors import InputError
from ..engine.hand.joints import FINGERS
from ..engine.hand.pose_files import PoseSequence
from . import animation, bone_math, joint_limits, pose_sequences, rig
from .synthesis import poses as gestures

SPREAD_SHARES = {"index": 1.0, "middle": 0.15, "ring": -0.55, "pinky": -1.0}
"""How far each finger goes of its range towards the thumb's side, or away from it, as the hand spreads."""
THUMB_ASIDE = 12
"""The joint, of 1..15 from 0, by which the thumb moves away from the palm."""


def finger_curl(armature: bpy.types.Object, finger: str) -> float:
    """How far a finger is bent: 0 straight, 1 as far as it goes, negative backwards. finger: one of FINGERS."""
    chosen = joint_limits.finger_joints(finger)
    ranges, angles = _angles(armature)
    bend, limits = angles[chosen, 0].sum(), ranges.limits[chosen, 0].sum(0)
    return float(bend / (limits[1] if bend >= 0 else -limits[0]))


def set_finger_curl(armature: bpy.types.Object, finger: str, curl: float) -> None:
    """Bend a finger's three joints by the same share of their ranges. curl: -1 to 1."""
    chosen = joint_limits.finger_joints(finger)
    ranges, angles = _angles(armature)
    curl = float(np.clip(curl, -1.0, 1.0))
    low, high = ranges.limits[chosen, 0].T
    angles[chosen, 0] = curl * (high if curl >= 0 else -low)
    _write(armature, chosen, ranges, angles)


def spread(armature: bpy.types.Object) -> float:
    """How far the fingers are fanned out, 0 beside each other, 1 as far as they go, negative crossed."""
    ranges, angles = _angles(armature)
    shares = []
    for finger, share in SPREAD_SHARES.items():
        knuckle = joint_limits.finger_joints(finger).start
        shares.append(angles[knuckle, 1] / _reach(ranges, knuckle, share) * abs(share))
    return float(sum(shares) / sum(map(abs, SPREAD_SHARES.values())))


def set_spread(armature: bpy.types.Object, value: float) -> None:
    """Fan the four fingers out at their knuckles. value: -1 to 1."""
    value = float(np.clip(value, -1.0, 1.0))
    ranges, angles = _angles(armature)
    for finger, share in SPREAD_SHARES.items():
        knuckle = joint_limits.finger_joints(finger).start
        angles[knuckle, 1] = value * _reach(ranges, knuckle, share)
        _write(armature, slice(knuckle, knuckle + 1), ranges, angles)


def _reach(ranges: joint_limits.JointRanges, joint: int, share: float) -> float:
    """Radians sideways at spread 1: a share of the range towards the thumb's side, or, negative, away from it."""
    low, high = ranges.limits[joint, 1]
    return float(share * (high if share > 0 else -low))


def thumb_aside(armature: bpy.types.Object) -> float:
    """How far the thumb stands off the palm: 0 beside it, 1 as far as it goes, negative across."""
    ranges, angles = _angles(armature)
    low, high = ranges.limits[THUMB_ASIDE, 1]
    angle = float(angles[THUMB_ASIDE, 1])
    return float(angle / (high if angle >= 0 else -low))


def set_thumb_aside(armature: bpy.types.Object, value: float) -> None:
    """Move the thumb away from the palm. value: -1 to 1."""
    ranges, angles = _angles(armature)
    low, high = ranges.limits[THUMB_ASIDE, 1]
    value = float(np.clip(value, -1.0, 1.0))
    angles[THUMB_ASIDE, 1] = value * (high if value >= 0 else -low)
    _write(armature, slice(THUMB_ASIDE, THUMB_ASIDE + 1), ranges, angles)


def _angles(armature: bpy.types.Object) -> tuple[joint_limits.JointRanges, np.ndarray]:
    """The ranges of the hand's joints, and angles [15,3] of joints 1..15 as their channels hold them."""
    side = rig.side_of(armature)
    names = [bone_math.bone_name(joint, side) for joint in range(1, 16)]
    turned = _matrices(armature, armature.pose.bones, "matrix_basis", names)
    rest = _matrices(armature, armature.data.bones, "matrix_local", names)
    return joint_limits.joint_ranges(side), angles_of_matrices(side, turned, rest).copy()


def _matrices(armature: bpy.types.Object, bones: Any, kind: str, names: list[str]) -> bytes:
    """A matrix of each named bone, [15,4,4] of 32 bits, columns first as Blender gives them all at once."""
    places = [bones.find(name) for name in names]
    if min(places) < 0:
        missing = names[places.index(-1)]
        raise InputError(f"{armature.name} has no bone {missing}: restore its name, or import the avatar again")
    values = np.empty(16 * len(bones), dtype=np.float32)
    bones.foreach_get(kind, values)
    return values.reshape(-1, 4, 4)[places].tobytes()


@lru_cache(maxsize=8)
def angles_of_matrices(side: str, turned: bytes, rest: bytes) -> np.ndarray:
    """Angles [15,3] of what `_matrices` reads. Kept, because a panel's sliders all ask about one pose, time and again."""
    bases, turns = (
        np.frombuffer(held, dtype=np.float32).reshape(15, 4, 4).transpose(0, 2, 1)[:, :3, :3].astype(float)
        for held in (rest, turned)
    )
    quaternions = np.array([Matrix(turn.tolist()).to_quaternion() for turn in turns], dtype=float)
    vectors = bone_math.from_bone_rotations(quaternions, bases)
    angles = np.einsum("jcd,jd->jc", joint_limits.joint_ranges(side).axes, vectors)
    angles.flags.writeable = False
    return angles


def _write(armature: bpy.types.Object, chosen: slice, ranges: joint_limits.JointRanges, angles: np.ndarray) -> None:
    """Turn the chosen of joints 1..15 by their angles, of [15,3]."""
    bones = _bones(armature, chosen)
    vectors = np.einsum("jcd,jc->jd", ranges.axes[chosen], angles[chosen])
    for bone, rotation in zip(bones, bone_math.to_bone_rotations(vectors, _bases(bones)), strict=True):
        bone.rotation_mode = "QUATERNION"
        bone.rotation_quaternion = rotation
    armature.update_tag()


def _bones(armature: bpy.types.Object, chosen: slice) -> list[bpy.types.PoseBone]:
    side = rig.side_of(armature)
    names = [bone_math.bone_name(joint, side) for joint in range(1, 16)[chosen]]
    missing = [name for name in names if name not in armature.pose.bones]
    if missing:
        raise InputError(f"{armature.name} has no bone {missing[0]}: restore its name, or import the avatar again")
    return [armature.pose.bones[name] for name in names]


def _bases(bones: list[bpy.types.PoseBone]) -> np.ndarray:
    return np.array([bone.bone.matrix_local.to_3x3() for bone in bones], dtype=float)


def set_hand_pose(armature: bpy.types.Object, hand_pose: np.ndarray) -> None:
    """Put the fingers into a pose [45] of this hand's side; the wrist stays."""
    now = animation.read_pose(armature)
    animation.apply_pose(armature, now.global_orient[0], hand_pose, now.transl[0])


def reset(armature: bpy.types.Object, wrist: bool = False) -> None:
    """The flat hand; with `wrist` also where it was built, else the wrist stays."""
    if wrist:
        animation.apply_pose(armature, np.zeros(3), np.zeros(45), np.zeros(3))
    else:
        set_hand_pose(armature, np.zeros(45))


def set_pose(armature: bpy.types.Object, poses: PoseSequence, wrist: bool = True) -> tuple[str, ...]:
    """The first of the poses, mirrored where it is the other hand's; without `wrist` the fingers only. Returns what was
    decided, in words."""
    fitting = pose_sequences.for_side(poses, rig.side_of(armature))
    if wrist:
        animation.apply_pose(armature, fitting.global_orient[0], fitting.hand_pose[0], fitting.transl[0])
    else:
        set_hand_pose(armature, fitting.hand_pose[0])
    return fitting.notes


def mirror_pose(source: bpy.types.Object, target: bpy.types.Object, wrist: bool = False) -> None:
    """Give one hand the other's pose: mirrored where they are of different sides, else as it is.

    wrist: also its place and turn, mirrored in X = 0 of the armatures' own spaces.
    """
    if source == target:
        raise InputError("select two hands: the active one gives its pose to the other")
    shown = animation.read_pose(source, as_shown=joint_limits.are_on(source))
    set_pose(target, shown, wrist)


def other_hand(armature: bpy.types.Object, hands: list[bpy.types.Object]) -> bpy.types.Object | None:
    """The hand meant by "the other one": the selected one, else the only one of the other side, else the only other."""
    others = [hand for hand in hands if hand != armature]
    opposite = [hand for hand in others if hand[rig.SIDE] != armature[rig.SIDE]]
    for found in ([hand for hand in others if hand.select_get()], opposite, others):
        if len(found) == 1:
            return found[0]
    return None


def key_bones(armature: bpy.types.Object, frame: float) -> None:
    """Keys of the hand's pose at a frame: what the bones' channels hold."""
    bones = rig.joint_bones(armature)
    for bone in bones:
        bone.keyframe_insert("rotation_quaternion", frame=frame)
    bones[0].keyframe_insert("location", frame=frame)


def key_if_recording(armature: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Insert keys where Blender's automatic keying is on, as its own tools do."""
    if scene.tool_settings.use_keyframe_insert_auto:
        key_bones(armature, scene.frame_current)


def fingers() -> tuple[str, ...]:
    """The fingers in the order of the hand, from the thumb."""
    return tuple(sorted(FINGERS, key=("thumb", "index", "middle", "ring", "pinky").index))


def apply_gesture(armature: bpy.types.Object, name: str, amount: float = 1.0) -> None:
    """Put the fingers into a named gesture, or a share of the way there; the wrist stays. Raises PoseFileError."""
    hand_pose = gestures.load_gesture(name)
    if rig.side_of(armature) == "left":
        hand_pose = bone_math.mirror_axis_angle(hand_pose.reshape(15, 3)).ravel()
    if amount < 1.0:
        now = animation.read_pose(armature).hand_pose[0]
        hand_pose = gestures.slerp(now, hand_pose, np.full((1, 15), max(amount, 0.0)))[0]
    set_hand_pose(armature, hand_pose)
