"""Whether a sequence can train an avatar: what is wrong in it is left out and named, and refused where most of it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ..datasets.hand_sequence import HandFrame, HandSequence
from ..datasets.palm_pixels import picture_size
from ..datasets.rendered_masks import write_rendered_masks
from ..datasets.set_files import plural, some
from ..errors import DatasetError
from ..hand.mirror import mirror_axis_angle, mirror_model, mirror_points
from ..hand.model import HandModel
from ..progress import Progress, silent, sub_progress
from .xhand_input_evidence import CameraEvidence, EvidenceConfig, gather_evidence, outline_fit, posed_keypoints
from .xhand_input_numbers import (
    JOINTS_APART_M,
    OTHER_PERSON_M,
    SHAPES_APART_M,
    by_camera,
    check_poses,
    check_sizes,
    impossible_cameras,
    joints_apart,
    missing_parts,
    shape_shifts,
)
from .xhand_input_verdict import Verdict, VerdictConfig, judge

LEFT_OUT = "left out"
"""Is said in every note on something that was."""


@dataclass(frozen=True)
class InputConfig:
    """What is enough, and when something else is tried."""

    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    verdict: VerdictConfig = field(default_factory=VerdictConfig)
    least_pictures: int = 8
    """Below which nothing can be learnt."""
    suspicious_overlap: float = 0.8
    """Of the median camera, below which the other hand is tried."""
    mirror_gain: float = 0.05
    mirror_samples: int = 12
    most_pictures: int = 4000
    """Whose masks are looked at; of more, as many runs of moments that follow each other, over the whole sequence."""
    run: int = 24


def checked_sequence(
    sequence: HandSequence,
    model: HandModel,
    masks_folder: Path | None = None,
    config: InputConfig | None = None,
    progress: Progress = silent,
) -> tuple[HandSequence, tuple[str, ...]]:
    """The part of a sequence that can be trained on, and a line for each thing that was decided or left out.

    model: the hand whose parameters the frames hold, of either side. masks_folder: where masks are drawn from the posed hand
    for frames that have none; None leaves those without. Masks are decoded a few at a time; their memory does not grow with
    the sequence. Raises DatasetError where poses cannot be true, most cameras are wrong, the hand is the other one, or too
    little is left; Cancelled.
    """
    config = config or InputConfig()
    _refuse_empty(sequence)
    check_poses(sequence)
    check_sizes(sequence)
    own = model if model.side == sequence.handedness else mirror_model(model)
    notes: list[str] = []
    frames = list(sequence.frames)
    keypoints = posed_keypoints(frames, own)
    frames = _without_impossible_cameras(sequence.name, frames, keypoints, notes)
    _check_shapes(sequence.name, frames, own, notes)
    _check_joints(sequence.name, frames, keypoints)
    frames = _without_unreadable(frames, notes)
    masked = [frame for frame in frames if frame.mask is not None]
    if masked:
        frames = _judged(sequence, frames, masked, own, config, notes, sub_progress(progress, 0.0, 0.8))
    else:
        notes.append("no masks, so cameras and poses could not be compared with the pictures")
    _refuse_too_few(sequence.name, frames, config, notes)
    notes += missing_parts(frames)
    kept = replace(sequence, frames=tuple(frames))
    if masks_folder is not None and any(frame.mask is None for frame in frames):
        bare = sum(frame.mask is None for frame in frames)
        kept = write_rendered_masks(kept, own, masks_folder, sub_progress(progress, 0.8, 1.0))
        notes.append(
            f"masks of {plural(bare, 'picture')} are the posed model's outline: sleeves and other hands are in them"
        )
    progress(1.0, "sequence checked")
    return kept, tuple(notes)


def _refuse_empty(sequence: HandSequence) -> None:
    if not len(sequence):
        raise DatasetError(f"{sequence.name} has no pictures: give another sequence")
    if sequence.handedness not in ("right", "left"):
        raise DatasetError(
            f"{sequence.name} does not say which hand it is ({sequence.handedness!r}): say right or left"
        )


def _without_impossible_cameras(
    name: str, frames: list[HandFrame], keypoints: Mapping[int, np.ndarray], notes: list[str]
) -> list[HandFrame]:
    cameras = by_camera(frames)
    impossible = impossible_cameras(cameras, keypoints)
    if 2 * len(impossible) > len(cameras):
        worst = "; ".join(f"{camera}: {why}" for camera, why in list(impossible.items())[:2])
        raise DatasetError(
            f"{name}: {len(impossible)} of {plural(len(cameras), 'camera')} cannot be true ({worst}): calibrate them again, or"
            " use cameras and poses of one release"
        )
    notes += [f"camera {camera}: {why}: left out" for camera, why in impossible.items()]
    return [frame for frame in frames if frame.camera not in impossible]


def _check_joints(name: str, frames: Sequence[HandFrame], keypoints: Mapping[int, np.ndarray]) -> None:
    apart = joints_apart(frames, keypoints)
    if apart is not None and apart > JOINTS_APART_M:
        raise DatasetError(
            f"{name}: the posed hand's joints are {1000 * apart:.0f} mm from the set's: poses and joints are of different"
            " releases, or the hand model or its side is another one"
        )


def _check_shapes(name: str, frames: Sequence[HandFrame], model: HandModel, notes: list[str]) -> None:
    """One hand has one shape; a set fitted moment by moment has nearly one."""
    shifts = shape_shifts(frames, model)
    worst, most = frames[int(shifts.argmax())].label, 1000 * float(shifts.max())
    if most > 1000 * OTHER_PERSON_M:
        raise DatasetError(
            f"{name}: shapes (betas) are of several hands ({worst} has joints {most:.0f} mm from the mean shape's): give a"
            " sequence of one person"
        )
    if most > 1000 * SHAPES_APART_M:
        notes.append(f"shapes differ between moments (joints by up to {most:.1f} mm, {worst}): their mean is used")


def _without_unreadable(frames: list[HandFrame], notes: list[str]) -> list[HandFrame]:
    """Those whose picture has a whole header; masked ones are decoded later anyway."""
    bare = [frame for frame in frames if frame.mask is None]
    with ThreadPoolExecutor() as pool:
        problems = dict(zip((frame.label for frame in bare), pool.map(_picture_problem, bare), strict=True))
    return _kept(frames, {label: why for label, why in problems.items() if why}, notes)


def _picture_problem(frame: HandFrame) -> str | None:
    try:
        size = picture_size(frame.image)
    except DatasetError as error:
        return str(error).split(": copy")[0]
    if size != (frame.width, frame.height):
        return f"{frame.image} has {size[0]}×{size[1]} pixels, but its camera {frame.width}×{frame.height}"
    return None


def _kept(frames: list[HandFrame], wrong: dict[str, str], notes: list[str]) -> list[HandFrame]:
    notes += [f"{why}: left out" for why in dict.fromkeys(wrong.values())]
    return [frame for frame in frames if frame.label not in wrong]


def _judged(
    sequence: HandSequence,
    frames: list[HandFrame],
    masked: Sequence[HandFrame],
    model: HandModel,
    config: InputConfig,
    notes: list[str],
    progress: Progress,
) -> list[HandFrame]:
    """The frames without those whose masks speak against them."""
    looked_at = _some_runs(masked, config)
    if len(looked_at) < len(masked):
        notes.append(f"masks of {len(looked_at)} of {plural(len(masked), 'picture')} were compared with the posed hand")
    evidence, unreadable = gather_evidence(by_camera(looked_at).items(), model, config.evidence, progress)
    frames = _kept(frames, unreadable, notes)
    if not evidence:
        first = next(iter(unreadable.values()), "no mask")
        raise DatasetError(f"{sequence.name}: no picture with its mask can be read ({first}): copy the set again")
    _refuse_other_hand(sequence, evidence, model, config)
    verdict = judge(evidence, sequence.name, config.verdict)
    notes += [*verdict.cameras.values(), *dict.fromkeys(verdict.frames.values()), *verdict.notes]
    return _after(frames, verdict)


def _some_runs(frames: Sequence[HandFrame], config: InputConfig) -> Sequence[HandFrame]:
    """At most about `most_pictures` frames: runs of consecutive moments, evenly over the sequence, with all their cameras."""
    if len(frames) <= config.most_pictures:
        return frames
    numbers = sorted({frame.number for frame in frames})
    runs = max(1, config.most_pictures * len(numbers) // (len(frames) * config.run))
    starts = np.linspace(0, max(len(numbers) - config.run, 0), runs).round().astype(int)
    chosen = {numbers[place] for start in starts for place in range(start, min(start + config.run, len(numbers)))}
    return [frame for frame in frames if frame.number in chosen]


def _after(frames: list[HandFrame], verdict: Verdict) -> list[HandFrame]:
    return [frame for frame in frames if frame.camera not in verdict.cameras and frame.label not in verdict.frames]


def _refuse_other_hand(
    sequence: HandSequence, evidence: Sequence[CameraEvidence], model: HandModel, config: InputConfig
) -> None:
    """Raises DatasetError where masks fit the mirrored hand clearly better than the one that the set names."""
    if np.median([item.median_overlap for item in evidence]) >= config.suspicious_overlap:
        return
    frames = [frame for item in evidence for frame in item.frames]
    chosen = frames[:: max(1, len(frames) // config.mirror_samples)]
    mirrored, mirror = [_mirrored(frame) for frame in chosen], mirror_model(model)
    own = outline_fit(chosen, model)
    side = {"right": "left", "left": "right"}[sequence.handedness]
    for fit, what in (
        (outline_fit(chosen, mirror), f"it shows a {side} hand: name it so"),
        (outline_fit(mirrored, mirror), f"its poses are a mirrored {side} hand's: use those of the hand itself"),
        (outline_fit(chosen, model, flipped=True), "its pictures are mirrored: flip them back"),
    ):
        if fit > max(own + config.mirror_gain, config.verdict.least_overlap):
            raise DatasetError(
                f"{sequence.name} says {sequence.handedness}, but the mirrored hand fits its masks better ({100 * fit:.0f} %"
                f" instead of {100 * own:.0f} %): {what}"
            )


def _mirrored(frame: HandFrame) -> HandFrame:
    """The frame with its parameters' mirror images."""

    def mirror(values: np.ndarray) -> np.ndarray:
        return mirror_axis_angle(torch.as_tensor(np.asarray(values, dtype=float))).numpy()

    shift = mirror_points(torch.as_tensor(np.asarray(frame.transl, dtype=float))).numpy()
    return replace(frame, global_orient=mirror(frame.global_orient), hand_pose=mirror(frame.hand_pose), transl=shift)


def enough_to_learn(sequence: HandSequence, config: InputConfig | None = None) -> tuple[str, ...]:
    """A line for what the part of a sequence that is learned from cannot teach. Raises DatasetError where that is too much."""
    config = config or InputConfig()
    if len(sequence) < config.least_pictures:
        raise DatasetError(
            f"{sequence.name}: {plural(len(sequence), 'picture')} are left to learn from, and fewer than"
            f" {config.least_pictures} teach nothing: hold out less, or use more views"
        )
    notes = []
    if len(sequence.cameras) == 1:
        notes.append(f"one camera only ({some(sequence.cameras)}): geometry and skin are known from its side alone")
    if len(sequence.numbers) == 1:
        notes.append("one moment only: what depends on the pose cannot be learnt from it")
    return tuple(notes)


def _refuse_too_few(name: str, frames: Sequence[HandFrame], config: InputConfig, notes: Sequence[str]) -> None:
    if len(frames) < config.least_pictures:
        gone = [note for note in notes if LEFT_OUT in note]
        why = f" ({gone[0]})" if gone else ""
        raise DatasetError(
            f"{name}: {plural(len(frames), 'picture')} can be used{why}, and fewer than {config.least_pictures} teach nothing:"
            " give a longer sequence or more cameras"
        )
