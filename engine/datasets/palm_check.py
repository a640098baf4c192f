"""Every picture of a data set decoded once, before hours of work rest on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import DatasetError
from ..progress import Progress
from .palm import PalmFrame, load_frame

TOLD_EVERY = 50
"""Frames between the numbers that the progress shows."""

Frame = TypeVar("Frame")


def whole_frames(
    frames: Sequence[PalmFrame], keep_incomplete: bool, progress: Progress
) -> tuple[list[PalmFrame], list[str]]:
    """The frames whose pictures can be decoded and show a hand, and one line for each that is left out.

    Raises DatasetError for the first bad one, unless keep_incomplete. Headers alone do not tell: damage inside a picture
    shows when its pixels are read.
    """
    good: list[PalmFrame] = []
    left_out: list[str] = []
    for frame, problem in decoded(frames, load_frame, progress):
        if problem is None:
            good.append(frame)
        elif keep_incomplete:
            left_out.append(problem)
        else:
            raise DatasetError(problem)
    if frames and not good:
        raise DatasetError(f"no frame is left ({left_out[0]}): copy the set again")
    return good, left_out


def decoded(
    frames: Sequence[Frame], load: Callable[[Frame], Any], progress: Progress
) -> Iterator[tuple[Frame, str | None]]:
    """Each frame with what is wrong with its pixels, None where `load` reads them; in threads, in order."""

    def problem(frame: Frame) -> str | None:
        try:
            load(frame)
        except DatasetError as error:
            return str(error)
        return None

    pool = ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 16))
    try:
        for place, (frame, found) in enumerate(zip(frames, pool.map(problem, frames), strict=True)):
            if place % TOLD_EVERY == 0:
                progress(place / len(frames), f"looking at every picture: {place} of {len(frames)}")
            yield frame, found
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
