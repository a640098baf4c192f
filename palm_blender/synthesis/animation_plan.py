"""An avatar that plays a pose file, before its photo's camera or one that sees the whole motion. NumPy only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...engine.avatar.folder import Avatar, CaptureInfo, read_avatar
from ...engine.datasets.palm_files import Camera
from ...engine.errors import InputError
from ...engine.hand.cameras import project
from ...engine.hand.pose_files import PoseSequence
from .hand_shape import HandShape, rotation_matrices
from .light_plan import light_of, noise_seeds
from .placement import UPRIGHT, moved_rigidly, placed_vertices, rounded
from .pose_choice import poses_of_file
from .recipe import Recipe
from .shots import Folder, HandPose, Shot, ShotId, Unit
from .views import outermost, phone_camera, shift_into_view

CAMERA = "MCU_02"
STEM_DIGITS = 6
PLACING_VERTICES = 4000
NEAREST_M = 0.05
_REST_RAD = 1e-3


def animation_folder(recipe: Recipe) -> str:
    return f"folders/{_avatar_path(recipe).stem}"


def animation_shots(recipe: Recipe) -> tuple[ShotId, ...]:
    folder = animation_folder(recipe)
    return tuple(ShotId(folder, frame, CAMERA) for frame in range(len(animation_poses(recipe))))


def animation_poses(recipe: Recipe, side: str | None = None) -> PoseSequence:
    """The file's first `recipe.frames` poses (0: all), mirrored where they are the other hand's; its fps and notes."""
    if recipe.poses is None:
        raise InputError("an animation needs a pose file: give one with --poses")
    poses = poses_of_file(Path(recipe.poses), side or "right")
    if recipe.frames > len(poses):
        raise InputError(
            f"pose file {recipe.poses} is too short for {recipe.frames} poses: give --frames {len(poses)} or fewer"
        )
    count = recipe.frames or len(poses)
    return PoseSequence(
        poses.global_orient[:count], poses.hand_pose[:count], poses.transl[:count], poses.betas, poses.side, poses.fps,
        poses.notes,
    )  # fmt: skip


def animation_unit(recipe: Recipe) -> Unit:
    path = _avatar_path(recipe)
    avatar = read_avatar(path)
    motion = animation_poses(recipe, avatar.handedness)
    shape = avatar_shape(avatar)
    poses = [HandPose(*frame) for frame in zip(motion.global_orient, motion.hand_pose, motion.transl, strict=True)]
    if recipe.view == "capture":
        camera = scaled_camera(avatar.capture, recipe.width, recipe.height)
        poses = _as_in_the_photo(shape, poses, avatar.capture, camera)
    else:
        camera = phone_camera(recipe.width, recipe.height)
        poses = _whole_in_view(shape, poses, camera, avatar.handedness)
    folder = animation_folder(recipe)
    light = light_of(recipe, recipe.environments, 0, 0)
    seeds = noise_seeds(recipe, 0, 0, len(poses))
    shots = [Shot(folder, frame, CAMERA, light, seed) for frame, seed in enumerate(seeds)]
    folders = {folder: Folder({CAMERA: camera}, tuple(rounded(pose) for pose in poses), STEM_DIGITS)}
    return Unit(path.stem, None, path, avatar.betas, folders, tuple(shots))


def avatar_shape(avatar: Avatar) -> HandShape:
    """An avatar's mesh as a hand that `pose_hand` poses; axes and limits of its joints are not known."""
    mesh = avatar.mesh
    count = len(mesh.vertices)
    cap = np.zeros(count, dtype=bool)
    cap[mesh.faces[mesh.cap_faces]] = True
    return HandShape(
        mesh.vertices.astype(float), mesh.joints.astype(float), mesh.faces, mesh.skinning_weights,
        mesh.pose_basis.transpose(1, 2, 0), np.zeros((15, 3, 3)), np.zeros((15, 3, 2)), cap,
    )  # fmt: skip


def scaled_camera(capture: CaptureInfo, width: int, height: int) -> Camera:
    """The photo's camera for pictures of another size: its whole view, widened where the shape differs."""
    photo = np.array(capture.image_size, dtype=float)
    size = np.array([width, height], dtype=float)
    scale = float((size / photo).min())
    intrinsics = np.diag([scale, scale, 1.0]) @ capture.intrinsics
    intrinsics[:2, 2] += (size - scale * photo) / 2
    return Camera(intrinsics, np.asarray(capture.world_to_camera, dtype=float), height, width)


def _avatar_path(recipe: Recipe) -> Path:
    if recipe.avatar is None:
        raise InputError("an animation needs an avatar: give its NAME.palmhand folder")
    return Path(recipe.avatar)


def _thinned(shape: HandShape) -> HandShape:
    """The hand with a few thousand of its vertices, enough to say where it is; its faces mean nothing then."""
    step = -(-len(shape.vertices) // PLACING_VERTICES)
    fields = {name: getattr(shape, name)[::step] for name in ("vertices", "weights", "posedirs", "wrist_cap")}
    return replace(shape, **fields)


def _as_in_the_photo(shape: HandShape, poses: list[HandPose], capture: CaptureInfo, camera: Camera) -> list[HandPose]:
    """As the file says where the camera sees the first frame's hand; else the whole motion moved so that its first wrist is
    the photo's."""
    if _in_picture(placed_vertices(shape, poses[0]), camera):
        return poses
    photo, first = (rotation_matrices(np.asarray(turn, dtype=float)) for turn in (capture.global_orient, poses[0][0]))
    rotation = photo @ first.T
    wrist = shape.joints[0]
    shift = wrist + capture.transl - rotation @ (wrist + poses[0].transl)
    return [moved_rigidly(shape, pose, rotation, shift) for pose in poses]


def _in_picture(vertices: np.ndarray, camera: Camera) -> bool:
    """Whether the camera has at least half of the hand before it and in its picture."""
    depth = vertices @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3]
    ahead = vertices[depth > NEAREST_M]
    pixels = project(ahead, camera.intrinsics, camera.world_to_camera)
    inside = ((pixels >= 0) & (pixels <= (camera.width, camera.height))).all(1)
    return int(inside.sum()) * 2 >= len(vertices)


def _whole_in_view(shape: HandShape, poses: list[HandPose], camera: Camera, side: str) -> list[HandPose]:
    """The motion held before the camera: upright where the file begins in MANO's rest frame, else turned as it is."""
    at_rest = float(np.linalg.norm(poses[0].global_orient)) < _REST_RAD
    mirror = np.diag([-1.0, 1.0, 1.0])
    upright = UPRIGHT if side == "right" else mirror @ UPRIGHT @ mirror
    rotation = upright if at_rest else np.eye(3)
    turned = [moved_rigidly(shape, pose, rotation, np.zeros(3)) for pose in poses]
    thin = _thinned(shape)
    shift = shift_into_view(np.concatenate([outermost(placed_vertices(thin, pose), camera) for pose in turned]), camera)
    return [pose._replace(transl=pose.transl + shift) for pose in turned]
