"""The record of a picture: everything about it that is no picture, and the digests of those that are. NumPy only.

Numbers are rounded, so that machines that agree to the last micrometre agree to the letter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.datasets.palm_files import Camera
from ...engine.errors import InputError
from ...engine.files import atomic_file, read_json
from ...engine.hand.cameras import project
from .mask_codes import mask_code
from .people import Person
from .shots import FramePixels, HandPose, Light, Shot, Unit
from .visibility import flesh_radii, visibility

RECORD_SCHEMA = 1
SEAL = "record_sha256"
METRE_DIGITS = 6
PIXEL_DIGITS = 3
CAMERA_DIGITS = 9


def frame_record(unit: Unit, shot: Shot, pixels: FramePixels, seed: int, side: str) -> dict[str, Any]:
    """The record of one shot without its files' digests.

    seed: the recipe's. side: "right" or "left". Pixel coordinates count from the picture's upper left corner, so the
    first pixel's centre is (0.5, 0.5).
    """
    folder = unit.folders[shot.folder]
    camera = folder.cameras[shot.camera]
    seen = visibility(
        pixels.keypoints, camera.intrinsics, camera.world_to_camera, pixels.depth, flesh_radii(unit.betas)
    )
    return {
        "schema_version": RECORD_SCHEMA,
        "unit": unit.name,
        "folder": shot.folder,
        "frame": shot.frame,
        "stem": folder.stem(shot.frame),
        "camera": _camera(shot.camera, camera),
        "keypoints_3d": _rounded(pixels.keypoints, METRE_DIGITS),
        "keypoints_2d": _rounded(_projected(pixels.keypoints, camera), PIXEL_DIGITS),
        "visibility": seen.tolist(),
        "bbox": _bounding_box(pixels.mask),
        "area": int(pixels.mask.sum()),
        "segmentation": mask_code(pixels.mask),
        "mano": _mano(unit.betas, folder.poses[shot.frame], side),
        "light": _light(shot.light),
        "seed": seed,
        "noise_seed": shot.seed,
        "person": _person(unit.person),
    }


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record with a digest of itself, whole or not at all. Raises OutputError."""
    text = json.dumps({**record, SEAL: _seal(record)}, allow_nan=False) + "\n"
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_record(path: Path) -> dict[str, Any]:
    """A record as it was given to `write_record`. Raises InputError for what is missing, damaged or of another version."""
    record = read_json(path, "record of a picture")
    seal = record.pop(SEAL, None)
    if record.get("schema_version") != RECORD_SCHEMA or seal != _seal(record):
        raise InputError(f"{path} is damaged, or no record of this version: render it again")
    return record


def _seal(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def side_of(unit: Unit) -> str:
    """The hand's side, "right" or "left"; synthetic people show their right hands. Raises InputError for a damaged avatar."""
    if unit.avatar is None:
        return "right"
    side = read_json(unit.avatar / "avatar.json", "avatar description").get("handedness")
    if side not in ("right", "left"):
        raise InputError(f"avatar {unit.avatar}: handedness is {side!r}, not 'right' or 'left'; make the avatar again")
    return str(side)


def _projected(keypoints: np.ndarray, camera: Camera) -> np.ndarray:
    """[21,2] px. Points behind the camera have no pixel: they get (0, 0), as COCO has it for what is not labelled."""
    ahead = keypoints @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3] > 0
    pixels = np.zeros((len(keypoints), 2))
    pixels[ahead] = project(keypoints[ahead], camera.intrinsics, camera.world_to_camera)
    return pixels


def _bounding_box(mask: np.ndarray) -> list[int]:
    """COCO's [x, y, width, height] in whole pixels; zeros for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return [0, 0, 0, 0]
    return [int(v) for v in (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)]


def _camera(name: str, camera: Camera) -> dict[str, Any]:
    return {
        "name": name,
        "K": _rounded(camera.intrinsics, CAMERA_DIGITS),
        "Rt": _rounded(camera.world_to_camera, CAMERA_DIGITS),
        "width": camera.width,
        "height": camera.height,
    }


def _mano(betas: np.ndarray, pose: HandPose, side: str) -> dict[str, Any]:
    """Absolute: flat hand = 0."""
    arrays: Mapping[str, np.ndarray] = {"betas": betas, **pose._asdict()}
    return {**{name: _rounded(value, METRE_DIGITS) for name, value in arrays.items()}, "side": side}


def _light(light: Light) -> dict[str, Any]:
    # the name only: where a file lies differs between machines
    return {**light._asdict(), "environment": Path(light.environment).name}


def _person(person: Person | None) -> dict[str, Any] | None:
    if person is None:
        return None
    return {
        "number": person.number,
        "female": person.female,
        "age": round(person.age, 3),
        "height": round(person.height, 4),
        "tone": person.tone,
    }


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    # adding 0 turns -0 into 0
    return (np.round(np.asarray(values, dtype=float), digits) + 0.0).tolist()
