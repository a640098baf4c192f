"""Reading and writing pose files for MANO, whatever tool wrote them. NumPy only.

Understood: MANO parameters in `.npz` or `.json` (global_orient, hand_pose, betas, transl; our own files and
smplx-like ones), HARP's per-frame pickles (rot, pose, shape, trans), PALM's poses.npy, and HaMeR's output (rotation
matrices). What the reader decided about a file's convention it says in `notes`. The project's own convention:
axis-angle about the rest frame's axes, absolute (flat hand = 0). Our files of videos also hold `frame_numbers`: left-out
frames are bridged, so that what is read keeps the video's time.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PoseFileError
from ..files import atomic_file, read_json, write_json
from ..outside import numbers
from .pose_gaps import bridged
from .safe_pickle import load_object_array, load_pickle

_ALIASES = {
    "global_orient": ("global_orient", "rot", "root_pose", "root_orient"),
    "hand_pose": ("hand_pose", "pose", "fullpose", "poses"),
    "betas": ("betas", "shape"),
    "transl": ("transl", "trans", "translation", "pred_cam_t_full", "cam_t"),
}


LARGEST = 1e6
"""Of a file's numbers, far beyond any pose: larger ones would become NaN on the way."""
LONGEST = 200_000
"""Frames of a file, with those that are bridged."""


@dataclass(frozen=True)
class PoseSequence:
    """T frames of MANO parameters in the project's convention."""

    global_orient: np.ndarray
    """[T,3] axis-angle, radians."""
    hand_pose: np.ndarray
    """[T,45] axis-angle, radians, absolute."""
    transl: np.ndarray
    """[T,3] metres."""
    betas: np.ndarray | None = None
    """[10], or None where the file has none."""
    side: str | None = None
    """"right", "left" or None where the file does not say."""
    fps: float | None = None
    notes: tuple[str, ...] = field(default=())
    """What the reader decided about the file, in words."""

    def __len__(self) -> int:
        return len(self.hand_pose)


