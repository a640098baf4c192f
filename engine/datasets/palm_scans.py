"""The 3dMD scans of PALM: which there are, and their meshes.

    ROOT/[XR20A/]meshes/SUBJECT/…/NAME000001.ply       unpacked from meshes/SUBJECT.zip
    SUBJECT/meshes/000001.ply

How the released files are named is not documented, nor their unit: any PLY, OBJ or STL below those folders counts, the last
digits of its name are the frame's number, and the unit is the one in which the mesh has a hand's size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DatasetError
from .scan import Scan
from .scan_file import read_scan
from .set_files import Findings, folders_in, natural_key, some

SUFFIXES = (".ply", ".obj", ".stl")
UNITS = ("m", "mm", "cm")
HAND_M = (0.08, 1.2)
"""Diagonal of a scanned hand, with or without its forearm."""
MOST_FILES = 200_000


class PalmScan(NamedTuple):
    subject: str
    number: int | None
    """As pictures are numbered, from 1; None where the name has no digits."""
    path: Path


def find_scans(root: Path | str, findings: Findings | None = None) -> tuple[PalmScan, ...]:
    """The scans of a set (or of one subject's folder), by subject and number; empty where it has none.

    Complains of zips that are not unpacked, of two scans with one number and of names without one.
    """
    root, findings = Path(root), findings or Findings()
    found: list[PalmScan] = []
    for subject, folder in _places(root, findings):
        paths = [path for path in sorted(folder.rglob("*"), key=natural_key) if path.suffix.lower() in SUFFIXES]
        if len(paths) > MOST_FILES:
            raise DatasetError(f"{folder} holds {len(paths)} scans: give one set's folder")
        numbers: dict[int, Path] = {}
        for path in paths:
            digits = re.search(r"(\d{1,9})\D*$", path.stem)
            number = int(digits[1]) if digits else None
            if number is None:
                findings.complain(f"{path} has no number in its name, so which pose it shows is unknown: rename it")
            elif number in numbers:
                findings.complain(
                    f"{folder} has two scans of number {number} ({numbers[number].name}, {path.name}): keep one"
                )
                continue
            else:
                numbers[number] = path
            found.append(PalmScan(subject, number, path))
    return tuple(found)


def _places(root: Path, findings: Findings) -> Iterator[tuple[str, Path]]:
    """(subject, folder of its scans)."""
    if (root / "poses.npy").is_file():
        if (root / "meshes").is_dir():
            yield root.name, root / "meshes"
        return
    for place in (root / "meshes", root / "XR20A" / "meshes"):
        zips = [path.name for path in sorted(place.glob("*.zip")) if not (place / path.stem).is_dir()]
        if zips:
            findings.complain(
                f"{place} has scans that are still packed ({some(zips)}): unpack each into a folder of its name"
            )
        for folder in folders_in(place):
            yield folder.name, folder
    for base in (root, root / "folders", root / "XR20A" / "folders"):
        for folder in folders_in(base):
            if (folder / "meshes").is_dir() and (folder / "poses.npy").is_file():
                yield folder.name, folder / "meshes"


def read_palm_scan(scan: PalmScan) -> Scan:
    """The mesh, in metres. Raises DatasetError naming a file that is no mesh or in no unit of a hand's size."""
    problem = f"{scan.path} is of no hand's size in metres, millimetres or centimetres: export it again"
    for unit in UNITS:
        try:
            mesh = read_scan(scan.path, unit)
        except DatasetError as error:
            problem = str(error) if unit == UNITS[0] and "m long" not in str(error) else problem
            continue
        if HAND_M[0] < np.linalg.norm(np.ptp(mesh.vertices, axis=0)) < HAND_M[1]:
            return mesh
    raise DatasetError(problem)
