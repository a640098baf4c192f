"""`python -m engine personalize SEQUENCE --method xhand -o NAME.palmhand`."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..capture.command import options_from
from ..capture.options import hand_model_for, hand_model_name
from ..datasets.formats import read_sequences
from ..datasets.hand_sequence import HandFrame, HandSequence
from ..errors import InputError
from ..hand.model import HandModel
from ..progress import Progress, sub_progress
from ..spacing import evenly
from .harp_video_command import looks_in
from .photo_input import charted_hand_model, device_named, refuse_capture_options
from .xhand import HeldOut, LearnedHand, Parts, divide, learn_hand, measure_hand
from .xhand_config import XHandConfig, preset
from .xhand_export import ExportConfig, export_avatar
from .xhand_file import save_xhand
from .xhand_input import checked_sequence
from .xhand_metrics import HandScores
from .xhand_pictures import HandPictures

log = logging.getLogger(__name__)

INPUT_SHARE, LEARN_SHARE, MEASURE_SHARE = 0.05, 0.75, 0.85
"""Of the progress bar, where the input is checked, the hand learned, and measured."""
UNFINISHED = ".unfinished"
"""Ends the name of the folder beside the avatar that holds a training's checkpoints until the avatar is written."""


def run_xhand(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    started = time.monotonic()
    device, config = device_named(args.device), config_of(args)
    folder = args.inputs[0]
    refuse_capture_options(args, folder)
    unfinished = args.output.with_suffix(UNFINISHED)
    with tempfile.TemporaryDirectory(prefix="palm-hands-") as scratch:
        sequence = chosen_sequence(args, folder)
        model = charted_hand_model(args, sequence.handedness)
        shown = sub_progress(progress, 0.0, INPUT_SHARE)
        # masks drawn for pictures without any are made anew alike
        sequence, notes = checked_sequence(sequence, model, Path(scratch) / "masks", progress=shown)
        for note in notes:
            log.info("%s: %s", sequence.name, note)
        parts = divide(sequence, held_out(args, sequence))
        parts = parts._replace(train=some_views(parts.train, args.views))
        shown = sub_progress(progress, INPUT_SHARE, LEARN_SHARE)
        learned = learn_hand(parts.train, model.to(device), config, shown, unfinished, looks_in(Path(scratch)))
        taught = time.monotonic()
        scores = measure_hand(learned.model, parts, progress=sub_progress(progress, LEARN_SHARE, MEASURE_SHARE))
        export = ExportConfig.draft() if args.quality == "draft" else ExportConfig(texture_px=config.texture_px)
        frame = best_frame(learned.pictures)
        hand = learned.model.cpu()
        avatar = export_avatar(
            args.output,
            hand,
            hand.source.coarse,
            poses_of(learned.pictures),
            frame,
            hand.light_of(frame.camera).detach(),
            provenance(args, sequence, model, parts, learned, notes, config, taught - started),
            metrics_of(scores),
            dataclasses.replace(export, seed=args.seed),
            args.force,
            sub_progress(progress, MEASURE_SHARE, 1.0),
            lambda temporary: save_xhand(temporary, hand),
        )
    shutil.rmtree(unfinished, ignore_errors=True)
    progress(1.0, "done", preview=args.output / "preview.png")
    return {
        "avatar": str(args.output),
        "preview": str(args.output / "preview.png"),
        "handedness": avatar.handedness,
        "pictures": learned.pictures.count,
        **{name: _told(score) for name, score in scores.items()},
        "notes": list(notes),
        "seconds": round(time.monotonic() - started, 1),
    }


def config_of(args: argparse.Namespace) -> XHandConfig:
    """What the options say of the training."""
    config = dataclasses.replace(preset(args.quality), seed=args.seed, shared_light=not args.light_per_camera)
    return config if args.texture_size is None else dataclasses.replace(config, texture_px=args.texture_size)


def chosen_sequence(args: argparse.Namespace, folder: Path) -> HandSequence:
    """The folder's only sequence, or the one of --sequence. Raises InputError, DatasetError."""
    options = options_from(args)
    model = None if options.hand_model is None else hand_model_for("right", options)
    found = [sequence for sequence in read_sequences(folder, model) if len(sequence)]
    known = ", ".join(sequence.name for sequence in found[:6]) + (" …" if len(found) > 6 else "")
    if args.sequence is not None:
        found = [sequence for sequence in found if sequence.name == args.sequence]
        if not found:
            raise InputError(f"{folder} holds no sequence {args.sequence}: it has {known}")
    if len(found) != 1:
        raise InputError(f"{folder} holds {len(found)} sequences ({known}): choose one with --sequence")
    sequence = found[0]
    if sequence.hand_model != hand_model_name(options) and (
        sequence.hand_model == "open" or options.hand_model is None
    ):
        remedy = "leave out --hand-model" if sequence.hand_model == "open" else "add --hand-model with MANO's file"
        raise InputError(f"{sequence.name} has poses of the hand model {sequence.hand_model!r}: {remedy}")
    return sequence


def held_out(args: argparse.Namespace, sequence: HandSequence) -> HeldOut:
    """What --hold-out, --hold-out-cameras and --hold-out-frames set apart. Raises InputError."""
    cameras = tuple(name.strip() for name in (args.hold_out_cameras or "").split(",") if name.strip())
    moments = numbers_in(args.hold_out_frames or "")
    if args.hold_out is not None:
        if args.hold_out < 0 or args.hold_out == 1:
            raise InputError(f"--hold-out {args.hold_out} leaves nothing to learn: give 2 or more, or 0 for none")
        every = sequence.numbers[args.hold_out // 2 :: args.hold_out] if args.hold_out else ()
        moments = tuple(dict.fromkeys((*moments, *every)))
    return HeldOut(cameras, moments)


def numbers_in(text: str) -> tuple[int, ...]:
    """Whole numbers of "3,7,20-25". Raises InputError."""
    numbers: list[int] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or (dash and not 0 <= int(high) - int(low) < 100_000):
            raise InputError(f"--hold-out-frames {text!r} is no list of numbers: write it as 3,7,20-25")
        numbers += range(int(low), int(high or low) + 1)
    return tuple(dict.fromkeys(numbers))


def some_views(sequence: HandSequence, count: int | None) -> HandSequence:
    """The sequence from at most `count` of its cameras, evenly chosen in its order. Raises InputError."""
    if count is None:
        return sequence
    if count < 1:
        raise InputError(f"--views {count} leaves no camera: give 1 or more")
    cameras = set(evenly(sequence.cameras, count, ends=True))
    return dataclasses.replace(sequence, frames=tuple(f for f in sequence.frames if f.camera in cameras))


def best_frame(pictures: HandPictures) -> HandFrame:
    """The picture that shows most of the hand."""

    def size(frame_and_mask: tuple[HandFrame, float]) -> float:
        return frame_and_mask[1]

    shown = [
        (picture.frame, float((picture.mask > 127).sum())) for views in pictures.views for picture in views.values()
    ]
    return max(shown, key=size)[0]


def poses_of(pictures: HandPictures) -> Any:
    """[T,45] of the training, on the CPU."""
    import torch

    return torch.stack([moment.hand_pose for moment in pictures.moments]).cpu()


def metrics_of(scores: dict[str, HandScores]) -> dict[str, float]:
    """For avatar.json."""
    return {key: value for name, score in scores.items() for key, value in score.as_metrics(name).items()}


def provenance(
    args: argparse.Namespace,
    sequence: HandSequence,
    model: HandModel,
    parts: Parts,
    learned: LearnedHand,
    notes: Sequence[str],
    config: XHandConfig,
    seconds: float,
) -> dict[str, Any]:
    """Where the avatar comes from."""
    import platform

    import torch

    from .. import __version__

    held = set(sequence.cameras) - set(parts.train.cameras)
    return {
        "program": f"PALM Hands {__version__}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "input": args.inputs[0].name,
        "sequence": sequence.name,
        "quality": args.quality,
        "hand_model": model.name,
        "seed": args.seed,
        "notes": list(notes),
        "timings_s": {"all": round(seconds, 1), **{k: round(v, 1) for k, v in learned.seconds.items()}},
        "xhand": {
            "vertices": len(learned.model.rest_vertices),
            "steps": config.steps,
            "views_a_step": config.views,
            "pictures": learned.pictures.count,
            "cameras": list(parts.train.cameras),
            "moments": list(parts.train.numbers),
            "other_cameras": sorted(held),
            "other_moments": sorted(set(sequence.numbers) - set(parts.train.numbers)),
            "light": "shared" if config.shared_light else "per camera",
        },
    }


def _told(score: HandScores) -> dict[str, float]:
    return {name: round(value, 3) for name, value in score._asdict().items()}