def matrix_to_axis_angle(matrix: np.ndarray) -> np.ndarray:
    """Rotations [*,3,3] → axis-angle [*,3], through the closest proper rotation and its quaternion."""
    u, _, vt = np.linalg.svd(matrix)
    sign = np.ones((*matrix.shape[:-2], 1, 3))
    sign[..., 0, 2] = np.linalg.det(u @ vt)
    m = (u * sign) @ vt
    # the quaternion is the eigenvector of Bar-Itzhack's symmetric matrix (2000) for its largest eigenvalue
    k = np.empty((*m.shape[:-2], 4, 4))
    k[..., :3, :3] = m + np.swapaxes(m, -1, -2)
    trace = np.trace(m, axis1=-2, axis2=-1)
    k[..., range(3), range(3)] -= trace[..., None]
    axial = np.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1)
    k[..., :3, 3] = k[..., 3, :3] = axial
    k[..., 3, 3] = trace
    quaternion = np.linalg.eigh(k)[1][..., -1]
    quaternion = np.where(quaternion[..., 3:] < 0, -quaternion, quaternion)
    length = np.linalg.norm(quaternion[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(length, quaternion[..., 3:])
    return quaternion[..., :3] * np.where(length > 1e-9, angle / np.maximum(length, 1e-9), 2.0)


def load_pose_file(path: Path | str, hands_mean: np.ndarray | None = None) -> PoseSequence:
    """The pose or poses in a file.

    hands_mean [45]: added to poses that the file marks as relative to MANO's mean pose (HARP, PALM).
    Raises PoseFileError naming the file, the field and the remedy.
    """
    return poses_from_fields(load_fields(path), str(path), hands_mean)


def load_fields(path: Path | str) -> Mapping[str, Any]:
    """The named values in a file, unchecked. Raises PoseFileError for what cannot be read or is no mapping."""
    path = Path(path)
    if not path.is_file():
        raise PoseFileError(f"pose file {path} does not exist: give a MANO .npz, .json, .npy or .pkl")
    suffix = path.suffix.lower()
    if suffix == ".json":
        value: Any = read_json(path, "MANO pose file")
    elif suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as archive:
                value = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise PoseFileError(f"pose file {path} cannot be read ({error}): give a MANO .npz") from error
    elif suffix == ".npy":
        value = load_object_array(path)
        if isinstance(value, Mapping):
            # PALM's poses.npy, the one known layout of this kind, is always relative to the mean pose
            value = {"flat_hand_mean": False, **value}
    elif suffix in (".pkl", ".pickle"):
        value = load_pickle(path)
    else:
        raise PoseFileError(f"pose file {path} has an unknown ending: give a MANO .npz, .json, .npy or .pkl")
    if not isinstance(value, Mapping):
        raise PoseFileError(f"pose file {path} holds {type(value).__name__}, not named MANO parameters")
    return value


def poses_from_fields(raw: Mapping[str, Any], source: str, hands_mean: np.ndarray | None = None) -> PoseSequence:
    """MANO parameters under any of the names tools use → PoseSequence. Raises PoseFileError."""
    if isinstance(raw.get("pred_mano_params"), Mapping):  # HaMeR
        raw = {**raw, **raw["pred_mano_params"]}
    if isinstance(raw.get("mano_params"), Mapping):
        raw = {**raw, **raw["mano_params"]}
    found = {name: _first(raw, aliases) for name, aliases in _ALIASES.items()}
    if found["hand_pose"] is None:
        known = ", ".join(sorted(str(key) for key in raw)[:8])
        raise PoseFileError(f"pose file {source} has no hand_pose (it has: {known}): give MANO parameters")
    notes: list[str] = []
    pose = np.asarray(_rotation_vectors(found["hand_pose"], "hand_pose", source, notes))
    orient = found["global_orient"]
    if pose.shape[-1] == 48:
        pose, orient = pose[:, 3:], pose[:, :3]
        notes.append("the first 3 of 48 pose numbers were taken as the global rotation")
    if pose.shape[-1] != 45:
        advice = "PCA coefficients cannot be used: export all 45 axis-angle numbers"
        raise PoseFileError(f"pose file {source}: hand_pose has {pose.shape[-1]} numbers a frame, not 45; {advice}")
    if _is_mean_relative(raw):
        if hands_mean is None or not np.any(hands_mean):
            raise PoseFileError(
                f"pose file {source} is relative to MANO's mean pose: load a MANO model with it, or convert it"
            )
        pose = pose + np.asarray(hands_mean, dtype=float)
        notes.append("MANO's mean pose was added")
    count = len(pose)
    orient = _frames(
        _rotation_vectors(orient, "global_orient", source, notes, count), 3, count, "global_orient", source
    )
    poses = PoseSequence(
        global_orient=orient,
        hand_pose=pose,
        transl=_frames(_numbers(found["transl"], "transl", source), 3, count, "transl", source),
        betas=_betas(found["betas"], source, notes),
        side=_side(raw),
        fps=_fps(raw, source),
        notes=tuple(notes),
    )
    return _in_time(poses, _numbers(raw.get("frame_numbers"), "frame_numbers", source), source)


def _in_time(poses: PoseSequence, numbered: np.ndarray | None, source: str) -> PoseSequence:
    """Poses of frames `numbered` [T] → one for every frame from the first to the last."""
    if numbered is None:
        return poses
    rising = numbered.shape == (len(poses),) and bool((np.diff(numbered) > 0).all())
    if not rising or (numbered % 1 != 0).any() or numbered[-1] - numbered[0] >= LONGEST:
        raise PoseFileError(
            f"pose file {source}: frame_numbers are not {len(poses)} rising whole numbers within {LONGEST}: write it again"
        )
    at = (numbered - numbered[0]).astype(int)
    notes = [*poses.notes]
    if numbered[0] != 0:
        notes.append(f"the first pose is of its video's frame {int(numbered[0])}")
    if missing := int(at[-1]) + 1 - len(at):
        notes.append(f"{missing} left-out frame{'s were' if missing > 1 else ' was'} bridged")
    return replace(bridged(poses, at), notes=tuple(notes))


def _first(raw: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((raw[name] for name in names if raw.get(name) is not None), None)


def _numbers(value: Any, name: str, source: str) -> np.ndarray | None:
    if value is None:
        return None
    array = numbers(value, f"pose file {source}: {name}", PoseFileError)
    if array.size and np.abs(array).max() > LARGEST:
        advice = "give radians and metres"
        raise PoseFileError(f"pose file {source}: {name} holds {np.abs(array).max():g}, which is no pose: {advice}")
    return array


def _rotation_vectors(
    value: Any, name: str, source: str, notes: list[str], frames: int | None = None
) -> np.ndarray | None:
    """Axis-angle [T,3n] from axis-angle or rotation matrices of any batching. frames: T, where it is known."""
    array = _numbers(value, name, source)
    if array is None:
        return None
    if _are_rotations(array, frames):
        joints = 15 if name == "hand_pose" else 1
        if array.size % (9 * joints):
            raise PoseFileError(
                f"pose file {source}: {name} has shape {array.shape}: expected {joints} rotations a frame"
            )
        notes.append(f"{name} was read as rotation matrices")
        return matrix_to_axis_angle(array.reshape(-1, joints, 3, 3)).reshape(-1, 3 * joints)
    if array.ndim == 3 and array.shape[-1] == 3:
        array = array.reshape(len(array), -1)
    width = 3 if name == "global_orient" else array.shape[-1] if array.ndim else 0
    if array.ndim == 0 or width == 0 or array.size == 0 or array.size % width:
        raise PoseFileError(f"pose file {source}: {name} has shape {array.shape}: expected (frames, numbers)")
    return array.reshape(-1, width)


def _are_rotations(array: np.ndarray, frames: int | None) -> bool:
    """Whether an array ends in rotation matrices; (3, 3) could also be three frames of axis-angle vectors."""
    if array.ndim < 2 or array.shape[-2:] != (3, 3):
        return False
    return array.ndim > 2 or (frames == 1 and bool(np.allclose(array @ array.T, np.eye(3), atol=1e-3)))


def _frames(array: np.ndarray | None, width: int, count: int, name: str, source: str) -> np.ndarray:
    if array is None:
        return np.zeros((count, width))
    flat = array.reshape(-1, width) if array.ndim and array.size and array.shape[-1] == width else None
    if flat is None or len(flat) not in (1, count):
        raise PoseFileError(f"pose file {source}: {name} has shape {array.shape}, but there are {count} frames")
    return np.broadcast_to(flat, (count, width)).copy()


def _betas(value: Any, source: str, notes: list[str]) -> np.ndarray | None:
    array = _numbers(value, "betas", source)
    if array is None:
        return None
    if array.ndim == 0 or array.size == 0 or array.shape[-1] < 10:
        raise PoseFileError(f"pose file {source}: betas has shape {array.shape}: expected 10 numbers")
    rows = array.reshape(-1, array.shape[-1])[:, :10]
    if len(rows) > 1 and np.ptp(rows, axis=0).max() > 1e-6:
        notes.append("betas differ between frames; their mean is used")
    return rows.mean(0)


def _is_mean_relative(raw: Mapping[str, Any]) -> bool:
    """Whether a file says that its pose is relative to MANO's mean pose, or is of a layout that always is."""
    convention = str(raw.get("convention", ""))
    if convention:
        return convention == "mean_relative"
    flag = _first_item(raw, "flat_hand_mean")
    if flag is not None:
        return not bool(flag)
    # HARP's pickles have these names and no flag
    return all(name in raw for name in ("rot", "pose", "shape", "trans"))


def _side(raw: Mapping[str, Any]) -> str | None:
    for key in ("side", "handedness", "hand"):
        name = str(_first_item(raw, key)).lower()
        if name in ("right", "left"):
            return name
    for key in ("right", "is_right"):
        flag = _first_item(raw, key)
        if isinstance(flag, (bool, int, float, np.bool_, np.number)):
            return "right" if flag > 0.5 else "left"
    return None


def _first_item(raw: Mapping[str, Any], key: str) -> Any:
    """The value under a key, or its first entry where tools wrapped it in an array; None where there is none."""
    value = raw.get(key)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    while isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return value


def _fps(raw: Mapping[str, Any], source: str) -> float | None:
    value = _numbers(raw.get("fps"), "fps", source)
    if value is None or value.size == 0:
        return None
    fps = float(value.ravel()[0])
    if not 0 < fps <= 1000:
        raise PoseFileError(f"pose file {source}: fps is {fps}; give a rate between 0 and 1000")
    return fps


def save_pose_file(path: Path | str, poses: PoseSequence, frame_numbers: Sequence[int] | None = None) -> None:
    """Write `.json` or `.npz` in the project's convention; reading it back gives the same numbers.

    frame_numbers: T rising ones, where poses are of some of a video's frames; reading bridges those between.
    """
    path = Path(path)
    fields: dict[str, Any] = {
        "convention": "flat_hand",
        "global_orient": np.asarray(poses.global_orient, dtype=float),
        "hand_pose": np.asarray(poses.hand_pose, dtype=float),
        "transl": np.asarray(poses.transl, dtype=float),
    }
    for name, value in (("betas", poses.betas), ("side", poses.side), ("fps", poses.fps)):
        if value is not None:
            fields[name] = value
    if frame_numbers is not None:
        fields["frame_numbers"] = np.asarray(frame_numbers, dtype=int)
    if path.suffix.lower() == ".json":
        write_json(path, fields)
    elif path.suffix.lower() == ".npz":
        with atomic_file(path) as temporary:
            np.savez(temporary, **fields)
    else:
        raise PoseFileError(f"cannot write poses as {path.name}: use .json or .npz")
