"""A picture that avatars are judged by, and sequences of a data set cut into such."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..datasets.hand_sequence import HandFrame, HandSequence
from ..datasets.palm_sequences import OPEN_HAND_NAME
from ..errors import DatasetError
from ..hand.mano import shape_hand
from ..hand.model import HandModel
from ..methods.harp_sequence_input import in_camera
from ..spacing import evenly
from .known_capture import KnownFrame
from .protocols import Protocol
from .relit_set import FrameLight, RelitSequence


class Shot(NamedTuple):
    """One picture with what is known of it."""

    label: str
    seen: bool
    """Whether methods may have seen it."""
    frame: KnownFrame
    light: FrameLight | None
    """What it was taken in; None where the set does not say."""
    albedo: Path | None

    @property
    def file(self) -> str:
        """Name of its pictures."""
        return picture_file(f"{self.label}.png")


def file_name(name: str) -> str:
    """A set's name for something, as a name of a file or folder."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:80].lstrip(".") or "_"


def picture_file(name: str) -> str:
    """The same of a picture's file NAME.png, which may come from a report."""
    return f"{file_name(name.removesuffix('.png'))}.png"


@dataclass(frozen=True)
class JudgedSequence:
    """A monocular sequence, cut as a protocol says. The photo's camera is the world's origin."""

    name: str
    photo: HandFrame
    training: tuple[HandFrame, ...]
    """In order; the photo is the first."""
    judged: tuple[HandFrame, ...]
    truth: Path | None = None
    notes: tuple[str, ...] = ()


def shots_of(sequence: RelitSequence | JudgedSequence, count: int | None = None) -> tuple[Shot, ...]:
    """The pictures that are scored: seen ones first. count: so many of the judged ones, and of the seen, evenly (None: all)."""
    if isinstance(sequence, RelitSequence):
        lit = [(sequence.seen, True), *((one, False) for one in evenly(sequence.unseen, count))]
        return tuple(Shot("seen" if seen else one.label, seen, one.frame, one.light, one.albedo) for one, seen in lit)
    parts = ((sequence.training, True), (sequence.judged, False))
    return tuple(
        Shot(frame.label, seen, frame, None, None) for frames, seen in parts for frame in evenly(frames, count)
    )


def judged_sequence(
    sequence: HandSequence, protocol: Protocol, model: HandModel, truth: Path | None = None
) -> JudgedSequence:
    """Cut a sequence as a protocol says. model: the right hand that avatars are to be of.

    Raises DatasetError where too little of the sequence is left, or what methods need is missing.
    """
    place = f"sequence {sequence.name}"
    ours = "open" if model.name == OPEN_HAND_NAME else "mano"
    if sequence.hand_model != ours:
        raise DatasetError(
            f"{place} is of the hand model {sequence.hand_model!r}, not {ours!r}: "
            + ("give --hand-model MANO_RIGHT.pkl" if sequence.hand_model == "mano" else "leave out --hand-model")
        )
    if sequence.handedness != "right":
        raise DatasetError(f"{place} is of a left hand, which no prior knows: mirror it first")
    camera = sequence.frames[0].camera if sequence.frames else ""
    frames = [frame for frame in sequence.frames if frame.camera == camera] if protocol.held_out else sequence.frames
    usable = [frame for frame in frames if frame.mask is not None]
    notes = list(sequence.notes)
    if len(usable) < len(frames):
        notes.append(f"{sequence.name}: {len(frames) - len(usable)} pictures without a mask are left out")
    held = max(1, round(protocol.held_out * len(usable))) if protocol.held_out else len(usable) - 1
    if held < 1 or len(usable) - held < 1:
        raise DatasetError(f"{place} has {len(usable)} pictures with masks: {protocol.name} needs two and more")
    moved = in_photo_axes(usable, model)
    cut = len(moved) - held
    return JudgedSequence(file_name(sequence.name), moved[0], moved[:cut], moved[cut:], truth, tuple(notes))


def in_photo_axes(frames: Sequence[HandFrame], model: HandModel) -> tuple[HandFrame, ...]:
    """The same frames in a world whose origin and axes are the first one's camera's: hands and cameras move together."""
    first = np.asarray(frames[0].world_to_camera, dtype=np.float64)
    back = np.linalg.inv(first)
    moved = []
    for frame in frames:
        seen_by_first = dataclasses.replace(frame, world_to_camera=first)
        orient, transl = in_camera(seen_by_first, model, np.asarray(frame.betas))
        points = frame.keypoints_3d
        moved.append(
            dataclasses.replace(
                frame,
                global_orient=orient,
                transl=transl,
                world_to_camera=np.asarray(frame.world_to_camera) @ back,
                keypoints_3d=None if points is None else points @ first[:3, :3].T + first[:3, 3],
            )
        )
    return tuple(moved)


def wrist_of(model: HandModel, betas: np.ndarray) -> Tensor:
    """[3] metres: the rest wrist of a hand of these betas."""
    return shape_hand(model, torch.as_tensor(betas).float())[1][0]
