"""The scene seen as the photo saw it: camera, resolution and the photo behind, and the view from before put back."""

from __future__ import annotations

import bpy
from mathutils import Matrix

from ..engine.errors import InputError
from . import avatar, cameras, photo

CAMERA_MARK = "palm_photo_camera"
BEFORE = "palm_view_before"
"""Custom property of the scene: its resolution and pixel shape before `match_view`."""
CAMERA_BEFORE = "palm_camera_before"


def match_view(scene: bpy.types.Scene, armature: bpy.types.Object) -> bpy.types.Object:
    """Look through the photo's camera, at its resolution, with the photo behind. Returns the camera.

    The camera is the armature's child: it stays where the photo was taken however the hand is moved. Raises InputError
    for a hand that comes from no photo.
    """
    source = photo.camera_of(armature)
    camera = photo_camera(armature) or _new_camera(armature, source)
    if not is_matched(scene):
        render = scene.render
        scene[BEFORE] = [
            *(render.resolution_x, render.resolution_y, render.resolution_percentage),
            *(render.pixel_aspect_x, render.pixel_aspect_y),
        ]
        if scene.camera is not None:
            scene[CAMERA_BEFORE] = scene.camera
    cameras.frame_scene(scene, camera, source.size, None)
    return camera


def is_matched(scene: bpy.types.Scene) -> bool:
    """Whether there is a view to go back to."""
    return BEFORE in scene


def restore_view(scene: bpy.types.Scene) -> None:
    """Camera and resolution as they were before `match_view`. Raises InputError where it was not called."""
    if not is_matched(scene):
        raise InputError("the scene is not seen as a photo: there is no earlier view to go back to")
    width, height, percentage, aspect_x, aspect_y = scene[BEFORE]
    render = scene.render
    render.resolution_x, render.resolution_y = int(width), int(height)
    render.resolution_percentage = int(percentage)
    render.pixel_aspect_x, render.pixel_aspect_y = aspect_x, aspect_y
    scene.camera = scene.get(CAMERA_BEFORE)
    for key in (BEFORE, CAMERA_BEFORE):
        if key in scene:
            del scene[key]


def photo_camera(armature: bpy.types.Object) -> bpy.types.Object | None:
    """The camera that `match_view` made for this hand."""
    return next((child for child in armature.children if child.type == "CAMERA" and CAMERA_MARK in child), None)


def _new_camera(armature: bpy.types.Object, source: photo.PhotoCamera) -> bpy.types.Object:
    collection = armature.users_collection[0]
    name = f"{armature.name.removesuffix(' rig')} photo camera"
    camera = cameras.add_camera(name, source.intrinsics, source.world_to_camera, source.size, collection)
    seen_from = camera.matrix_world.copy()
    camera.parent, camera.matrix_parent_inverse = armature, Matrix()
    camera.matrix_basis = avatar.upright().inverted() @ seen_from
    camera[CAMERA_MARK] = True
    picture = photo.picture_of(armature)
    if picture is not None:
        cameras.show_behind(camera, picture)
    return camera
