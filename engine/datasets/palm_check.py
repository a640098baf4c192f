"""Every picture of a data set decoded once, before hours of work rest on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ..errors import DatasetError
from ..progress import Progress
from .palm import PalmFrame, load_frame

TOLD_EVERY = 50
"""Frames between the numbers that the progress shows."""


def whole_frames(
    frames: Sequence[PalmFrame], keep_incomplete: bool, progress: Progress
) -> tuple[list[PalmFrame], list[str]]:
    """The frames whose pictures can be decoded and show a hand, and one line for each that is left out.

    Raises DatasetError for the first bad one, unless keep_incomplete. Headers alone do not tell: damage inside a picture
    shows when its pixels are read.
    """
    good: list[PalmFrame] = []
    left_out: list[str] = []
    pool = ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 16))
    try:
        for place, (frame, problem) in enumerate(zip(frames, pool.map(_problem, frames), strict=True)):
            if place % TOLD_EVERY == 0:
                progress(place / len(frames), f"looking at every picture: {place} of {len(frames)}")
            if problem is None:
                good.append(frame)
            elif keep_incomplete:
                left_out.append(problem)
            else:
                raise DatasetError(problem)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if frames and not good:
        raise DatasetError(f"no frame is left ({left_out[0]}): copy the set again")
    return good, left_out


def _problem(frame: PalmFrame) -> str | None:
    try:
        load_frame(frame)
    except DatasetError as error:
        return str(error)
    return None
