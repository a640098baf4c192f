"""A data set's files: PALM's folders with what else a renderer knows, each written whole or not at all. NumPy only.

FOLDER/cameras.npy  poses.npy
FOLDER/images/CAMERA/000001.png   masks/  mano/  normals/      as PALM has them
FOLDER/depth/       16-bit, 65535 = 1.8 m, 0 where there is no hand
FOLDER/albedo/      16-bit sRGB    roughness/  16-bit, linear    radiance/  OpenEXR, linear
FOLDER/labels/CAMERA/000001.json  the picture's record, written last: where it is, the pictures are
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.datasets.palm_files import (
    SET_FILE,
    Poses,
    SubjectPoses,
    read_cameras,
    read_poses,
    write_cameras,
    write_palm_set,
    write_poses,
)
from ...engine.datasets.palm_normals import encode_normals
from ...engine.errors import DatasetError, InputError, OutputError
from ...engine.files import atomic_file, read_json
from ...engine.hand.model_file import read_model_file
from .display import srgb_encoded
from .exr_files import read_rgb, write_rgb
from .hand_shape import OPEN_HAND
from .png_files import pixel_digest, png_bytes, read_png
from .recipe import Recipe
from .records import frame_record, side_of, write_record
from .shots import Folder, FramePixels, Shot, Unit

DEPTH_RANGE_M = 1.8
PICTURES = ("images", "masks", "mano", "normals", "depth", "albedo", "roughness")
RADIANCE = "radiance"
LABELS = "labels"
ENVIRONMENTS = "environments"


def kinds_of(recipe: Recipe) -> tuple[str, ...]:
    """Folders that hold one file for each picture, but for its record."""
    return (*PICTURES, RADIANCE) if recipe.radiance else PICTURES


def picture_path(kind: str, camera: str, stem: str) -> str:
    """Relative to the folder."""
    return f"{kind}/{camera}/{stem}.{'exr' if kind == RADIANCE else 'png'}"


def record_path(camera: str, stem: str) -> str:
    """Relative to the folder."""
    return f"{LABELS}/{camera}/{stem}.json"


def write_folder_files(root: Path, unit: Unit) -> None:
    """Write what a unit's folders need beside the pictures: cameras.npy, poses.npy, and dataset.json above them.

    Files that hold the same values already are left alone. Raises OutputError.
    """
    name, hands_mean = _open_hand()
    for place, folder in unit.folders.items():
        home = _made(root / place)
        wanted = folder_digests(unit, folder)
        if present_digests(home) != wanted:
            with atomic_file(home / "cameras.npy") as temporary:
                write_cameras(temporary, folder.cameras)
            with atomic_file(home / "poses.npy") as temporary:
                write_poses(temporary, _subject_poses(unit, folder), hands_mean)
        above = home.parent.parent
        facts = {"hand_model": name if unit.avatar is None else None, "exact_masks": True}
        if _facts_of(above) != facts:
            write_palm_set(above, facts)


def write_shot(root: Path, unit: Unit, shot: Shot, pixels: FramePixels, recipe: Recipe) -> None:
    """Write a shot's pictures, then its record. Raises OutputError in one line for a full disk or missing rights."""
    folder = unit.folders[shot.folder]
    home, stem = root / shot.folder, folder.stem(shot.frame)
    digests = {}
    for kind, values in encoded(pixels, recipe).items():
        relative = picture_path(kind, shot.camera, stem)
        _made((home / relative).parent)
        with atomic_file(home / relative) as temporary:
            if kind == RADIANCE:
                write_rgb(temporary, values)
            else:
                temporary.write_bytes(png_bytes(values))
        digests[relative] = pixel_digest(values)
    record = frame_record(unit, shot, pixels, recipe.seed, side_of(unit))
    record |= {"files": digests, "folder_files": folder_digests(unit, folder)}
    path = home / record_path(shot.camera, stem)
    _made(path.parent)
    write_record(path, record)


def keep_environment(root: Path, name: str, source: Path) -> None:
    """Keep a copy of a light beside the pictures that it lit: ROOT/environments/NAME.exr. Raises OutputError, InputError.

    name: as a recipe gives it; source: its file. A copy that is there already is left alone.
    """
    kept = _made(root / ENVIRONMENTS) / f"{Path(name).stem}{source.suffix.lower()}"
    try:
        content = source.read_bytes()
        if kept.is_file() and kept.stat().st_size == len(content) and kept.read_bytes() == content:
            return
    except OSError as error:
        raise InputError(f"environment {source} cannot be read ({error.strerror}): check its rights") from error
    with atomic_file(kept) as temporary:
        temporary.write_bytes(content)


