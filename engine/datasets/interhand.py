"""Reader of InterHand2.6M: many cameras around one or two hands, MANO by NeuralAnnot.

    ROOT/images/{train,val,test}/CaptureN/SEQUENCE/camXXXXXX/imageNNNNN.jpg          334×512
         [masks/SPLIT/CaptureN/SEQUENCE/camXXXXXX/imageNNNNN.png         not of the set: yours, 255 = hand]
         annotations/SPLIT/InterHand2.6M_SPLIT_camera.json              (release 1.0; 0.0: annotations/all/…)
                                       _MANO_NeuralAnnot.json, _joint_3d.json

    camera.json     {capture: {campos: {camera: [3]}, camrot: {camera: 3×3}, focal: {camera: [2]}, princpt: {camera: [2]}}}
    joint_3d.json   {capture: {frame: {world_coord: 42×3, joint_valid: 42, …}}}      (0.0: the 42×3 alone)
    MANO_….json     {capture: {frame: {right: {pose: [48], shape: [10], trans: [3]} or null, left: …}}}

Positions are millimetres of the capture's world, MANO's `trans` is metres of it; camrot turns world into camera and campos is
the camera's place, so t = −R·campos/1000. Poses are relative to MANO's mean pose. The left hand's are of MANO_LEFT with the
sign of its first shape directions mended (smplx issue 48), as `load_hand_model` reads it. Joints: 21 of the right hand, then
21 of the left, thumb to little finger, each from the tip to the root, the wrist last. The set has no masks: those of a
segmentation may be put into masks/, others rendered (`rendered_masks`). Principal points are used as they are written. Names
in annotation files are never made paths: pictures are found by listing folders.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DatasetError
from ..hand.joints import to_palm
from ..hand.model import HandModel
from .hand_sequence import HandFrame, HandSequence
from .interhand_selection import PALM_SEQUENCES, PalmSelection
from .set_files import (
    UNPOSED,
    Findings,
    field,
    folders_in,
    mean_pose,
    numbered,
    pinhole,
    plural,
    read_annotations,
    rigid,
    sized_alike,
    some,
)

SPLITS = ("test", "val", "train")
WHAT = "InterHand2.6M's poses"
SIDES = ("right", "left")
LEFT_BETAS = "betas are of MANO_LEFT with the sign of its shape directions mended (smplx issue 48)"


@dataclass(frozen=True)
class InterHandChoice:
    """What of the set to read; None is all of it."""

    split: str | None = None
    capture: str | None = None
    sequence: str | None = None
    cameras: Collection[str] | None = None
    numbers: Collection[int] | None = None
    hand: str | None = None


def is_interhand(root: Path) -> bool:
    """Whether a folder has the set's layout."""
    if any((root / "annotations").glob("**/InterHand2.6M_*.json")):
        return True
    return any((root / "images" / split).is_dir() for split in SPLITS)


def read_interhand(
    root: Path | str,
    model: HandModel | None,
    choice: InterHandChoice | None = None,
    findings: Findings | None = None,
) -> Iterator[HandSequence]:
    """One sequence for every recording and hand in it, all cameras together.

    model: MANO of either side; None only to look at a set (finger poses then stay relative to MANO's mean). Raises
    DatasetError; with `findings` that keep incomplete parts, problems are kept there and their frames left out.
    """
    root, choice, findings = Path(root), choice or InterHandChoice(), findings or Findings()
    if not any(folders_in(root / "images" / split) for split in SPLITS):
        findings.complain(f"{root} has no pictures (images/test/Capture0 …): unpack the set's images there")
    for split in SPLITS if choice.split is None else (choice.split,):
        captures = folders_in(root / "images" / split)
        if not captures:
            continue
        annotations = findings.attempt(_Annotations, root, split, findings)
        if annotations is None:
            continue
        for capture in captures:
            number = capture.name.removeprefix("Capture")
            if choice.capture not in (None, number):
                continue
            for recording in folders_in(capture):
                if choice.sequence in (None, recording.name):
                    yield from _recording(recording, number, annotations, model, choice, findings)


