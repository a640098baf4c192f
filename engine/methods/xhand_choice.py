"""Which sequence of a folder the options choose, and which of its cameras and moments teach."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

from ..capture.command import options_from
from ..capture.options import hand_model_for, hand_model_name
from ..datasets.formats import read_sequences
from ..datasets.hand_sequence import HandSequence
from ..datasets.set_files import Findings
from ..errors import DatasetError, InputError
from ..progress import Progress, silent
from ..spacing import evenly
from .xhand import HeldOut, Parts, divide

NAMES_TOLD = 6
"""Of sequences to choose from."""
PROBLEMS_TOLD = 6
"""Of a set of which parts cannot be read."""


def chosen_sequence(
    args: argparse.Namespace, folder: Path, progress: Progress = silent
) -> tuple[HandSequence, tuple[str, ...]]:
    """(the folder's only sequence, or the one of --sequence; a line for each thing that is missing from it or damaged).

    Raises InputError, DatasetError, and Cancelled from the progress callback.
    """
    options = options_from(args)
    model = None if options.hand_model is None else hand_model_for("right", options)
    findings = Findings(keep_incomplete=True, watch=lambda: progress(0.0, "reading the sequence"))
    readable = (sequence for sequence in read_sequences(folder, model, findings=findings) if len(sequence))
    sequence = _only(readable, folder, findings) if args.sequence is None else _named(readable, args.sequence, folder)
    if sequence.hand_model != hand_model_name(options) and (
        sequence.hand_model == "open" or options.hand_model is None
    ):
        remedy = "leave out --hand-model" if sequence.hand_model == "open" else "add --hand-model with MANO's file"
        raise InputError(f"{sequence.name} has poses of the hand model {sequence.hand_model!r}: {remedy}")
    problems = [f"{problem} (left out)" for problem in findings.problems[:PROBLEMS_TOLD]]
    if findings.count > PROBLEMS_TOLD:
        problems.append(f"{findings.count - PROBLEMS_TOLD} more were left out: check-data names them")
    return sequence, tuple(problems)


def _only(readable: Iterator[HandSequence], folder: Path, findings: Findings) -> HandSequence:
    # of a published set with thousands of recordings no more are read than can be told
    found = list(itertools.islice(readable, NAMES_TOLD + 1))
    if len(found) > 1:
        raise InputError(f"{folder} holds several sequences ({_told(found)}): choose one with --sequence")
    if not found:
        # the last word on the whole set
        raise DatasetError(findings.problems[-1] if findings.problems else f"{folder} holds no sequence: give another")
    return found[0]


def _named(readable: Iterator[HandSequence], name: str, folder: Path) -> HandSequence:
    others = []
    for sequence in readable:
        if sequence.name == name:
            return sequence
        others.append(sequence)
    raise InputError(f"{folder} holds no sequence {name}: it has {_told(others) or 'none that can be used'}")


def _told(sequences: list[HandSequence]) -> str:
    names = ", ".join(sequence.name for sequence in sequences[:NAMES_TOLD])
    return names + (" …" if len(sequences) > NAMES_TOLD else "")


def held_out(args: argparse.Namespace, sequence: HandSequence) -> HeldOut:
    """What --hold-out, --hold-out-cameras and --hold-out-frames set apart of a sequence. Raises InputError."""
    cameras = tuple(name.strip() for name in (args.hold_out_cameras or "").split(",") if name.strip())
    moments = numbers_in(args.hold_out_frames or "")
    if args.hold_out is not None:
        moments = tuple(dict.fromkeys((*moments, *_every(args.hold_out, sequence))))
    held = HeldOut(cameras, moments)
    divide(sequence, held)  # refuses what is not there
    return held


def _every(count: int, sequence: HandSequence) -> tuple[int, ...]:
    """Numbers of the moments that --hold-out holds out."""
    if count < 0 or count == 1:
        raise InputError(f"--hold-out {count} leaves nothing to learn: give 2 or more, or 0 for none")
    chosen = sequence.numbers[count // 2 :: count] if count else ()
    if count and not chosen:
        raise InputError(f"--hold-out {count} holds out none of {len(sequence.numbers)} moments: give fewer")
    return tuple(chosen)


def numbers_in(text: str) -> tuple[int, ...]:
    """Whole numbers of "3,7,20-25". Raises InputError."""
    numbers: list[int] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or (dash and not 0 <= int(high) - int(low) < 100_000):
            raise InputError(f"--hold-out-frames {text!r} is no list of numbers: write it as 3,7,20-25")
        numbers += range(int(low), int(high or low) + 1)
    return tuple(dict.fromkeys(numbers))


def parts_of(sequence: HandSequence, held: HeldOut, views: int | None) -> Parts:
    """The sequence for training, from at most `views` of its cameras, evenly chosen in its order, and what measures it.

    held: of which parts may have been left out of the sequence since. Raises InputError.
    """
    if views is not None and views < 1:
        raise InputError(f"--views {views} leaves no camera: give 1 or more")
    there = HeldOut(
        tuple(name for name in held.cameras if name in sequence.cameras),
        tuple(number for number in held.moments if number in set(sequence.numbers)),
    )
    parts = divide(sequence, there)
    chosen = set(evenly(parts.train.cameras, views, ends=True))
    train = dataclasses.replace(parts.train, frames=tuple(f for f in parts.train.frames if f.camera in chosen))
    return parts._replace(train=train)
