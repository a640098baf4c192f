"""A whole scene from an avatar folder, and saving it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy

from ..engine.avatar.folder import Avatar, read_avatar
from ..engine.errors import OutputError
from ..engine.files import atomic_file
from . import cameras, lighting, photo, render
from .avatar import HandObjects, build_hand
from .console import quiet_blender

DEFAULT_SAMPLES = 64


@dataclass(frozen=True)
class AvatarScene:
    """The parts of a scene made by `build_scene`."""

    avatar: Avatar
    hand: HandObjects
    capture_camera: bpy.types.Object
    turntable_camera: bpy.types.Object


def empty_scene() -> bpy.types.Scene:
    """Forget what is open and start from nothing, in metres. For headless use: it discards unsaved work."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.unit_settings.system, scene.unit_settings.scale_length = "METRIC", 1.0
    return scene


def build_scene(folder: Path | str, scene: bpy.types.Scene) -> AvatarScene:
    """The avatar in its photo's pose, its estimated light as the world, the photo's camera and a turntable.

    Adds to `scene` and sets its world, camera, frame range and colour management. Raises AvatarError.
    """
    avatar = read_avatar(folder)
    name = Path(folder).stem
    hand = build_hand(avatar, name, scene)
    scene.world = lighting.environment_world(photo.light_of(hand.armature), name=f"{name} light")
    capture = avatar.capture
    camera = cameras.add_camera(
        "Capture camera", capture.intrinsics, capture.world_to_camera, capture.image_size, hand.collection
    )
    picture = photo.picture_of(hand.armature)
    if picture is not None:
        cameras.show_behind(camera, picture)
    turntable = cameras.add_turntable("Turntable camera", *cameras.bounding_sphere(hand.mesh), hand.collection)
    scene.frame_start, scene.frame_end = 0, cameras.TURNTABLE_FRAMES - 1
    scene.frame_set(0)
    cameras.frame_scene(scene, camera, capture.image_size, None)
    render.use_cycles(scene, DEFAULT_SAMPLES)
    render.use_photo_colours(scene)
    scene.render.film_transparent = True
    return AvatarScene(avatar, hand, camera, turntable)


def save_scene(path: Path) -> None:
    """Save the open scene as a .blend, whole or not at all; textures travel inside it."""
    if path.suffix.lower() != ".blend":
        raise OutputError(f"{path.name}: scenes are written as .blend; give such a name")
    with atomic_file(path) as temporary:
        temporary.unlink()  # Blender would keep a backup of a file that is there already
        try:
            with quiet_blender():
                bpy.ops.wm.save_as_mainfile(
                    filepath=str(temporary.absolute()), copy=True, compress=True, relative_remap=False
                )
        except RuntimeError as error:
            raise OutputError(f"Blender could not save {path} ({error}): check the disk and the folder") from error
