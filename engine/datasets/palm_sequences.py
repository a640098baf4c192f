"""PALM's folders, and this project's own sets in the same layout, as sequences; one for each subject.

    ROOT/[XR20A/|XR20B/][folders/]SUBJECT/…        PALM (see palm.py for what a subject holds)
    ROOT/dataset.json, ROOT/folders/NAME/…         a cohort or an animation of this project
    ROOT/relit_00/dataset.json, folders/_train, _val  …         its HARP-relit

Ours have labels/CAMERA/NNNNNN.json besides: keypoints in three and two dimensions, which have to agree through the camera,
and the side of the hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import DatasetError
from ..hand.cameras import project
from ..hand.mano import hand_forward
from ..hand.model import HandModel, open_hand_model
from .hand_sequence import HandFrame, HandSequence
from .palm import PalmFrame, read_palm_folder
from .palm_files import SET_FILE, read_set_facts
from .set_files import LARGEST_FRAME_JSON, UNPOSED, Findings, folders_in, mean_pose, measured, read_annotations, some

OPEN_HAND_NAME = "PALM Hands open hand"
UNNAMED = "avatar"
"""What the hand model is called where a set does not say whose parameters it has."""
SAME_JOINTS_M = 0.001
AGREE_PX = 0.05
"""Labels are rounded to micrometres and thousandths of a pixel."""
WHAT = "PALM's poses"
RELEASES = ("XR20B", "XR20A")


def is_ours(root: Path) -> bool:
    return bool(_own_parts(root))


def is_palm(root: Path) -> bool:
    places = (root, root / "folders", *(root / name / "folders" for name in RELEASES))
    return any((folder / "poses.npy").is_file() for place in places for folder in (place, *folders_in(place)))


def read_palm_sequences(
    root: Path | str,
    model: HandModel | None,
    findings: Findings | None = None,
    subjects: Collection[str] | None = None,
) -> Iterator[HandSequence]:
    """PALM's subjects; of both releases the small pictures (XR20B). A frame's number is its file's.

    model: MANO; None only to look at a set. Raises DatasetError; with `findings` that keep incomplete parts, problems are
    kept there and their frames left out.
    """
    root, findings = Path(root), findings or Findings()
    yield from _sequences(_release(root), "", model, findings, subjects)


def read_own_sequences(root: Path | str, findings: Findings | None = None) -> Iterator[HandSequence]:
    """The sequences of a set that this project rendered, with their keypoints from the labels. Raises DatasetError."""
    root, findings = Path(root), findings or Findings()
    parts = _own_parts(root)
    if not parts:
        raise DatasetError(f"{root} has no {SET_FILE}: give a folder that `python build.py` made")
    for folder in _relit_folders(root):
        if folder not in parts and root not in parts:
            findings.complain(f"{folder} has no {SET_FILE}: copy the sequence again")
    for part in parts:
        for sequence in _sequences(part, "" if part == root else f"{part.name}/", None, findings, None):
            yield _with_labels(sequence, findings)


def _own_parts(root: Path) -> list[Path]:
    if (root / SET_FILE).is_file():
        return [root]
    return [folder for folder in _relit_folders(root) if (folder / SET_FILE).is_file()]


def _relit_folders(root: Path) -> list[Path]:
    return [folder for folder in folders_in(root) if (folder / "folders" / "_train").is_dir()]


def _release(root: Path) -> Path:
    return next((root / name for name in RELEASES if (root / name / "folders").is_dir()), root)


def _sequences(
    root: Path, prefix: str, model: HandModel | None, findings: Findings, subjects: Collection[str] | None
) -> Iterator[HandSequence]:
    facts = findings.attempt(read_set_facts, root)
    if facts is None:
        return
    own = (root / SET_FILE).is_file()
    # the sets of this project are of the open hand, or of an avatar's: both have a flat mean pose
    mean = np.zeros(45) if own else mean_pose(model, "right", WHAT)
    dataset = findings.attempt(read_palm_folder, root, mean, None, None, findings.keep_incomplete, subjects)
    if dataset is None:
        return
    for line in dataset.left_out:
        if subjects is None or "not asked for" not in line:
            findings.complain(line)
    hand_model = "open" if facts.hand_model == OPEN_HAND_NAME else facts.hand_model or (UNNAMED if own else "mano")
    grouped: dict[str, list[PalmFrame]] = {name: [] for name in dataset.subjects}
    for frame in dataset.frames:
        grouped[frame.subject].append(frame)
    for name, frames in grouped.items():
        notes = (UNPOSED,) if model is None and not own else ()
        yield HandSequence(prefix + name, tuple(map(as_hand_frame, frames)), "right", hand_model, notes)


def as_hand_frame(frame: PalmFrame) -> HandFrame:
    """A PALM frame as a frame of any set."""
    return HandFrame(
        label=f"{frame.camera}/{frame.image.stem}",
        number=int(frame.image.stem),
        camera=frame.camera,
        image=frame.image,
        mask=frame.mask,
        intrinsics=frame.intrinsics,
        world_to_camera=frame.world_to_camera,
        height=frame.height,
        width=frame.width,
        betas=frame.betas,
        global_orient=frame.global_orient,
        hand_pose=frame.hand_pose,
        transl=frame.transl,
        normal=frame.normal,
        silhouette=frame.mano,
    )


class _Label(NamedTuple):
    keypoints: np.ndarray
    side: str


def _with_labels(sequence: HandSequence, findings: Findings) -> HandSequence:
    """The sequence with keypoints and side from its labels; frames whose label is wrong are left out."""
    if not any((frame.image.parents[2] / "labels").is_dir() for frame in sequence.frames):
        return replace(sequence, notes=(*sequence.notes, "no labels/, so no keypoints"))
    frames, sides = [], []
    for frame in sequence.frames:
        label = findings.attempt(_label, frame)
        if label is not None:
            sides.append(label.side)
            frames.append(replace(frame, keypoints_3d=label.keypoints))
    if len(set(sides)) > 1:
        findings.complain(f"{sequence.name} mixes right and left hands in its labels: render it again")
    side = sides[0] if sides else sequence.handedness
    hand_model = sequence.hand_model
    if hand_model == UNNAMED and frames and _fits_open_hand(frames[0], side):
        hand_model = "open"
    return HandSequence(sequence.name, tuple(frames), side, hand_model, sequence.notes)


def _fits_open_hand(frame: HandFrame, side: str) -> bool:
    """Whether the open hand at a frame's parameters has the label's joints: an avatar's set does not name its hand."""
    names = ("betas", "global_orient", "hand_pose", "transl")
    values = (torch.as_tensor(getattr(frame, name), dtype=torch.float32) for name in names)
    joints = hand_forward(open_hand_model(side), *values).joints.numpy()
    known = np.asarray(frame.keypoints_3d)[: len(joints)]
    return bool(np.abs(joints - known).max() < SAME_JOINTS_M)


def _label(frame: HandFrame) -> _Label:
    path = frame.image.parents[2] / "labels" / frame.camera / f"{frame.image.stem}.json"
    values: dict[str, Any] = read_annotations(path, dict, LARGEST_FRAME_JSON)
    points = measured(values.get("keypoints_3d"), f"{path}: keypoints_3d", (21, 3))
    pixels = measured(values.get("keypoints_2d"), f"{path}: keypoints_2d", (21, 2))
    apart = np.abs(project(points, frame.intrinsics, frame.world_to_camera) - pixels).max()
    if not apart < AGREE_PX:
        raise DatasetError(
            f"{path}: keypoints in 3D and 2D are {apart:.2f} px apart through cameras.npy: the files are of different"
            " renderings; copy or render the set again"
        )
    hand = values.get("mano")
    side = hand.get("side") if isinstance(hand, dict) else None
    if side not in ("right", "left"):
        raise DatasetError(f"{path} does not say which hand it is ({some([side])}): render the set again")
    return _Label(points, str(side))
