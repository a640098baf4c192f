"""The annotation files of a PALM subject: cameras.npy, poses.npy, and the quality file of the whole set. NumPy only.

All three are pickled dictionaries inside a `.npy`; they are read by the reader that builds nothing but data.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DatasetError, InputError
from ..files import read_json, write_json
from ..hand.safe_pickle import load_object_array
from ..outside import numbers

log = logging.getLogger(__name__)

SET_FILE = "dataset.json"
"""Beside the subjects, in data sets that this project wrote: what the official layout does not say."""
SET_SCHEMA = 1
MAX_SIDE_PX = 16_384


class Camera(NamedTuple):
    intrinsics: np.ndarray
    """[3,3] px, first pixel's centre at (0.5, 0.5)."""
    world_to_camera: np.ndarray
    """[4,4] metres, OpenCV axes."""
    height: int
    width: int


class Poses(NamedTuple):
    """MANO's parameters of T frames as the file has them. Frames may be NaN: `broken_frames` says which."""

    betas: np.ndarray
    """[10]"""
    global_orient: np.ndarray
    """[T,3] axis-angle, radians."""
    hand_pose: np.ndarray
    """[T,45] axis-angle, radians, relative to the hand model's mean pose."""
    transl: np.ndarray
    """[T,3] metres."""

    def __len__(self) -> int:
        return len(self.hand_pose)

    def broken_frames(self) -> np.ndarray:
        """[T] bool: a number of the frame is NaN or infinite."""
        frames = np.concatenate([self.global_orient, self.hand_pose, self.transl], axis=1)
        return ~np.isfinite(frames).all(1)


class SubjectPoses(NamedTuple):
    """MANO's parameters of T frames, absolute."""

    betas: np.ndarray
    """[10]"""
    global_orient: np.ndarray
    """[T,3] axis-angle, radians."""
    hand_pose: np.ndarray
    """[T,45] axis-angle, radians, flat hand = 0."""
    transl: np.ndarray
    """[T,3] metres."""


class SetFacts(NamedTuple):
    """What `dataset.json` adds to the official layout."""

    hand_model: str | None
    """Name of the hand model whose betas and poses these are; None where nobody says."""
    exact_masks: bool
    """masks/ are the hand's outline to the pixel: mano/ is there for other readers, not to mend them."""


def read_cameras(path: Path) -> dict[str, Camera]:
    """{camera name: Camera} of cameras.npy. Raises DatasetError naming the file, the camera and the field."""
    raw = _dictionary(path)
    cameras = raw.get("cameras")
    if not isinstance(cameras, Mapping) or not cameras:
        raise DatasetError(f"{path} has no cameras: copy the subject again")
    return {str(name): _camera(value, f"{path}: camera {name}") for name, value in cameras.items()}


def _camera(value: Any, where: str) -> Camera:
    missing = [name for name in ("K", "Rt", "height", "width") if not isinstance(value, Mapping) or name not in value]
    if missing:
        raise DatasetError(f"{where} has no {', '.join(missing)}: copy the subject again")
    intrinsics = numbers(value["K"], f"{where}: K", DatasetError, (3, 3))
    world_to_camera = numbers(value["Rt"], f"{where}: Rt", DatasetError, (4, 4))
    rotation = world_to_camera[:3, :3]
    if intrinsics[0, 0] <= 0 or intrinsics[1, 1] <= 0 or not np.allclose(intrinsics[2], (0, 0, 1), atol=1e-6):
        raise DatasetError(f"{where}: K is no camera matrix in pixels; copy the subject again")
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise DatasetError(f"{where}: Rt is no rigid motion from world to camera; copy the subject again")
    sides = [float(numbers(value[name], f"{where}: {name}", DatasetError, ())) for name in ("height", "width")]
    if not all(1 <= side <= MAX_SIDE_PX and side == int(side) for side in sides):
        raise DatasetError(f"{where} has pictures of {sides[1]:g}×{sides[0]:g} pixels; copy the subject again")
    return Camera(intrinsics, world_to_camera, int(sides[0]), int(sides[1]))


