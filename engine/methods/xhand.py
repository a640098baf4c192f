"""XHand: a hand that is learned from calibrated views of many moments (Gan et al. 2024).

From the mesh of the hand model and pictures with known poses, in three steps: a mean hand and the light by inverse rendering of a
few moments; what depends on the pose, from all; a neural renderer that corrects what Lambert's law leaves out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..datasets.hand_sequence import HandSequence
from ..errors import Cancelled, CheckpointError, InputError
from ..hand.atlas import with_texture_charts
from ..hand.model import HandModel
from ..progress import Progress, silent, sub_progress
from ..spacing import evenly
from ..training.checkpoint import load_latest, save_checkpoint
from .harp import repeatable
from .pose_range import pose_range
from .xhand_config import XHandConfig
from .xhand_metrics import HandScores, measure
from .xhand_model import SHARED, XHandModel
from .xhand_pictures import HandPictures, cut_out, moments_of
from .xhand_preview import comparison
from .xhand_stages import TITLES, Training
from .xhand_template import build_template

log = logging.getLogger(__name__)

Look = Callable[[Tensor], Path]
"""Writes a picture [h,w,3] sRGB in [0,1] of how far the training has come, and says where."""
MOST_MEASURED = 60
"""Pictures of one kind, evenly chosen."""


class HeldOut(NamedTuple):
    """What a training never sees."""

    cameras: tuple[str, ...] = ()
    moments: tuple[int, ...] = ()
    """Numbers of moments, as the sequence counts."""


class Parts(NamedTuple):
    """A sequence for training, and what of it measures the result."""

    train: HandSequence
    novel_view: HandSequence
    """Moments of the training from other cameras."""
    novel_pose: HandSequence
    """Other moments from the training's cameras."""
    novel_both: HandSequence


class LearnedHand(NamedTuple):
    model: XHandModel
    pictures: HandPictures
    """Of the training."""
    seconds: dict[str, float]
    """Of this run, by stage."""


def divide(sequence: HandSequence, held: HeldOut) -> Parts:
    """Set apart what is held out. Raises InputError for cameras or moments that are not there, or where nothing is left."""
    _check_known("camera", held.cameras, sequence.cameras)
    _check_known("moment", held.moments, sequence.numbers)

    cameras, moments = set(held.cameras), set(held.moments)

    def part(camera: bool, moment: bool) -> HandSequence:
        frames = [
            frame
            for frame in sequence.frames
            if (frame.camera in cameras) == camera and (frame.number in moments) == moment
        ]
        return dataclasses.replace(sequence, frames=tuple(frames))

    parts = Parts(part(False, False), part(True, False), part(False, True), part(True, True))
    if not len(parts.train):
        raise InputError(f"nothing of {sequence.name} is left to learn from: hold out fewer cameras or moments")
    return parts


def learn_hand(
    sequence: HandSequence,
    hand: HandModel,
    config: XHandConfig,
    progress: Progress = silent,
    checkpoints: Path | None = None,
    look: Look | None = None,
) -> LearnedHand:
    """Learn a hand from all pictures of a sequence.

    hand: the hand model whose parameters the frames hold, not subdivided, of the sequence's side, on the device to compute on.
    checkpoints: folder from which an interrupted training of the same pictures goes on, and to which it writes.
    The result depends on sequence, hand and config alone. Raises Cancelled from the progress callback, PalmError.
    """
    with repeatable(config.seed):
        clock = _Clock()
        model = new_model(sequence, hand, config)
        pictures = cut_out(sequence, model, sub_progress(progress, 0.0, 0.05))
        training = Training(model, pictures, config)
        clock.lap("prepare")
        run = _Run(training, fingerprint(sequence, hand, config), checkpoints, look)
        run.to_the_end(sub_progress(progress, 0.05, 1.0), clock)
        training.settle()
        return LearnedHand(model.eval(), pictures, clock.seconds)


