"""Pose files onto a hand as an action, and a hand's animation back into a pose file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np

from ..engine.errors import InputError, PoseFileError
from ..engine.hand.pose_files import PoseSequence, save_pose_file
from ..engine.hand.pose_sources import load_poses
from . import animation, compat, joint_limits, pose_sequences, rig, take_record

TIMINGS = ("SPEED", "RESAMPLE", "FRAMES")
MOST_FRAMES = 200_000


@dataclass(frozen=True)
class TakeSettings:
    """How poses become an action."""

    start_frame: int = 1
    timing: str = "SPEED"
    """SPEED: as fast as recorded, with the file's own poses as keys, between frames where rates differ. RESAMPLE: as fast as
    recorded, with one key on every frame. FRAMES: one pose a frame, whatever the rates."""
    source_fps: float = 0.0
    """Poses a second of the file; 0 for what the file says."""
    smoothing: float = 0.0
    """Standard deviation of a Gaussian, in scene frames; 0 for none."""
    wrist: str = "FILE"
    """FILE: the wrist goes where the file puts it. STAY: only the fingers move."""
    use_betas: bool = False
    """Give the hand the file's shape."""


@dataclass(frozen=True)
class Take:
    """What importing made."""

    action: bpy.types.Action
    frames: int
    """Poses that became keys."""
    last_frame: float
    notes: tuple[str, ...]
    """What was decided about the poses, in words."""


def import_take(
    armature: bpy.types.Object, poses: PoseSequence, name: str, scene: bpy.types.Scene, settings: TakeSettings
) -> Take:
    """Put a sequence on the hand as its action; the scene's end moves out to the last pose.

    Raises PoseFileError for poses that cannot be used, InputError for impossible settings.
    """
    if settings.timing not in TIMINGS:
        raise InputError(f"timing {settings.timing!r} is unknown: choose one of {', '.join(TIMINGS)}")
    if len(poses) > MOST_FRAMES:
        raise PoseFileError(f"{name} has {len(poses)} poses, more than {MOST_FRAMES}: cut it into parts")
    scene_fps = scene.render.fps / scene.render.fps_base
    poses = pose_sequences.for_side(poses, rig.side_of(armature))
    if settings.source_fps > 0:
        poses = replace(poses, fps=settings.source_fps)
    if settings.timing == "FRAMES":
        poses = replace(poses, fps=scene_fps)
    if poses.fps is None:
        note = f"the file names no frame rate: one pose was put on each frame ({scene_fps:g} a second)"
        poses = replace(poses, fps=scene_fps, notes=(*poses.notes, note))
    if settings.wrist == "STAY":
        now = animation.read_pose(armature)
        poses = pose_sequences.placed_at(poses, now.global_orient[0], now.transl[0])
    poses = pose_sequences.smoothed(poses, settings.smoothing * poses.fps / scene_fps)
    if settings.timing == "RESAMPLE":
        poses = pose_sequences.resampled(poses, scene_fps)
    if settings.use_betas:
        if poses.betas is None:
            raise PoseFileError(f"{name} holds no shape (betas): import it without the file's shape")
        rig.set_betas(armature, np.clip(poses.betas, -rig.BETA_RANGE, rig.BETA_RANGE))
    earlier = animation.action_of(armature)
    action = animation.add_action(armature, poses, name, settings.start_frame, scene_fps)
    frames = settings.start_frame + scene_fps / poses.fps * np.arange(len(poses))
    take_record.remember(action, frames, poses)
    scene.frame_end = max(scene.frame_end, int(np.ceil(frames[-1] - 1e-6)))
    notes = (*poses.notes, f"the earlier action {earlier.name} is kept") if earlier is not None else poses.notes
    return Take(action, len(poses), float(frames[-1]), notes)


def export_take(armature: bpy.types.Object, path: Path, scene: bpy.types.Scene) -> PoseSequence:
    """Write the hand's animation, or its pose where it has none, as MANO parameters (.npz or .json).

    Poses that were imported and not changed since are written with the numbers that came in. With joint limits on, what is
    seen is written. Raises PoseFileError, OutputError.
    """
    poses = animated_poses(armature, scene)
    save_pose_file(path, poses)
    return poses


