"""What closes a data set: manifest.json, the COCO file, and one digest over all labels. NumPy only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...engine.errors import DatasetError, InputError
from ...engine.files import write_json
from .coco import coco_annotations
from .layout import RADIANCE, record_path
from .places import RECIPE_FILE
from .plan import shot_list, unit_count
from .recipe import Recipe, read_recipe, to_json
from .records import read_record
from .resume import stem_of

MANIFEST = "manifest.json"
COCO_FILE = "coco_keypoints.json"
MANIFEST_SCHEMA = 1
PICTURES_OF_LIGHT = ("images", RADIANCE)
"""What rendering noise and devices change; all else is a label."""


def records(root: Path, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """The records of a whole set in its own order. Raises DatasetError naming the first that is not there."""
    for index in range(unit_count(recipe)):
        for shot in shot_list(recipe, index):
            path = root / shot.folder / record_path(shot.camera, stem_of(recipe, shot))
            try:
                yield read_record(path)
            except InputError as error:
                raise DatasetError(f"{error}; or finish the set with --resume") from error


def labels_digest(root: Path) -> str:
    """SHA-256 over all labels of the set in a folder, without the pictures of light: equal for equal seeds, whatever the
    number of workers, the samples or the device. Raises InputError, DatasetError."""
    return _digest(records(root, read_recipe(root / RECIPE_FILE)))


def write_manifest(root: Path, recipe: Recipe, run_facts: Mapping[str, Any]) -> str:
    """Write coco_keypoints.json, then manifest.json, for a set whose pictures are all there; returns its labels' digest.

    run_facts: versions, devices, times and whatever else is worth knowing of the runs. Raises DatasetError naming a
    record that is missing, OutputError.
    """
    found = list(records(root, recipe))
    digest = _digest(found)
    write_json(root / COCO_FILE, coco_annotations(found, recipe))
    manifest = {
        "schema_version": MANIFEST_SCHEMA,
        "recipe": to_json(recipe),
        "run": dict(run_facts),
        "totals": _totals(found),
        "labels_sha256": digest,
        "digest_of": "SHA-256 of decoded pixels: type, shape and values; files' own bytes may differ",
        "pictures": [_entry(record) for record in found],
    }
    write_json(root / MANIFEST, manifest)
    return digest


def _entry(record: Mapping[str, Any]) -> dict[str, Any]:
    names = ("unit", "folder", "frame", "noise_seed", "light", "files")
    return {"camera": record["camera"]["name"], **{name: record[name] for name in names}}


def _totals(found: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "units": len({record["unit"] for record in found}),
        "frames": len({(record["folder"], record["frame"]) for record in found}),
        "pictures": len(found),
        "files": sum(len(record["files"]) for record in found),
    }


def _digest(found: Iterable[Mapping[str, Any]]) -> str:
    digest = hashlib.sha256()
    for record in found:
        files = {path: value for path, value in record["files"].items() if path.split("/")[0] not in PICTURES_OF_LIGHT}
        digest.update(json.dumps({**record, "files": files}, sort_keys=True).encode())
    return digest.hexdigest()