def new_model(sequence: HandSequence, hand: HandModel, config: XHandConfig) -> XHandModel:
    """The untrained hand for a sequence's pictures. Raises InputError for a hand of the other side."""
    if hand.side != sequence.handedness:
        raise InputError(f"{sequence.name} shows a {sequence.handedness} hand, the hand model is a {hand.side} one")
    source = build_template(with_texture_charts(hand), config.vertices, config.loop_levels)
    like = source.model.v_template
    betas = np.mean([frame.betas for frame in sequence.frames], axis=0)[: hand.num_betas]
    poses = torch.stack([moment.hand_pose for moment in moments_of(sequence.frames, like)])
    cameras = (SHARED,) if config.shared_light else sequence.cameras
    return XHandModel(source, torch.as_tensor(betas).to(like), pose_range(poses), config.networks, cameras)


def measure_hand(
    model: XHandModel, parts: Parts, neural: bool = True, progress: Progress = silent
) -> dict[str, HandScores]:
    """Scores by kind: train, novel_view, novel_pose, novel_both; kinds without pictures are left out."""
    found = {}
    for number, (name, part) in enumerate(parts._asdict().items()):
        if len(part):
            shown = sub_progress(progress, number / 4, (number + 1) / 4)
            chosen = dataclasses.replace(part, frames=evenly(part.frames, MOST_MEASURED))
            scores = measure(model, cut_out(chosen, model), neural, progress=shown)
            if scores is not None:
                found[name] = scores
    return found


def fingerprint(sequence: HandSequence, hand: HandModel, config: XHandConfig) -> str:
    """Of all that a training's result depends on but the pixels themselves: a checkpoint of another one does not fit."""
    told = [repr(dataclasses.replace(config, checkpoint_s=0.0, preview_steps=0)), hand.name, hand.side, sequence.name]
    for frame in sequence.frames:
        numbers = (
            frame.intrinsics,
            frame.world_to_camera,
            frame.betas,
            frame.global_orient,
            frame.hand_pose,
            frame.transl,
        )
        told.append(f"{frame.label} {[np.asarray(values).round(6).tolist() for values in numbers]}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.last
        self.last = now


class _Run:
    """A training's steps with their checkpoints and previews."""

    def __init__(self, training: Training, identity: str, folder: Path | None, look: Look | None):
        self.training, self.folder, self.look = training, folder, look
        self.facts = {"training": identity}
        self.saved = time.monotonic()
        if folder is None or (state := load_latest(folder)) is None:
            return
        if state.facts.get("training") != identity:
            raise CheckpointError(
                f"{folder} holds checkpoints of another training: delete the folder, or give the same sequence and options"
            )
        training.restore(state)
        log.info("going on from step %d of %d", training.done, len(training.plan))

    def to_the_end(self, progress: Progress, clock: _Clock) -> None:
        training, count = self.training, max(len(self.training.plan), 1)
        try:
            self._steps(progress, clock, count)
        except Cancelled as error:
            if self.folder is None:
                raise
            self._save()
            raise Cancelled(
                f"cancelled at step {training.done} of {count}: the same command goes on from there"
            ) from error
        self._save()

    def _steps(self, progress: Progress, clock: _Clock, count: int) -> None:
        training = self.training
        if training.done < len(training.plan):
            progress(training.done / count, TITLES[training.plan[training.done].stage])
        for step in training.run():
            clock.lap(("initial", "embedding", "rendering")[step.stage])
            preview = {}
            if self.look is not None and training.done % training.config.preview_steps == 0:
                preview = {"preview": self.look(self._picture(step.stage == 2))}
            self._save_now_and_then()
            progress(training.done / count, TITLES[step.stage], **preview)
            clock.lap("beside")

    @torch.no_grad()
    def _picture(self, neural: bool) -> Tensor:
        training = self.training
        return comparison(training.model, training.pictures, training.means(), neural)

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self.saved >= self.training.config.checkpoint_s:
            self._save()

    def _save(self) -> None:
        if self.folder is not None:
            save_checkpoint(self.folder, self.training.state(self.facts))
            self.saved = time.monotonic()


def _check_known(what: str, asked: Sequence[object], known: Sequence[object]) -> None:
    there = set(known)
    unknown = [str(name) for name in asked if name not in there]
    if unknown:
        some = ", ".join(map(str, known[:6]))
        raise InputError(
            f"the sequence has no {what} {', '.join(unknown[:4])}: it has {some}{' …' if len(known) > 6 else ''}"
        )
