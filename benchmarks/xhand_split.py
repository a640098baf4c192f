"""Which cameras and moments of a sequence XHand learns from, and which judge it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from engine.datasets.hand_sequence import HandFrame, HandSequence
from engine.errors import InputError

Item = TypeVar("Item")
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


def spread_out(items: Sequence[Item], count: int) -> tuple[Item, ...]:
    """`count` of the items in their order, evenly chosen; all of them where there are no more."""
    if count >= len(items):
        return tuple(items)
    return tuple(items[int((place + 0.5) * len(items) / count)] for place in range(count))


def split_sequence(sequence: HandSequence, cameras: int, moments: int) -> Split:
    """Evenly chosen cameras and moments, so that what is held out lies between them. Raises InputError where nothing is left."""
    seen_from, seen_at = spread_out(sequence.cameras, cameras), spread_out(sequence.numbers, moments)
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


def fewer_views(split: Split, views: int) -> Split:
    """The same moments from fewer of the cameras; those that judge stay."""
    return split._replace(cameras=spread_out(split.cameras, views))


def judged_frames(sequence: HandSequence, split: Split, most: int) -> dict[str, tuple[HandFrame, ...]]:
    """Up to `most` frames of each of GROUPS, evenly chosen."""
    chosen = {
        "novel_poses": (split.cameras, split.other_moments),
        "novel_views": (split.other_cameras, split.moments),
        "novel_both": (split.other_cameras, split.other_moments),
        "seen": (split.cameras, split.moments),
    }
    return {group: spread_out(part(sequence, *where).frames, most) for group, where in chosen.items()}
