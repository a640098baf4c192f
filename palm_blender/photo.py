"""What a hand remembers of its photo: picture, camera and estimated light, packed in the file beside the armature.

They are plain custom properties of the armature object that point to images: they travel with the .blend, follow the
hand when it is appended or duplicated, and need no avatar folder later.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from ..engine.avatar.folder import Avatar
from ..engine.errors import InputError
from . import materials

LIGHT = "palm_photo_light"
PICTURE = "palm_photo"
SIZE = "palm_photo_size"
INTRINSICS = "palm_photo_intrinsics"
WORLD_TO_CAMERA = "palm_photo_world_to_camera"


@dataclass(frozen=True)
class PhotoCamera:
    """The photo's pinhole camera, in the frame that the armature's rest space is."""

    size: tuple[int, int]
    """width, height px"""
    intrinsics: np.ndarray
    """[3,3] px"""
    world_to_camera: np.ndarray
    """[4,4], OpenCV axes"""


def remember(avatar: Avatar, armature: bpy.types.Object) -> None:
    """Keep the avatar's photo, camera and light. Raises InputError for a picture that Blender cannot decode."""
    capture = avatar.capture
    armature[SIZE] = [int(side) for side in capture.image_size]
    armature[INTRINSICS] = [float(value) for value in np.ravel(capture.intrinsics)]
    armature[WORLD_TO_CAMERA] = [float(value) for value in np.ravel(capture.world_to_camera)]
    for key, name, space in ((LIGHT, "environment.exr", "Linear Rec.709"), (PICTURE, "photo.png", "sRGB")):
        path = avatar.image(name)
        if path is not None:
            armature[key] = materials.load_image(path, space)


def light_of(armature: bpy.types.Object) -> bpy.types.Image:
    """The light estimated from the photo, equirectangular. Raises InputError where the hand has none."""
    image = armature.get(LIGHT)
    if not isinstance(image, bpy.types.Image):
        raise InputError(f"{armature.name} has no light of a photo: import its avatar again")
    return image


def picture_of(armature: bpy.types.Object) -> bpy.types.Image | None:
    """The photo, None where the avatar came without."""
    image = armature.get(PICTURE)
    return image if isinstance(image, bpy.types.Image) else None


def camera_of(armature: bpy.types.Object) -> PhotoCamera:
    """Raises InputError where the hand comes from no photo."""
    if any(key not in armature for key in (SIZE, INTRINSICS, WORLD_TO_CAMERA)):
        raise InputError(f"{armature.name} has no camera of a photo: import its avatar again")
    width, height = armature[SIZE]
    return PhotoCamera(
        size=(int(width), int(height)),
        intrinsics=np.array(armature[INTRINSICS], dtype=float).reshape(3, 3),
        world_to_camera=np.array(armature[WORLD_TO_CAMERA], dtype=float).reshape(4, 4),
    )