def animated_poses(armature: bpy.types.Object, scene: bpy.types.Scene) -> PoseSequence:
    """The hand's animation as MANO parameters: at its keys where these are evenly spaced, else at every frame."""
    action = animation.action_of(armature)
    if action is None:
        return animation.read_pose(armature, as_shown=joint_limits.are_on(armature))
    frames = key_frames(action)
    scene_fps = scene.render.fps / scene.render.fps_base
    spacing = float(np.median(np.diff(frames))) if len(frames) > 1 else 1.0
    even = len(frames) > 1 and np.abs(np.diff(frames) - spacing).max() < 1e-3
    if len(frames) > 1 and not even:
        frames, spacing = np.arange(np.floor(frames[0]), np.ceil(frames[-1]) + 1), 1.0
    rotations, locations = _channels(armature, action, frames, scene)
    poses = animation.pose_from_channels(armature, rotations, locations)
    poses = replace(poses, fps=float(np.round(scene_fps / spacing, 6)))
    return _with_original_numbers(armature, action, poses, frames, rotations, locations)


def key_frames(action: bpy.types.Action) -> np.ndarray:
    """Frames [T] at which bones have keys, ascending; those of one moment count once."""
    found = []
    for curve in compat.action_curves(action):
        if curve.data_path.startswith("pose.bones"):
            points = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
            curve.keyframe_points.foreach_get("co", points)
            found.append(points[::2])
    if not found:
        return np.zeros(1)
    frames = np.unique(np.concatenate(found).astype(float))
    return frames[np.insert(np.diff(frames) > 1e-3, 0, True)]


def _channels(
    armature: bpy.types.Object, action: bpy.types.Action, frames: np.ndarray, scene: bpy.types.Scene
) -> tuple[np.ndarray, np.ndarray]:
    """The bones' quaternions [T,16,4] and the wrist's locations [T,3], from the curves or, where constraints have a say, as
    Blender evaluates them."""
    if joint_limits.are_on(armature) or any(bone.rotation_mode != "QUATERNION" for bone in rig.joint_bones(armature)):
        return _evaluated_channels(armature, frames, scene)
    curves = {(curve.data_path, curve.array_index): curve for curve in compat.action_curves(action)}
    bones = rig.joint_bones(armature)

    def values(path: str, index: int, held: float) -> list[float]:
        curve = curves.get((path, index))
        return [held] * len(frames) if curve is None else [curve.evaluate(frame) for frame in frames]

    rotations = np.array(
        [
            [values(bone.path_from_id("rotation_quaternion"), i, bone.rotation_quaternion[i]) for i in range(4)]
            for bone in bones
        ]
    )
    locations = np.array([values(bones[0].path_from_id("location"), i, bones[0].location[i]) for i in range(3)])
    return rotations.transpose(2, 0, 1), locations.T


def _evaluated_channels(
    armature: bpy.types.Object, frames: np.ndarray, scene: bpy.types.Scene
) -> tuple[np.ndarray, np.ndarray]:
    before = scene.frame_current, scene.frame_subframe
    found = []
    for frame in frames:
        scene.frame_set(int(np.floor(frame)), subframe=float(frame - np.floor(frame)))
        found.append(animation.bone_channels(armature, animation.read_pose(armature, as_shown=True)))
    scene.frame_set(before[0], subframe=before[1])
    return np.concatenate([rotations for rotations, _ in found]), np.concatenate([shift for _, shift in found])


def _with_original_numbers(
    armature: bpy.types.Object,
    action: bpy.types.Action,
    poses: PoseSequence,
    frames: np.ndarray,
    rotations: np.ndarray,
    locations: np.ndarray,
) -> PoseSequence:
    record = take_record.recall(action)
    if record is None or len(record[0]) != len(frames) or np.abs(record[0] - frames).max() > 1e-3:
        return poses
    came, came_at = animation.bone_channels(armature, record[1])
    length = np.linalg.norm(rotations, axis=-1, keepdims=True)
    cosine = (came * rotations / length).sum(-1, keepdims=True)
    same = np.abs(came * np.sign(cosine) - rotations / length).max((1, 2)) < take_record.UNCHANGED
    near = np.abs(came_at - locations).max(1) < take_record.UNCHANGED * np.maximum(1.0, np.abs(came_at).max(1))
    return take_record.restored(poses, record[1], same & near)


def follow_captures(
    armature: bpy.types.Object, path: Path, scene: bpy.types.Scene, settings: TakeSettings, name: str | None = None
) -> Take:
    """The engine's captures.json of a video as the hand's action. Raises PoseFileError."""
    return import_take(armature, load_poses(path), name or Path(path).stem, scene, settings)
