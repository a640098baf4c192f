"""MANO poses on the rig: one pose, or a sequence as an action."""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.errors import PoseFileError
from ..engine.hand.pose_files import PoseSequence
from . import bone_math, compat, rig


def apply_pose(
    armature: bpy.types.Object, global_orient: np.ndarray, hand_pose: np.ndarray, transl: np.ndarray
) -> None:
    """Set the bones to one MANO pose: global_orient [3], hand_pose [45] axis-angle radians, transl [3] metres."""
    poses = PoseSequence(np.reshape(global_orient, (1, 3)), np.reshape(hand_pose, (1, 45)), np.reshape(transl, (1, 3)))
    rotations, locations = bone_channels(armature, poses)
    for joint, bone in enumerate(rig.joint_bones(armature)):
        bone.rotation_mode = "QUATERNION"
        bone.rotation_quaternion = rotations[0, joint]
    rig.joint_bones(armature)[0].location = locations[0]


def read_pose(armature: bpy.types.Object) -> PoseSequence:
    """The pose that the bones' channels hold now, as one frame of MANO parameters."""
    bones = rig.joint_bones(armature)
    bases = rig.rest_bases(armature)
    quaternions = np.array([bone.matrix_basis.to_quaternion() for bone in bones], dtype=float)
    axis_angle = bone_math.from_bone_rotations(quaternions, bases)
    return PoseSequence(
        global_orient=axis_angle[None, 0],
        hand_pose=axis_angle[None, 1:].reshape(1, 45),
        transl=(bases[0] @ np.array(bones[0].location, dtype=float))[None],
        betas=rig.get_betas(armature),
        side=rig.side_of(armature),
    )


def bone_channels(armature: bpy.types.Object, poses: PoseSequence) -> tuple[np.ndarray, np.ndarray]:
    """Quaternions [T,16,4] of the bones and locations [T,3] of the wrist bone, in the bones' own axes.

    Raises PoseFileError for numbers that are not finite.
    """
    count = len(poses)
    axis_angle = np.concatenate([poses.global_orient, poses.hand_pose], axis=1, dtype=float).reshape(count, 16, 3)
    if not (np.isfinite(axis_angle).all() and np.isfinite(poses.transl).all()):
        raise PoseFileError("the pose holds NaN or infinite numbers: export it again")
    bases = rig.rest_bases(armature)
    rotations = bone_math.continuous_signs(bone_math.to_bone_rotations(axis_angle, bases))
    return rotations, np.asarray(poses.transl, dtype=float) @ bases[0]


def add_action(
    armature: bpy.types.Object, poses: PoseSequence, name: str, start_frame: int = 0, scene_fps: float | None = None
) -> bpy.types.Action:
    """A sequence as an action on the armature, one key a pose, written in bulk.

    Pose t lands on frame start_frame + t, or, where both the file's and the scene's frame rates are known, at its time.
    """
    rotations, locations = bone_channels(armature, poses)
    rate = scene_fps / poses.fps if scene_fps and poses.fps else 1.0
    frames = start_frame + rate * np.arange(len(poses))
    action, curves = compat.new_action(name, armature)
    for joint, bone in enumerate(rig.joint_bones(armature)):
        bone.rotation_mode = "QUATERNION"
        for component in range(4):
            _add_curve(
                curves, bone.path_from_id("rotation_quaternion"), component, frames, rotations[:, joint, component]
            )
    wrist = rig.joint_bones(armature)[0]
    for component in range(3):
        _add_curve(curves, wrist.path_from_id("location"), component, frames, locations[:, component])
    return action


def _add_curve(curves: object, path: str, index: int, frames: np.ndarray, values: np.ndarray) -> None:
    curve = curves.new(path, index=index)
    curve.keyframe_points.add(len(frames))
    points = np.stack([frames, values], axis=1).astype(np.float32)
    curve.keyframe_points.foreach_set("co", points.ravel())
    linear = bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items["LINEAR"].value
    curve.keyframe_points.foreach_set("interpolation", np.full(len(frames), linear, dtype=np.int32))
    curve.update()
