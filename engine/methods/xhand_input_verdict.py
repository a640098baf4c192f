"""Which cameras and pictures the evidence speaks against. Pure functions of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..datasets.set_files import plural, some
from ..errors import DatasetError
from .xhand_input_evidence import LATEST, CameraEvidence

MAD = 1.4826
"""Median absolute deviation → standard deviation of normal errors."""
WORST_NAMED = 3


@dataclass(frozen=True)
class VerdictConfig:
    """How far below the others is wrong. Shares of overlap (intersection over union), or of the hand's size."""

    camera_drop: float = 0.12
    camera_offset: float = 0.04
    """Of masks that always lie on the same side of the outlines."""
    frame_drop: float = 0.12
    better_elsewhere: float = 0.04
    """By which a mask of another moment fits that moment's outline better than its own."""
    shift_gain: float = 0.02
    """By which a camera's masks fit the outlines some moments away better, in the median."""
    largest_offset: float = 0.12
    """Of masks that always lie on the same side, whatever the other cameras do."""
    spreads: float = 6.0
    """A value is only wrong if it is also so many standard deviations away, …"""
    largest_drop: float = 3.0
    """… or so many times the above drop: a few cameras do not tell a deviation."""
    least_overlap: float = 0.5
    """Below which, in the median camera, nothing fits."""
    least_for_shift: int = 4
    """Moments of a camera from which a shift can be told."""


@dataclass
class Verdict:
    """What is left out, and why, a line each."""

    cameras: dict[str, str] = field(default_factory=dict)
    frames: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Usual(NamedTuple):
    """What most values are like, from their better half: as long as half of them are right, the wrong ones do not matter."""

    centre: float
    spread: float


