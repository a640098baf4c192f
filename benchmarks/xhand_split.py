"""Which cameras and moments of a sequence XHand learns from, and which judge it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.datasets.hand_sequence import HandFrame, HandSequence
from engine.errors import InputError
from engine.spacing import evenly

GROUPS = {
    "novel_poses": "novel poses, seen cameras",
    "novel_views": "seen moments, novel views",
    "novel_both": "novel poses and views",
    "seen": "training pictures",
}


class Split(NamedTuple):
    """Cameras and moments that are learned from, and the others."""

    cameras: tuple[str, ...]
    moments: tuple[int, ...]
    other_cameras: tuple[str, ...]
    other_moments: tuple[int, ...]


def split_sequence(sequence: HandSequence, cameras: int, moments: int) -> Split:
    """Evenly chosen cameras and moments, so that what is held out lies between them. Raises InputError where nothing is left."""
    seen_from, seen_at = evenly(sequence.cameras, cameras), evenly(sequence.numbers, moments)
    others = [name for name in sequence.cameras if name not in seen_from]
    other_moments = [number for number in sequence.numbers if number not in seen_at]
    if not others or not other_moments:
        raise InputError(
            f"{sequence.name} has {len(sequence.cameras)} cameras and {len(sequence.numbers)} moments: nothing is left to judge"
            " by; give fewer --views and --moments"
        )
    return Split(seen_from, seen_at, tuple(others), tuple(other_moments))


def part(sequence: HandSequence, cameras: Sequence[str], moments: Sequence[int]) -> HandSequence:
    """The frames of some cameras at some moments."""
    chosen_cameras, chosen = set(cameras), set(moments)
    frames = (frame for frame in sequence.frames if frame.camera in chosen_cameras and frame.number in chosen)
    return dataclasses.replace(sequence, frames=tuple(frames))


def fewer_views(sequence: HandSequence, split: Split, views: int) -> Split:
    """The same moments from fewer of the cameras, as far apart as can be, beginning with the first; those that judge stay."""
    centres = {frame.camera: camera_centre(frame) for frame in part(sequence, split.cameras, split.moments[:1]).frames}
    left, chosen = list(split.cameras[1:]), [split.cameras[0]]
    while left and len(chosen) < views:
        nearest = [min(float(np.linalg.norm(centres[one] - centres[other])) for other in chosen) for one in left]
        chosen.append(left.pop(int(np.argmax(nearest))))
    return split._replace(cameras=tuple(name for name in split.cameras if name in chosen))


def camera_centre(frame: HandFrame) -> np.ndarray:
    """[3] metres, world."""
    matrix = np.asarray(frame.world_to_camera)
    return -matrix[:3, :3].T @ matrix[:3, 3]


def judged_frames(sequence: HandSequence, split: Split, most: int) -> dict[str, tuple[HandFrame, ...]]:
    """Up to `most` frames of each of GROUPS, evenly chosen."""
    chosen = {
        "novel_poses": (split.cameras, split.other_moments),
        "novel_views": (split.other_cameras, split.moments),
        "novel_both": (split.other_cameras, split.other_moments),
        "seen": (split.cameras, split.moments),
    }
    return {group: evenly(part(sequence, *where).frames, most) for group, where in chosen.items()}