def read_poses(path: Path) -> Poses:
    """The frames of poses.npy. Only the first row of betas counts, as in the published reader.

    Raises DatasetError naming the file and the field; single frames may still hold NaN.
    """
    raw = _dictionary(path)
    fields: dict[str, np.ndarray] = {}
    for name, width in (("betas", 10), ("hand_pose", 45), ("global_orient", 3), ("transl", 3)):
        if name not in raw:
            raise DatasetError(f"{path} has no {name}: copy the subject again")
        try:
            array = np.asarray(raw[name], dtype=float)
        except (TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f"{path}: {name} holds no numbers; copy the subject again") from error
        if array.ndim != 2 or array.shape[1] != width or not len(array):
            raise DatasetError(f"{path}: {name} has shape {array.shape}, not (frames, {width}); copy the subject again")
        fields[name] = array
    counts = {name: len(fields[name]) for name in ("hand_pose", "global_orient", "transl")}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DatasetError(f"{path} has unequal numbers of frames ({said}): copy the subject again")
    betas = numbers(fields["betas"][0], f"{path}: betas", DatasetError)
    return Poses(betas, fields["global_orient"], fields["hand_pose"], fields["transl"])


def read_quality(path: Path) -> dict[tuple[str, int], float]:
    """{(subject, frame index): fitting error} of the quality file; lower is better. Raises DatasetError."""
    errors: dict[tuple[str, int], float] = {}
    for key, value in _dictionary(path).items():
        subject, _, stem = str(key).rpartition("/")
        stem = stem.rsplit(".", 1)[0]
        if not subject or not stem.isdecimal():
            raise DatasetError(f"{path} has the entry {key!r}, not SUBJECT/FRAME.jpg: give the set's own quality file")
        errors[subject.rsplit("/", 1)[-1], int(stem) - 1] = float(numbers(value, f"{path}: {key}", DatasetError, ()))
    return errors


def read_set_facts(root: Path) -> SetFacts:
    """What `dataset.json` says, if there is one. Raises DatasetError."""
    path = root / SET_FILE
    if not path.is_file():
        return SetFacts(None, False)
    try:
        values = read_json(path, "description of a data set")
    except InputError as error:
        raise DatasetError(str(error)) from error
    name, exact = values.get("hand_model"), values.get("exact_masks", False)
    if not isinstance(name, str | None) or not isinstance(exact, bool):
        raise DatasetError(f"{path}: hand_model should be a name, exact_masks true or false; copy the set again")
    return SetFacts(name, exact)


def _dictionary(path: Path) -> Mapping[str, Any]:
    try:
        value = load_object_array(path)
    except InputError as error:
        raise DatasetError(str(error)) from error
    if not isinstance(value, Mapping):
        raise DatasetError(f"{path} holds {type(value).__name__}, not named values: copy it again")
    return value


def write_cameras(path: Path, cameras: Mapping[str, Camera]) -> None:
    """Write cameras.npy as the published readers want it."""
    described = {
        name: {"K": camera.intrinsics, "Rt": camera.world_to_camera, "height": camera.height, "width": camera.width}
        for name, camera in cameras.items()
    }
    _save_dictionary(path, {"cameras": described})


def write_poses(path: Path, poses: SubjectPoses, hands_mean: np.ndarray) -> None:
    """Write poses.npy, finger poses relative to the hand model's mean pose [45]."""
    relative = {
        "betas": np.asarray(poses.betas, dtype=np.float32)[None],
        "hand_pose": (np.asarray(poses.hand_pose) - hands_mean).astype(np.float32),
        "global_orient": np.asarray(poses.global_orient, dtype=np.float32),
        "transl": np.asarray(poses.transl, dtype=np.float32),
    }
    _save_dictionary(path, relative)


def write_palm_set(root: Path, facts: Mapping[str, Any]) -> None:
    """Write ROOT/dataset.json: hand_model (a name), exact_masks, and whatever else is worth knowing of the set."""
    root.mkdir(parents=True, exist_ok=True)
    write_json(root / SET_FILE, {"schema_version": SET_SCHEMA, **facts})


def _save_dictionary(path: Path, value: dict[str, Any]) -> None:
    np.save(path, np.array(value, dtype=object))