def usual(values: np.ndarray) -> Usual:
    """values [N], greater is better."""
    better = np.sort(values)[len(values) // 2 :]
    centre = float(np.median(better))
    return Usual(centre, MAD * float(np.median(np.abs(better - centre))))


def judge(evidence: Sequence[CameraEvidence], name: str, config: VerdictConfig | None = None) -> Verdict:
    """What of a sequence's cameras and pictures is left out. Raises DatasetError where most is wrong."""
    config = config or VerdictConfig()
    # what masks reach at the moment that they fit best, whichever it is
    reach = usual(np.array([np.median(item.best) for item in evidence])).centre
    shifts = {item.camera: found for item in evidence if (found := shift_of(item, reach, config)) is not None}
    _refuse_common_shift(shifts, evidence, name)
    verdict = Verdict(cameras={camera: _shift_line(camera, *found) for camera, found in shifts.items()})
    overlaps = usual(np.array([item.median_overlap for item in evidence]))
    offsets = usual(-np.array([item.steady_offset for item in evidence]))
    for item in evidence:
        if item.camera not in verdict.cameras and (line := _camera_line(item, overlaps, offsets, reach, config)):
            verdict.cameras[item.camera] = line
    ordered = sorted(evidence, key=lambda item: item.median_overlap)
    worst = ", ".join(_numbers(item) for item in ordered[:WORST_NAMED])
    typical = float(np.median([item.median_overlap for item in evidence]))
    if 2 * len(verdict.cameras) > len(evidence):
        raise DatasetError(
            f"{name}: {len(verdict.cameras)} of {plural(len(evidence), 'camera')} do not fit the posed hand (worst: {worst}):"
            " calibrate them again, or use cameras, poses and masks of one release"
        )
    if typical < config.least_overlap:
        raise DatasetError(
            f"{name}: the posed hand covers its masks only to {_percent(typical)} in the median camera (worst: {worst}):"
            " cameras, poses and masks are not of one release, or the hand model is another one"
        )
    good = [item for item in evidence if item.camera not in verdict.cameras]
    verdict.notes.append(f"outlines cover masks to {_percent(overlaps.centre)}; lowest cameras: {worst}")
    _judge_frames(good, verdict, config)
    return verdict


def shift_of(item: CameraEvidence, reach: float, config: VerdictConfig) -> tuple[int, float, float] | None:
    """(moments by which a camera's masks are late, negative: early; overlap as shifted; overlap as they are), or None.

    reach: the overlap that masks have with the outline of the moment that they fit best.
    """
    found = None
    if len(item.frames) < config.least_for_shift:
        return None
    for place, shift in enumerate(range(LATEST, -LATEST - 1, -1)):
        both = np.isfinite(item.late[:, place])
        if shift == 0 or both.sum() < max(config.least_for_shift - 1, len(item.frames) // 2):
            continue
        gain = item.late[both, place] - item.overlap[both]
        shifted, own = float(np.median(item.late[both, place])), float(np.median(item.overlap[both]))
        steady = (gain > 0).mean() >= 0.75 and np.median(gain) > config.shift_gain
        # masks in no order fit any shift a little
        fits = shifted > reach - config.frame_drop / 2
        if steady and fits and (found is None or shifted > found[1]):
            found = (shift, shifted, own)
    return found


def _refuse_common_shift(
    shifts: dict[str, tuple[int, float, float]], evidence: Sequence[CameraEvidence], name: str
) -> None:
    for shift in {found[0] for found in shifts.values()}:
        same = [camera for camera, found in shifts.items() if found[0] == shift]
        if 2 * len(same) > len(evidence):
            raise DatasetError(
                f"{name}: masks of {len(same)} of {plural(len(evidence), 'camera')} look {_frames_late(shift)}: poses and"
                " pictures are numbered differently; shift the poses' numbers"
            )


def _frames_late(shift: int) -> str:
    return f"{plural(abs(shift), 'frame')} {'late' if shift > 0 else 'early'}"


def _shift_line(camera: str, shift: int, shifted: float, own: float) -> str:
    return (
        f"masks of camera {camera} look {_frames_late(shift)} (overlap {_percent(shifted)} there, {_percent(own)} as they"
        " are): left out; number its pictures anew"
    )


def _camera_line(
    item: CameraEvidence, overlaps: Usual, offsets: Usual, reach: float, config: VerdictConfig
) -> str | None:
    low = item.median_overlap < overlaps.centre - _allowed(config.camera_drop, overlaps.spread, config)
    aside = -item.steady_offset < offsets.centre - _allowed(config.camera_offset, offsets.spread, config)
    aside = aside or item.steady_offset > config.largest_offset
    if not (low or aside):
        return None
    elsewhere = (item.best - item.overlap > config.better_elsewhere).mean()
    if elsewhere > 0.5 and float(np.median(item.best)) > reach - config.frame_drop / 2:
        return (
            f"masks of camera {item.camera} are of other moments ({plural(round(elsewhere * len(item.frames)), 'mask')} of"
            f" {len(item.frames)} fit another moment's pose better): left out; copy them again"
        )
    return (
        f"camera {_numbers(item)}, where {_percent(overlaps.centre)} is usual: its calibration does not fit: left out;"
        " calibrate it again"
    )


def _judge_frames(good: Sequence[CameraEvidence], verdict: Verdict, config: VerdictConfig) -> None:
    wrong: dict[int, list[str]] = {}
    seen: dict[int, int] = {}
    everywhere = usual(np.concatenate([item.overlap for item in good]))
    for item in good:
        own = usual(item.overlap) if len(item.frames) >= config.least_for_shift else everywhere
        gains = item.best - item.overlap
        allowed = _allowed(config.better_elsewhere, MAD * float(np.median(gains)), config)
        for place, frame in enumerate(item.frames):
            seen[frame.number] = seen.get(frame.number, 0) + 1
            low = item.overlap[place] < own.centre - _allowed(config.frame_drop, own.spread, config)
            if not (low or gains[place] > allowed):
                continue
            wrong.setdefault(frame.number, []).append(frame.label)
            other = item.frames[item.best_at[place]].number
            looks = f", it looks like moment {other}'s" if gains[place] > allowed else ""
            verdict.frames[frame.label] = (
                f"mask {frame.label} fits the posed hand to {_percent(item.overlap[place])}, where camera {item.camera} has"
                f" {_percent(own.centre)}{looks}: left out"
            )
    for number, labels in wrong.items():
        if len(labels) > 1 and 2 * len(labels) > seen[number]:
            line = (
                f"moment {number}: the posed hand fits the masks in {seen[number] - len(labels)} of"
                f" {plural(seen[number], 'camera')} only ({some(labels)} do not): its pose is wrong; those are left out"
            )
            verdict.frames.update(dict.fromkeys(labels, line))


def _allowed(drop: float, spread: float, config: VerdictConfig) -> float:
    return max(drop, min(config.spreads * spread, config.largest_drop * drop))


def _numbers(item: CameraEvidence) -> str:
    offset = float(np.linalg.norm(np.median(item.offset_px, axis=0)))
    known = item.joints_inside[np.isfinite(item.joints_inside)]
    inside = f", {_percent(float(known.mean()))} of joints on them" if len(known) else ""
    return f"{item.camera} ({_percent(item.median_overlap)} of its masks, {offset:.1f} px aside{inside})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
