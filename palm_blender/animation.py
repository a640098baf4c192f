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


def read_pose(armature: bpy.types.Object, as_shown: bool = False) -> PoseSequence:
    """The pose that the bones' channels hold now, as one frame of MANO parameters.

    as_shown: with what constraints, such as the joints' limits, have made of it.
    """
    bones = rig.joint_bones(armature)
    matrices = [bone.matrix_basis for bone in bones]
    if as_shown:
        shown = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        matrices = [
            shown.convert_space(pose_bone=bone, matrix=bone.matrix, from_space="POSE", to_space="LOCAL")
            for bone in rig.joint_bones(shown)
        ]
    quaternions = np.array([matrix.to_quaternion() for matrix in matrices], dtype=float)
    return pose_from_channels(armature, quaternions[None], np.array(matrices[0].translation, dtype=float)[None])


def pose_from_channels(armature: bpy.types.Object, rotations: np.ndarray, locations: np.ndarray) -> PoseSequence:
    """The inverse of `bone_channels`: quaternions [T,16,4] and the wrist's locations [T,3] as MANO parameters."""
    bases = rig.rest_bases(armature)
    axis_angle = bone_math.from_bone_rotations(rotations, bases)
    return PoseSequence(
        global_orient=axis_angle[:, 0],
        hand_pose=axis_angle[:, 1:].reshape(len(axis_angle), 45),
        transl=locations @ bases[0].T,
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


def action_of(armature: bpy.types.Object) -> bpy.types.Action | None:
    """What animates the hand now."""
    return armature.animation_data.action if armature.animation_data else None


def add_action(
    armature: bpy.types.Object,
    poses: PoseSequence,
    name: str,
    start_frame: int = 0,
    scene_fps: float | None = None,
    keep_earlier: bool = True,
) -> bpy.types.Action:
    """A sequence as an action on the armature, one key a pose, written in bulk.

    Pose t lands on frame start_frame + t, or, where both the file's and the scene's frame rates are known, at its time.
    keep_earlier: the action that the hand had gets a fake user, without which saving would forget it.
    """
    earlier = action_of(armature)
    if keep_earlier and earlier is not None and earlier.library is None:
        earlier.use_fake_user = True
    rotations, locations = bone_channels(armature, poses)
    rate = scene_fps / poses.fps if scene_fps and poses.fps else 1.0
    frames = start_frame + rate * np.arange(len(poses))
    action, curves = compat.new_action(name, armature)
    for joint, bone in enumerate(rig.joint_bones(armature)):
        bone.rotation_mode = "QUATERNION"
        for component in range(4):
            add_curve(
                curves, bone.path_from_id("rotation_quaternion"), component, frames, rotations[:, joint, component]
            )
    wrist = rig.joint_bones(armature)[0]
    for component in range(3):
        add_curve(curves, wrist.path_from_id("location"), component, frames, locations[:, component])
    return action


def add_curve(curves: object, path: str, index: int, frames: np.ndarray, values: np.ndarray) -> None:
    """One channel: keys at frames [T] with values [T], straight lines between."""
    curve = curves.new(path, index=index)
    curve.keyframe_points.add(len(frames))
    points = np.stack([frames, values], axis=1).astype(np.float32)
    curve.keyframe_points.foreach_set("co", points.ravel())
    linear = bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items["LINEAR"].value
    curve.keyframe_points.foreach_set("interpolation", np.full(len(frames), linear, dtype=np.int32))
    curve.update()
