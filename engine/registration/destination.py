"""Where `register` may write: never into the set that it reads, nor over another set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..datasets.palm_files import SET_FILE, write_palm_set
from ..errors import OutputError
from ..files import read_json
from ..hand.model import HandModel
from .subject_files import ScanSubject

WRITER = "register"


def check_destination(out: Path, root: Path, subjects: Sequence[ScanSubject]) -> None:
    """Raises OutputError where results in `out` would be written into the set at `root`, or over another set."""
    read = {root.resolve(), *(subject.folder.resolve() for subject in subjects)}
    written = out.resolve()
    if not read.isdisjoint((written, *written.parents)):
        raise OutputError(f"{out} is the set itself or inside it: choose a folder outside {root}")
    overwritten = next((subject for subject in subjects if (written / subject.name).resolve() in read), None)
    if overwritten is not None:
        raise OutputError(
            f"{out} is the set itself, where {overwritten.name}'s poses would be replaced: choose another folder"
        )
    if (out / SET_FILE).exists() and read_json(out / SET_FILE, "description of a data set").get("made_by") != WRITER:
        raise OutputError(f"{out / SET_FILE} is not of `register`, which would replace it: choose another folder")


def describe_destination(out: Path, model: HandModel) -> None:
    """Write OUT/dataset.json: PALM's layout, by `register`."""
    write_palm_set(out, {"hand_model": model.name, "exact_masks": False, "made_by": WRITER})
