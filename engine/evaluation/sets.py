"""The sequences of a data set, as a protocol wants them; what cannot be judged is left out and said."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..datasets.formats import read_sequences
from ..datasets.hand_sequence import HandFrame, HandSequence
from ..datasets.interhand import is_interhand, read_palm_selection
from ..errors import DatasetError
from ..hand.model import HandModel
from .protocols import Protocol
from .relit_set import RelitSequence, read_relit_set
from .shots import JudgedSequence, judged_sequence

log = logging.getLogger(__name__)


class JudgedSet(NamedTuple):
    sequences: tuple[RelitSequence | JudgedSequence, ...]
    notes: tuple[str, ...]
    """A line for everything that was left out, and what readers decided."""


def read_set(
    root: Path, protocol: Protocol, model: HandModel, count: int | None = None, masks: Path | None = None
) -> JudgedSet:
    """The first `count` sequences (None: all) that can be judged.

    model: the right hand whose parameters the set must have; masks: folder of LABEL.png for pictures without masks (the label's
    slashes are folders), 255 = hand. Raises DatasetError where no sequence is left, and for a set that the protocol is not for.
    """
    if not root.is_dir():
        raise DatasetError(f"--dataset {root} is not a folder: give the folder of a data set")
    relit = any(path.is_dir() for path in root.glob("relit_*/folders/_val"))
    if protocol.lit_frames:
        return JudgedSet(read_relit_set(root, model, count), ())
    if relit:
        raise DatasetError(
            f"{root} is a HARP-relit set, whose light changes between pictures: use --protocol harp-relit"
        )
    sequences: list[RelitSequence | JudgedSequence] = []
    notes: list[str] = []
    for sequence in _readable(root, model):
        if len(sequences) == count:
            break
        truth = root / "avatars" / f"{sequence.name}.palmhand"
        try:
            masked = sequence if masks is None else with_masks(sequence, masks)
            judged = judged_sequence(masked, protocol, model, truth if truth.is_dir() else None)
        except DatasetError as error:
            log.warning("%s", error)
            notes.append(f"left out: {error}")
            continue
        sequences.append(judged)
        notes += judged.notes
    if not sequences:
        raise DatasetError(f"{root} has no sequence for {protocol.name}; {notes[0] if notes else 'it is empty'}")
    return JudgedSet(tuple(sequences), tuple(dict.fromkeys(notes)))


def _readable(root: Path, model: HandModel) -> Iterable[HandSequence]:
    """PALM's 12 sequences of InterHand2.6M; of any other set all."""
    return read_palm_selection(root, model) if is_interhand(root) else read_sequences(root, model)


def with_masks(sequence: HandSequence, folder: Path) -> HandSequence:
    """A sequence whose frames without a mask get FOLDER/LABEL.png where that is a file."""
    return dataclasses.replace(sequence, frames=tuple(_with_mask(frame, folder) for frame in sequence.frames))


def _with_mask(frame: HandFrame, folder: Path) -> HandFrame:
    if frame.mask is not None:
        return frame
    path = folder / f"{frame.label}.png"
    inside = folder.resolve() in path.resolve().parents
    return dataclasses.replace(frame, mask=path) if inside and path.is_file() else frame