def read_palm_selection(
    root: Path | str,
    model: HandModel | None,
    findings: Findings | None = None,
    names: Collection[str] | None = None,
) -> Iterator[HandSequence]:
    """The sequences of PALM's comparison (`PALM_SEQUENCES`; names: only these), in the table's order.

    Each is searched in all splits. Raises DatasetError that names absent sequences and pictures; with `findings` that keep
    incomplete parts, what is there is read.
    """
    root, findings = Path(root), findings or Findings()
    unknown = sorted(set(names or ()) - {selection.name for selection in PALM_SEQUENCES})
    if unknown:
        raise DatasetError(f"PALM's comparison has no sequence {some(unknown)}: use names of PALM_SEQUENCES")
    loaded: dict[str, _Annotations | None] = {}
    for selection in PALM_SEQUENCES:
        if names is not None and selection.name not in names:
            continue
        split = _split_with(root, selection)
        if split is None:
            findings.complain(
                f"{root / 'images'} has no pictures of {selection.name} (Capture{selection.capture}/"
                f"{selection.sequence}/cam{selection.camera}): download that capture"
            )
            continue
        if split not in loaded:
            loaded[split] = findings.attempt(_Annotations, root, split, findings)
        annotations = loaded[split]
        if annotations is None:
            continue
        choice = InterHandChoice(
            split, selection.capture, selection.sequence, (selection.camera,), selection.numbers, selection.hand
        )
        folder = root / "images" / split / f"Capture{selection.capture}" / selection.sequence
        for sequence in _recording(folder, selection.capture, annotations, model, choice, findings):
            yield _named(sequence, selection, findings)


def _split_with(root: Path, selection: PalmSelection) -> str | None:
    """The split that has most pictures of a sequence; None where none has any."""
    counts = _present(root, selection)
    best = max(counts, key=lambda split: counts[split])
    return best if counts[best] else None


def _present(root: Path, selection: PalmSelection) -> dict[str, int]:
    """How many of a sequence's pictures each split has."""
    place = Path(f"Capture{selection.capture}", selection.sequence, f"cam{selection.camera}")
    return {
        split: sum((root / "images" / split / place / f"image{number}.jpg").is_file() for number in selection.numbers)
        for split in SPLITS
    }


def complete_palm_sequences(root: Path) -> tuple[str, ...]:
    """Names of those sequences of PALM's comparison whose pictures are all there."""
    complete = (s for s in PALM_SEQUENCES if max(_present(root, s).values()) == len(s.numbers))
    return tuple(selection.name for selection in complete)


def _named(sequence: HandSequence, selection: PalmSelection, findings: Findings) -> HandSequence:
    missing = [number for number in selection.numbers if number not in set(sequence.numbers)]
    if missing:
        findings.complain(
            f"{selection.name} has {len(sequence.numbers)} of {len(selection.numbers)} pictures"
            f" (missing: image{some(missing)}): download them, or results cannot be compared"
        )
    if selection.numbers[0] in missing:
        findings.complain(f"{selection.name} lacks image{selection.numbers[0]}, the one to personalise from")
    return HandSequence(selection.name, sequence.frames, sequence.handedness, sequence.hand_model, sequence.notes)


