"""The true surface of a rendered sequence: what was photographed at each moment, as a mesh. NumPy only.

FOLDER/surface/faces.npz   faces [F,3] int32
FOLDER/surface/NNNNNN.npz  vertices [V,3] float32, metres, in the world of the cameras; NNNNNN as the pictures are called
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DatasetError, OutputError
from ..files import atomic_file

SURFACE = "surface"
FACES_FILE = "faces.npz"
LARGEST_BYTES = 1 << 28
FARTHEST_M = 100.0


class TrueSurface(NamedTuple):
    """Triangles of one moment."""

    vertices: np.ndarray
    """[V,3] float32 metres, world"""
    faces: np.ndarray
    """[F,3] int32, counter-clockwise from outside"""


def has_true_surface(folder: Path | str) -> bool:
    """Whether a sequence's folder (that of its cameras.npy) has surfaces."""
    return (Path(folder) / SURFACE / FACES_FILE).is_file()


def surface_path(folder: Path | str, number: int) -> Path:
    """File of the moment that frames call `number`."""
    return Path(folder) / SURFACE / f"{number:06d}.npz"


def true_surface(folder: Path | str, number: int) -> TrueSurface:
    """The surface of a moment. folder: that of the sequence's cameras.npy, `frame.image.parents[2]`.

    Raises DatasetError naming the file that is missing, damaged or of another hand.
    """
    faces = _array(Path(folder) / SURFACE / FACES_FILE, "faces", np.int32)
    path = surface_path(folder, number)
    vertices = _array(path, "vertices", np.float32)
    if not (np.isfinite(vertices).all() and np.abs(vertices).max() < FARTHEST_M):
        raise DatasetError(f"{path} holds numbers that are no metres: render the set again with --resume")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise DatasetError(f"{path} has {len(vertices)} vertices, too few for its faces: render the set again")
    return TrueSurface(vertices, faces)


def write_faces(folder: Path, faces: np.ndarray) -> None:
    """Write faces [F,3], once a sequence. Raises OutputError."""
    _save(folder / SURFACE / FACES_FILE, faces=np.asarray(faces, np.int32))


def write_vertices(folder: Path, number: int, vertices: np.ndarray) -> None:
    """Write a moment's vertices [V,3] in metres. Raises OutputError."""
    _save(surface_path(folder, number), vertices=np.asarray(vertices, np.float32))


def _save(path: Path, **arrays: np.ndarray) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {path.parent} ({error.strerror}): check the disk and its rights") from error
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def _array(path: Path, name: str, kind: type[np.generic]) -> np.ndarray:
    """[N,3] of a file that others may have changed."""
    if not path.is_file():
        raise DatasetError(f"{path} does not exist: the set has no true surface there; render it again with --resume")
    if path.stat().st_size > LARGEST_BYTES:
        raise DatasetError(f"{path} is larger than {LARGEST_BYTES >> 20} MB, no surface of a hand: copy it again")
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = archive[name]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: render the set again with --resume") from error
    if values.dtype != kind or values.ndim != 2 or values.shape[1] != 3 or not len(values):
        raise DatasetError(f"{path}: {name} is no array [N,3] of {np.dtype(kind).name}; render the set again")
    return values
