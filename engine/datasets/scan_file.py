"""Files of scanned surfaces, through trimesh. Nothing beside the file itself is opened: no materials, no textures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError, MissingDependencyError
from ..files import atomic_file
from .scan import Scan, scan_from_mesh

SCAN_SUFFIXES = (".ply", ".obj", ".stl")
METRES_PER_UNIT = {"m": 1.0, "cm": 0.01, "mm": 0.001}
LARGEST_BYTES = 2 << 30


def read_scan(path: Path, unit: str = "m") -> Scan:
    """The scan in a PLY, OBJ or STL file. unit: of the file's numbers, a key of METRES_PER_UNIT.

    Raises DatasetError naming the file: missing, no mesh, empty, not finite, or of a size that is no hand's.
    """
    if not path.is_file():
        raise DatasetError(f"{path} does not exist: copy the scans again")
    if path.stat().st_size > LARGEST_BYTES:
        raise DatasetError(f"{path} is larger than 2 GB: give a decimated scan")
    if not path.stat().st_size:
        raise DatasetError(f"{path} is empty: copy the scan again")
    trimesh = _trimesh()
    try:
        mesh = trimesh.load(
            io.BytesIO(path.read_bytes()), file_type=path.suffix[1:].lower(), process=False, skip_materials=True
        )
        if isinstance(mesh, trimesh.Scene):
            mesh = mesh.to_geometry()
    except Exception as error:
        raise DatasetError(
            f"{path} cannot be read as a mesh ({type(error).__name__}): export the scan again"
        ) from error
    if not isinstance(mesh, trimesh.Trimesh):
        raise DatasetError(f"{path} holds no triangles: give the scanned surface as a mesh, not as points")
    return scan_from_mesh(np.asarray(mesh.vertices) * METRES_PER_UNIT[unit], np.asarray(mesh.faces), str(path))


def write_scan(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write triangles [F,3] over vertices [N,3] as binary PLY."""
    content = _trimesh().Trimesh(vertices, faces, process=False).export(file_type="ply")
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _trimesh() -> Any:
    try:
        import trimesh
    except ImportError as error:
        raise MissingDependencyError(
            "scan files need the package trimesh: install the `scans` extra (pip install -e .[scans] in the checkout)"
        ) from error
    return trimesh