class _Annotations:
    """The three files of a split."""

    def __init__(self, root: Path, split: str, findings: Findings):
        self.split = split
        self.folder = next(
            (
                folder
                for folder in (root / "annotations" / split, root / "annotations" / "all", root / "annotations")
                if (folder / f"InterHand2.6M_{split}_camera.json").is_file()
            ),
            root / "annotations" / split,
        )
        self.camera_file = self.folder / f"InterHand2.6M_{split}_camera.json"
        self.mano_file = self.folder / f"InterHand2.6M_{split}_MANO_NeuralAnnot.json"
        self.joint_file = self.folder / f"InterHand2.6M_{split}_joint_3d.json"
        old = self.folder / f"InterHand2.6M_{split}_MANO.json"
        if old.is_file() and not self.mano_file.is_file():
            raise DatasetError(
                f"{old} is of the withdrawn release (one pose a camera): download {self.mano_file.name} in its place"
            )
        self.cameras: dict[str, Any] = read_annotations(self.camera_file, dict)
        self.mano: dict[str, Any] = read_annotations(self.mano_file, dict)
        self.joints: dict[str, Any] = {}
        if self.joint_file.is_file():
            self.joints = findings.attempt(read_annotations, self.joint_file, dict) or {}

    def has_capture(self, capture: str) -> bool:
        """True; raises DatasetError where the poses lack a capture."""
        if not isinstance(self.mano.get(capture), Mapping):
            raise DatasetError(
                f"{self.mano_file} has no poses of capture {capture}: download annotations of the same release"
            )
        return True

    def hands(self, capture: str, number: int) -> Mapping[str, Any]:
        """{side: parameters or null} of a moment. Raises DatasetError for files of another version."""
        entry = self.mano[capture].get(str(number))
        if entry is None:
            return {}
        if not isinstance(entry, Mapping) or not set(entry) <= set(SIDES):
            raise DatasetError(
                f"{self.mano_file}: capture {capture}, frame {number} is no pair of right and left:"
                " it is of another version; download release 1.0's"
            )
        return entry

    def keypoints(self, capture: str, number: int, side: str) -> np.ndarray | None:
        """[21,3] metres of the world in the project's order, NaN where not valid; None where the file has none."""
        frames = self.joints.get(capture)
        entry = frames.get(str(number)) if isinstance(frames, Mapping) else None
        if entry is None:
            return None
        where = f"{self.joint_file}: capture {capture}, frame {number}"
        if isinstance(entry, Mapping):
            points = field(entry, "world_coord", where, (42, 3)) / 1000
            valid = field(entry, "joint_valid", where, (42,)) > 0.5 if "joint_valid" in entry else np.ones(42, bool)
        else:
            points, valid = field({"points": entry}, "points", where, (42, 3)) / 1000, np.ones(42, bool)
        points = np.where(valid[:, None], points, np.nan)
        return to_palm(points[:21] if side == "right" else points[21:], "interhand")


class _View(NamedTuple):
    """A camera with its pictures."""

    name: str
    pictures: dict[int, Path]
    masks: dict[int, Path]
    """Empty where there are none."""
    intrinsics: np.ndarray
    world_to_camera: np.ndarray
    size: tuple[int, int]


def _recording(
    folder: Path,
    capture: str,
    annotations: _Annotations,
    model: HandModel | None,
    choice: InterHandChoice,
    findings: Findings,
) -> Iterator[HandSequence]:
    views = []
    for place in folders_in(folder):
        name = place.name.removeprefix("cam")
        if choice.cameras is None or name in choice.cameras:
            view = findings.attempt(_view, place, name, capture, annotations, choice, findings)
            views += [] if view is None else [view]
    moments = sorted({number for view in views for number in view.pictures})
    if not moments or not findings.attempt(annotations.has_capture, capture):
        return
    hands: dict[int, Mapping[str, Any]] = {}
    for number in moments:
        hands[number] = findings.attempt(annotations.hands, capture, number) or {}
    if not any(hand is not None for pair in hands.values() for hand in pair.values()):
        findings.complain(
            f"{folder}: none of its {plural(len(moments), 'moment')} has a pose in {annotations.mano_file.name}: pictures and"
            " annotations are of different releases (5 and 30 frames a second?)"
        )
    for side in SIDES if choice.hand is None else (choice.hand,):
        seen = [number for number in moments if hands[number].get(side) is not None]
        if not seen:
            continue
        frames = _frames(side, seen, hands, views, capture, annotations, mean_pose(model, side, WHAT), findings)
        if frames:
            notes = [] if any(view.masks for view in views) else ["no masks: the set has none"]
            notes += [UNPOSED] if model is None else []
            notes += [LEFT_BETAS] if side == "left" else []
            if len(seen) < len(moments):
                notes.append(
                    f"{plural(len(moments) - len(seen), 'moment')} of {len(moments)} without a {side} hand left out"
                )
            both = sum(all(hands[number].get(name) is not None for name in SIDES) for number in seen)
            if both:
                notes.append(f"{plural(both, 'moment')} with both hands")
            name = f"{annotations.split}_c{capture}_{folder.name}_{side}"
            yield HandSequence(name, tuple(frames), side, "mano", tuple(notes))


