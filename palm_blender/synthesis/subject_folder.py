"""A synthetic person as an avatar folder: the ground truth that an avatar made from its pictures is compared with. NumPy only."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ...engine.avatar.folder import Avatar, AvatarMesh, CaptureInfo, write_avatar
from .display import srgb_encoded
from .exr_files import write_rgb
from .png_files import write_png
from .shots import FramePixels, Shot, Unit
from .skin_maps import SkinMaps

METHOD = "synthetic"


def write_subject(
    folder: Path, unit: Unit, shot: Shot, pixels: FramePixels, mesh: AvatarMesh, maps: SkinMaps, light: np.ndarray
) -> None:
    """Write FOLDER (.palmhand), whole or not at all, captured in one shot of the unit; one that is there is replaced.

    mesh: the rest mesh; light [H,2H,3]: the shot's environment as it is hung. Raises OutputError, AvatarError.
    """
    place = unit.folders[shot.folder]
    camera, pose = place.cameras[shot.camera], place.poses[shot.frame]
    capture = CaptureInfo(
        image=f"{shot.folder}, {shot.camera}, {place.stem(shot.frame)}",
        image_size=(camera.width, camera.height),
        intrinsics=camera.intrinsics,
        world_to_camera=camera.world_to_camera,
        **pose._asdict(),
    )
    person = unit.person
    provenance = {"number": person.number, "age": person.age, "height": person.height, "female": person.female}
    avatar = Avatar(
        "right", METHOD, np.asarray(unit.betas, float), mesh, capture, {**provenance, "tone": person.tone}
    )  # fmt: skip

    def write_images(temporary: Path) -> None:
        write_png(temporary / "albedo.png", _in_16_bits(srgb_encoded(maps.albedo)))
        write_png(temporary / "roughness.png", _in_16_bits(maps.roughness))
        write_png(temporary / "normal.png", _in_16_bits(0.5 + 0.5 * maps.normal))
        write_png(temporary / "seen.png", np.full(maps.roughness.shape, 255, np.uint8))
        write_png(temporary / "mask.png", np.where(pixels.mask, 255, 0).astype(np.uint8))
        for name in ("photo.png", "preview.png"):
            write_png(temporary / name, pixels.image[..., :3])
        write_rgb(temporary / "environment.exr", light, half=False)

    write_avatar(folder, avatar, write_images, force=folder.exists())


def turned_light(radiance: np.ndarray, rotation: float, strength: float) -> np.ndarray:
    """The picture [H,W,3] of an environment that is turned by `rotation` radians about +Z and made brighter."""
    width = radiance.shape[1]
    # what stood at one azimuth stands `rotation` farther, which is to the left in the picture
    source = (np.arange(width) + rotation / (2 * math.pi) * width) % width
    left, share = np.floor(source).astype(int), source - np.floor(source)
    share = share[None, :, None]
    return strength * ((1 - share) * radiance[:, left % width] + share * radiance[:, (left + 1) % width])


def _in_16_bits(values: np.ndarray) -> np.ndarray:
    return np.rint(65535 * np.clip(values, 0, 1)).astype(np.uint16)
