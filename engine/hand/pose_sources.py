"""Poses from whatever a user points at: one file, a folder with a file per frame, InterHand2.6M's annotations, or the
engine's own captures of a video. NumPy only.

Single files of named MANO parameters are `pose_files`' business. Here is what needs a choice (which capture, which hand,
which convention) or several files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PoseFileError
from ..outside import numbers
from .pose_files import PoseSequence, load_fields, poses_from_fields
from .pose_gaps import bridged

CONVENTIONS = ("FILE", "FLAT", "MEAN")
FRAME_SUFFIXES = (".pkl", ".pickle", ".npz", ".json", ".npy")
MOST_FILES = 200_000


@dataclass(frozen=True)
class PoseChoice:
    """What the user decides where a file leaves it open."""

    side: str | None = None
    """"right" or "left", where a file holds both hands; None for the one that is there, or the right one."""
    capture: str | None = None
    """InterHand2.6M's capture id; None for the only one."""
    convention: str = "FILE"
    """FILE: absolute or relative to MANO's mean as the file says. FLAT: absolute (flat hand = 0). MEAN: relative to it."""
    hands_mean: np.ndarray | None = None
    """[45] MANO's mean pose, needed for poses that are relative to it."""


def load_poses(path: Path | str, choice: PoseChoice | None = None) -> PoseSequence:
    """The poses in a file or folder, in the project's convention, with notes of what was decided.

    Raises PoseFileError naming the file, the field and the remedy.
    """
    choice = choice or PoseChoice()
    path = Path(path)
    if choice.convention not in CONVENTIONS:
        raise PoseFileError(f"convention {choice.convention!r} is unknown: choose one of {', '.join(CONVENTIONS)}")
    if path.is_dir():
        return _from_folder(path, choice)
    raw = load_fields(path)
    if isinstance(raw.get("frames"), list):
        return _from_captures(raw, str(path), choice)
    captures = _interhand_captures(raw)
    if captures:
        return _from_interhand(captures, str(path), choice)
    return _from_fields(raw, str(path), choice)


def _from_fields(raw: Mapping[str, Any], source: str, choice: PoseChoice) -> PoseSequence:
    if choice.convention == "FILE":
        return poses_from_fields(raw, source, choice.hands_mean)
    flat = choice.convention == "FLAT"
    said = {key: value for key, value in raw.items() if key not in ("convention", "flat_hand_mean")}
    poses = poses_from_fields({**said, "flat_hand_mean": flat}, source, choice.hands_mean)
    words = "absolute (flat hand = 0)" if flat else "relative to MANO's mean pose"
    return replace(poses, notes=(*poses.notes, f"the poses were taken as {words}, as chosen"))


def _from_folder(folder: Path, choice: PoseChoice) -> PoseSequence:
    """One file a frame, as HARP and HaMeR write them, in the order of the numbers in their names."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES and path.is_file()]
    files = [path for path in files if not path.name.startswith(".")]
    if not files:
        raise PoseFileError(f"folder {folder} holds no pose files: give one with a .pkl, .npz, .json or .npy per frame")
    if len(files) > MOST_FILES:
        raise PoseFileError(f"folder {folder} holds {len(files)} pose files: give one with fewer than {MOST_FILES}")
    parts = [_from_fields(load_fields(path), str(path), choice) for path in sorted(files, key=_natural_order)]
    sides = {part.side for part in parts}
    if len(sides) > 1:
        raise PoseFileError(f"folder {folder} mixes right and left hands: give a folder with one hand's files")
    shapes = [part.betas for part in parts if part.betas is not None]
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    if len(files) > 1:
        notes.append(f"{len(files)} files were read as frames in the order of their names")
    return PoseSequence(
        global_orient=np.concatenate([part.global_orient for part in parts]),
        hand_pose=np.concatenate([part.hand_pose for part in parts]),
        transl=np.concatenate([part.transl for part in parts]),
        betas=np.mean(shapes, axis=0) if shapes else None,
        side=sides.pop(),
        fps=parts[0].fps,
        notes=tuple(notes),
    )


def _natural_order(path: Path) -> tuple[Any, ...]:
    """Numbers in a name by their value: frame 10 comes after frame 9."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.name))