def _view(
    place: Path, name: str, capture: str, annotations: _Annotations, choice: InterHandChoice, findings: Findings
) -> _View:
    cameras = annotations.cameras.get(capture)
    where = f"{annotations.camera_file}: capture {capture}"
    if not isinstance(cameras, Mapping) or not all(isinstance(cameras.get(k), Mapping) for k in ("campos", "camrot")):
        raise DatasetError(f"{where} has no campos and camrot: it is of another version, or lacks that capture")
    if name not in cameras["campos"]:
        raise DatasetError(
            f"{where} has no camera {name}, but {place} has pictures: download annotations of the same release"
        )
    rotation = field(cameras["camrot"], name, f"{where}, camrot", (3, 3))
    position = field(cameras["campos"], name, f"{where}, campos", (3,))
    focal = field(cameras.get("focal"), name, f"{where}, focal", (2,))
    centre = field(cameras.get("princpt"), name, f"{where}, princpt", (2,))
    pictures = numbered(place, r"image(\d{1,9})\.jpg", findings)
    if choice.numbers is not None:
        pictures = {number: pictures[number] for number in choice.numbers if number in pictures}
    pictures, size = sized_alike(pictures, findings)
    intrinsics = np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]])
    if pictures:
        pinhole(intrinsics, size, f"{where}, camera {name}")
    matrix = rigid(rotation, -rotation @ position / 1000, f"{where}, camrot: {name}")
    masks = _masks(place, pictures, size, findings)
    if masks:
        pictures = {number: path for number, path in pictures.items() if number in masks}
    return _View(name, pictures, masks, intrinsics, matrix, size)


def _masks(place: Path, pictures: Mapping[int, Path], size: tuple[int, int], findings: Findings) -> dict[int, Path]:
    """Masks that the user has put beside a camera's pictures; complains of pictures without one."""
    root = place.parents[4]
    masks = numbered(root / "masks" / place.relative_to(root / "images"), r"image(\d{1,9})\.png", findings)
    missing = [number for number in pictures if number not in masks]
    if masks and missing:
        findings.complain(
            f"{place} has {plural(len(missing), 'picture')} without a mask (image{some(missing)}): make them too"
        )
    return sized_alike({n: path for n, path in masks.items() if n in pictures}, findings, size)[0]


def _frames(
    side: str,
    seen: list[int],
    hands: Mapping[int, Mapping[str, Any]],
    views: list[_View],
    capture: str,
    annotations: _Annotations,
    mean: np.ndarray,
    findings: Findings,
) -> list[HandFrame]:
    frames = []
    for number in seen:
        where = f"{annotations.mano_file}: capture {capture}, frame {number}, {side}"
        hand = findings.attempt(_parameters, hands[number][side], where)
        if hand is None:
            continue
        points = findings.attempt(annotations.keypoints, capture, number, side)
        frames += [
            HandFrame(
                label=f"cam{view.name}/image{number}",
                number=number,
                camera=view.name,
                image=view.pictures[number],
                mask=view.masks.get(number),
                intrinsics=view.intrinsics,
                world_to_camera=view.world_to_camera,
                height=view.size[1],
                width=view.size[0],
                betas=hand["shape"],
                global_orient=hand["pose"][:3],
                hand_pose=hand["pose"][3:] + mean,
                transl=hand["trans"],
                keypoints_3d=points,
            )
            for view in views
            if number in view.pictures
        ]
    return frames


def _parameters(hand: Any, where: str) -> dict[str, np.ndarray]:
    return {name: field(hand, name, where, (width,)) for name, width in (("pose", 48), ("shape", 10), ("trans", 3))}