def encoded(pixels: FramePixels, recipe: Recipe) -> dict[str, np.ndarray]:
    """{kind: pixels as their file holds them}."""
    mask = np.where(pixels.mask, 255, 0).astype(np.uint8)
    files = {
        "images": pixels.image,
        "masks": mask,
        # published readers take the silhouette from the alpha channel
        "mano": np.repeat(mask[..., None], 4, axis=2),
        "normals": encode_normals(pixels.normals, pixels.mask),
        "depth": encode_depth(pixels.depth, pixels.mask),
        "albedo": _sixteen_bits(srgb_encoded(pixels.albedo[pixels.mask]), pixels.mask),
        "roughness": _sixteen_bits(pixels.roughness[pixels.mask], pixels.mask),
    }
    if recipe.radiance:
        # as the file will hold it: 16-bit floats
        files[RADIANCE] = np.clip(pixels.radiance, -65504, 65504).astype(np.float16)
    return files


def encode_depth(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint16 [H,W]: 65535 = 1.8 m, where anything farther ends too; 0 where there is no hand."""
    encoded_depth = np.zeros(depth.shape, np.uint16)
    encoded_depth[mask] = np.clip(np.rint(depth[mask] / DEPTH_RANGE_M * 65535), 1, 65535)
    return encoded_depth


def decode_depth(encoded_depth: np.ndarray) -> np.ndarray:
    """float32 [H,W] metres."""
    return (encoded_depth * (DEPTH_RANGE_M / 65535)).astype(np.float32)


def read_picture(path: Path) -> np.ndarray:
    """The pixels of a file that `write_shot` wrote. Raises InputError."""
    return read_rgb(path) if path.suffix == ".exr" else read_png(path)


def folder_digests(unit: Unit, folder: Folder) -> dict[str, str]:
    """Digests of the values that a folder's cameras.npy and poses.npy should hold."""
    poses = _subject_poses(unit, folder)
    relative = (np.asarray(poses.hand_pose) - _open_hand()[1]).astype(np.float32)
    return _digests(folder.cameras, Poses(poses.betas, poses.global_orient, relative, poses.transl))


def present_digests(home: Path) -> dict[str, str] | None:
    """The same of the files that are there; None where one cannot be read."""
    try:
        return _digests(read_cameras(home / "cameras.npy"), read_poses(home / "poses.npy"))
    except DatasetError:
        return None


def _digests(cameras: Mapping[str, Any], poses: Poses) -> dict[str, str]:
    listed = [
        np.concatenate([np.ravel(camera.intrinsics), np.ravel(camera.world_to_camera), [camera.height, camera.width]])
        for _, camera in sorted(cameras.items())
    ]
    names = "".join(sorted(cameras)).encode()
    values = np.concatenate([np.ravel(part).astype(np.float32) for part in poses])
    return {
        "cameras.npy": pixel_digest(np.concatenate([np.frombuffer(names, np.uint8), *listed])),
        "poses.npy": pixel_digest(values),
    }


def _subject_poses(unit: Unit, folder: Folder) -> SubjectPoses:
    orient, hand, transl = (np.stack([np.asarray(pose[part]) for pose in folder.poses]) for part in range(3))
    return SubjectPoses(unit.betas, orient, hand, transl)


def _facts_of(root: Path) -> dict[str, Any] | None:
    try:
        values = read_json(root / SET_FILE)
    except InputError:
        return None
    return {name: values.get(name) for name in ("hand_model", "exact_masks")}


@lru_cache(maxsize=1)
def _open_hand() -> tuple[str, np.ndarray]:
    """Its name and its mean pose [45]."""
    fields = read_model_file(OPEN_HAND)
    return str(fields["name"]), fields["hands_mean"].astype(float)


def _sixteen_bits(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint16 of the hand's values [N] or [N,3] in [0,1], 0 beside it."""
    pixels = np.zeros((*mask.shape, *values.shape[1:]), np.uint16)
    pixels[mask] = np.rint(np.clip(values, 0, 1) * 65535)
    return pixels


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder} ({error.strerror}): check the disk and the folder's rights") from error
    return folder