def _interhand_captures(raw: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """InterHand2.6M's MANO_NeuralAnnot: {capture: {frame: {"right": {...} or null, "left": …}}}, or one capture of it."""

    def is_frame(value: Any) -> bool:
        return isinstance(value, Mapping) and bool(value) and set(value) <= {"right", "left"}

    def is_capture(value: Any) -> bool:
        return isinstance(value, Mapping) and bool(value) and is_frame(next(iter(value.values())))

    if is_capture(raw):
        return {"": dict(raw)}
    return {str(key): dict(value) for key, value in raw.items()} if raw and all(map(is_capture, raw.values())) else {}


def _from_interhand(captures: dict[str, dict[str, Any]], source: str, choice: PoseChoice) -> PoseSequence:
    """smplx's default layer made these annotations, so poses are relative to MANO's mean; metres, the world's axes."""
    if choice.capture is None and len(captures) > 1:
        raise PoseFileError(f"pose file {source} holds captures {_some(sorted(captures))}: choose one of them")
    if choice.capture is not None and choice.capture not in captures:
        raise PoseFileError(f"pose file {source} has no capture {choice.capture}: it has {_some(sorted(captures))}")
    frames = captures[choice.capture if choice.capture is not None else next(iter(captures))]
    ordered = [frames[key] for key in sorted(frames, key=lambda key: _natural_order(Path(str(key))))]
    if not all(isinstance(frame, Mapping) for frame in ordered):
        raise PoseFileError(
            f"pose file {source}: a frame is no object of right and left hands: give InterHand2.6M's file"
        )
    counts = {side: sum(frame.get(side) is not None for frame in ordered) for side in ("right", "left")}
    side = choice.side or ("right" if counts["right"] else "left")
    if not counts[side]:
        raise PoseFileError(f"pose file {source} has no {side} hand: choose the other one")
    rows: list[dict[str, Any] | None] = []
    for frame in ordered:
        hand = frame.get(side)
        if hand is not None and not isinstance(hand, Mapping):
            raise PoseFileError(f"pose file {source}: a {side} hand is no object with pose, shape and trans")
        rows.append(None if hand is None else dict(hand))
    layout = "InterHand2.6M's annotations, relative to MANO's mean pose"
    return _joined(rows, side, None, source, _unless_chosen(choice, "MEAN"), layout)


def _unless_chosen(choice: PoseChoice, convention: str) -> PoseChoice:
    """The choice with what a layout always is, where the user leaves it to the file."""
    return replace(choice, convention=convention) if choice.convention == "FILE" else choice


def _from_captures(raw: Mapping[str, Any], source: str, choice: PoseChoice) -> PoseSequence:
    """The engine's captures.json: shared fields once, one object or null per frame."""
    shared = {key: value for key, value in raw.items() if key != "frames"}
    rows: list[dict[str, Any] | None] = []
    sides = set()
    for number, own in enumerate(raw["frames"][: MOST_FILES + 1]):
        if own is not None and not isinstance(own, Mapping):
            raise PoseFileError(f"{source}: frame {number} is neither an object nor null: capture the video again")
        rows.append(None if own is None else {**shared, **own})
        if own is not None:
            sides.add({**shared, **own}.get("handedness"))
    if len(rows) > MOST_FILES:
        raise PoseFileError(f"{source} has more than {MOST_FILES} frames: capture parts of the video")
    if len(sides) > 1:
        raise PoseFileError(f"{source} mixes right and left hands: capture the video with --hand right or left")
    side = sides.pop() if sides else None
    fps = raw.get("fps")
    rate = float(fps) if isinstance(fps, (int, float)) and not isinstance(fps, bool) and 0 < fps <= 1000 else None
    return _joined(rows, side if side in ("right", "left") else None, rate, source, _unless_chosen(choice, "FLAT"))


def _joined(
    rows: list[dict[str, Any] | None],
    side: str | None,
    fps: float | None,
    source: str,
    choice: PoseChoice,
    layout: str | None = None,
) -> PoseSequence:
    """Rows of MANO parameters as one sequence; frames without a hand are bridged, or cut off at the ends."""
    seen = [number for number, row in enumerate(rows) if row is not None]
    if not seen:
        raise PoseFileError(f"{source}: no frame shows a hand: capture another video")
    chosen = rows[seen[0] : seen[-1] + 1]
    names = ("hand_pose", "global_orient", "transl", "betas", "pose", "shape", "trans", "rot")
    present = [name for name in names if chosen[0] is not None and chosen[0].get(name) is not None]
    columns: dict[str, Any] = {}
    for name in present:
        values = [_one_row(row.get(name)) for row in chosen if row is not None]
        columns[name] = numbers(values, f"pose file {source}: {name}", PoseFileError)
    flags: dict[str, Any] = {"side": side} if side else {}
    if fps is not None:
        flags["fps"] = fps
    poses = _from_fields({**columns, **flags}, source, choice)
    notes = [note for note in poses.notes if layout is None or "as chosen" not in note]
    notes = [layout, *notes] if layout else [note for note in notes if "as chosen" not in note]
    missing = len(chosen) - len(seen)
    if missing:
        notes.append(f"{missing} frame{'s' if missing > 1 else ''} without a hand were bridged")
    if len(chosen) < len(rows):
        notes.append(f"{len(rows) - len(chosen)} frames without a hand at the ends were left out")
    return replace(bridged(poses, np.array(seen) - seen[0]), notes=tuple(notes))


def _one_row(value: Any) -> Any:
    """[[a, b]] → [a, b]: some tools keep a batch of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) else value


def _some(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
