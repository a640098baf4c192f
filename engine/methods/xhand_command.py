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

from ..datasets.hand_sequence import HandFrame, HandSequence
from ..hand.model import HandModel
from ..progress import Progress, sub_progress
from .harp_video_command import looks_in
from .photo_input import charted_hand_model, device_named, refuse_capture_options
from .xhand import LearnedHand, Parts, learn_hand, measure_hand
from .xhand_choice import chosen_sequence, held_out, parts_of
from .xhand_config import XHandConfig, preset
from .xhand_export import ExportConfig, export_avatar
from .xhand_file import save_xhand
from .xhand_input import LEFT_OUT, checked_sequence, enough_to_learn
from .xhand_metrics import HandScores
from .xhand_pictures import HandPictures

log = logging.getLogger(__name__)

INPUT_SHARE, LEARN_SHARE, MEASURE_SHARE = 0.05, 0.75, 0.85
TEXTURE_PX = 2048
"""Of an avatar's textures, but of a draft's."""
"""Of the progress bar, where the input is checked, the hand learned, and measured."""
WARNINGS = 12
"""Lines on what is wrong with a sequence, before it is learned from."""
UNFINISHED = ".unfinished"
"""Ends the name of the folder beside the avatar that holds a training's checkpoints until the avatar is written."""


def run_xhand(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    started = time.monotonic()
    device, config = device_named(args.device), config_of(args)
    folder = args.inputs[0]
    refuse_capture_options(args, folder, "leave it out")
    unfinished = args.output.with_suffix(UNFINISHED)
    with tempfile.TemporaryDirectory(prefix="palm-hands-") as scratch:
        sequence, problems = chosen_sequence(args, folder, progress)
        told = sequence.notes
        held = held_out(args, sequence)
        model = charted_hand_model(args, sequence.handedness)
        shown = sub_progress(progress, 0.0, INPUT_SHARE)
        # masks drawn for pictures without any are made anew alike
        sequence, found = checked_sequence(sequence, model, Path(scratch) / "masks", progress=shown)
        parts = parts_of(sequence, held, args.views)
        lacking = enough_to_learn(parts.train)
        notes = (*problems, *told, *found, *lacking)
        _warn(sequence.name, [note for note in notes if LEFT_OUT in note or note in lacking])
        shown = sub_progress(progress, INPUT_SHARE, LEARN_SHARE)
        learned = learn_hand(parts.train, model.to(device), config, shown, unfinished, looks_in(Path(scratch)))
        taught = time.monotonic()
        scores = measure_hand(learned.model, parts, progress=sub_progress(progress, LEARN_SHARE, MEASURE_SHARE))
        frame = best_frame(learned.pictures)
        hand = learned.model.cpu()
        avatar = export_avatar(
            args.output,
            hand,
            hand.source.coarse,
            poses_of(learned.pictures),
            frame,
            lambda directions: hand.radiance(hand.light_of(frame.camera), directions).detach(),
            provenance(args, sequence, model, parts, learned, notes, config, taught - started),
            metrics_of(scores),
            export_of(args),
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
    return dataclasses.replace(preset(args.quality), seed=args.seed, shared_light=not args.light_per_camera)


def export_of(args: argparse.Namespace) -> ExportConfig:
    """What they say of the avatar; a training that goes on may be given another texture size."""
    export = ExportConfig.draft() if args.quality == "draft" else ExportConfig(texture_px=TEXTURE_PX)
    return dataclasses.replace(export, seed=args.seed, texture_px=args.texture_size or export.texture_px)


def _warn(name: str, notes: Sequence[str]) -> None:
    """Before hours are spent: what is left out, or lacking."""
    for note in notes[:WARNINGS]:
        log.warning("%s: %s", name, note)
    if len(notes) > WARNINGS:
        log.warning("%s: %d more of this kind; avatar.json will list them", name, len(notes) - WARNINGS)


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
