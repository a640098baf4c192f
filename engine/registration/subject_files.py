"""A subject that is to be registered: PALM's layout with scans and keypoints beside the pictures.

    SUBJECT/cameras.npy                     PALM's
            keypoints_2d.npz                cameras [M] names, keypoints [T,M,21,2] px, confidence [T,M,21]; optional: order
            meshes/000001.ply …             scans (also .obj, .stl); frame index = last digits of the name - 1
            masks/CAMERA/000001.png …       optional

Keypoints are in the project's order (MANO's joints, then the tips) unless `order` names another tool's.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..datasets.palm_files import Camera, read_cameras
from ..datasets.scan_file import SCAN_SUFFIXES
from ..errors import DatasetError
from ..files import atomic_file
from ..hand.joints import OTHER_ORDERS, to_palm

SCANS, MASKS, KEYPOINTS_FILE = "meshes", "masks", "keypoints_2d.npz"


@dataclass(frozen=True)
class ScanSubject:
    """T scans of one person and what M cameras saw of them."""

    name: str
    folder: Path
    cameras: dict[str, Camera]
    """M, in the order of the keypoints."""
    keypoints: np.ndarray
    """[T,M,21,2] px, the project's order; NaN where missing."""
    confidence: np.ndarray
    """[T,M,21]"""
    scans: dict[int, Path]
    """By frame index."""

    def mask(self, camera: str, frame: int) -> Path | None:
        path = self.folder / MASKS / camera / f"{frame + 1:06d}.png"
        return path if path.is_file() else None


def read_scan_subjects(root: Path, left_out_cameras: frozenset[str] = frozenset()) -> list[ScanSubject]:
    """The subjects of a folder (or the one that it is), by name. Raises DatasetError that names what is missing or unequal."""
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder: give a subject's folder, or the folder of the subjects' folders")
    if (root / SCANS).is_dir():
        return [_read_subject(root, left_out_cameras)]
    base = root / "folders" if (root / "folders").is_dir() else root
    folders = sorted(path for path in base.iterdir() if (path / SCANS).is_dir())
    if not folders:
        raise DatasetError(
            f"{root} holds no subject with scans (a folder with cameras.npy, {KEYPOINTS_FILE} and {SCANS}/): "
            "give the folder of the subjects' folders"
        )
    return [_read_subject(folder, left_out_cameras) for folder in folders]


def _read_subject(folder: Path, left_out_cameras: frozenset[str]) -> ScanSubject:
    for name in ("cameras.npy", KEYPOINTS_FILE):
        if not (folder / name).is_file():
            raise DatasetError(f"subject {folder} has no {name}: copy the subject again")
    cameras = read_cameras(folder / "cameras.npy")
    names, pixels, confidence = _read_keypoints(folder / KEYPOINTS_FILE)
    unknown = [name for name in names if name not in cameras]
    if unknown:
        raise DatasetError(
            f"{folder / 'cameras.npy'} has no camera {unknown[0]}, but {KEYPOINTS_FILE} has: copy it again"
        )
    missing = sorted(left_out_cameras - set(cameras))
    if missing:
        raise DatasetError(f"subject {folder} has no camera {missing[0]} to leave out: it has {', '.join(cameras)}")
    used = [index for index, name in enumerate(names) if name not in left_out_cameras]
    if len(used) < 2:
        raise DatasetError(
            f"subject {folder} has keypoints of {len(used)} cameras, but points in space need two or more"
        )
    scans = _scan_files(folder / SCANS)
    last = max(scans, default=-1) + 1
    if last > len(pixels):
        raise DatasetError(
            f"{folder / KEYPOINTS_FILE} has keypoints of {len(pixels)} frames, but {SCANS}/ has a scan of frame {last}: "
            "make them from the same frames"
        )
    return ScanSubject(
        folder.resolve().name,
        folder,
        {names[index]: cameras[names[index]] for index in used},
        pixels[:, used],
        confidence[:, used],
        scans,
    )


def _scan_files(folder: Path) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SCAN_SUFFIXES or path.name.startswith("."):
            continue
        digits = re.search(r"(\d{1,9})\D*$", path.stem)
        if digits is None or int(digits[1]) < 1:
            raise DatasetError(f"{path} is not named by its frame: name scans 000001.ply, 000002.ply and so on")
        frame = int(digits[1]) - 1
        if frame in files:
            raise DatasetError(f"{folder} has two scans of frame {frame + 1}: keep one")
        files[frame] = path
    if not files:
        raise DatasetError(f"{folder} holds no scan ({', '.join(SCAN_SUFFIXES)}): unpack the subject's meshes there")
    return files


def _read_keypoints(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Camera names, pixels [T,M,21,2] (NaN where missing) and confidence [T,M,21]."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            fields = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read as plain arrays (.npz): write it again") from error
    absent = [name for name in ("cameras", "keypoints", "confidence") if name not in fields]
    if absent:
        raise DatasetError(f"{path} has no {', '.join(absent)}: write it again")
    names = [str(name) for name in np.atleast_1d(fields["cameras"])]
    try:
        pixels, confidence = (np.asarray(fields[name], float) for name in ("keypoints", "confidence"))
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path} holds no numbers: write it again") from error
    wanted = (len(pixels), len(names), 21)
    if len(set(names)) < len(names):
        raise DatasetError(f"{path} names a camera twice: write it again")
    if pixels.shape != (*wanted, 2) or confidence.shape != wanted:
        raise DatasetError(
            f"{path}: keypoints {pixels.shape} and confidence {confidence.shape} should be frames × {len(names)} cameras × 21 "
            "(× 2): write it again"
        )
    order = str(fields.get("order", "palm"))
    if order not in OTHER_ORDERS:
        raise DatasetError(f"{path}: keypoints' order {order!r} is unknown; choose one of {', '.join(OTHER_ORDERS)}")
    missing = ~np.isfinite(pixels).all(-1) | ~np.isfinite(confidence)
    both = np.concatenate(
        [np.where(missing[..., None], np.nan, pixels), np.where(missing, 0, confidence)[..., None]], -1
    )
    both = to_palm(both, order)
    return names, both[..., :2], np.clip(both[..., 2], 0, 1)


def write_keypoints(path: Path, pixels: np.ndarray, confidence: np.ndarray, cameras: list[str]) -> None:
    """Write keypoints_2d.npz: pixels [T,M,21,2], confidence [T,M,21], names of M cameras."""
    with atomic_file(path) as temporary:
        np.savez_compressed(temporary, keypoints=pixels, confidence=confidence, cameras=np.array(cameras))
