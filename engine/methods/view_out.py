"""The view without a window: frames in a folder, or a film."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..avatar.texture_files import write_png8
from ..datasets.set_files import some
from ..errors import MissingDependencyError
from ..files import atomic_file, atomic_folder, check_output
from ..progress import Progress
from .view_frames import FrameTimes, draw_frames, over, summary
from .view_hand import HandPose, view_light
from .view_open import OpenedHand
from .view_scene import Standpoint, camera_for, open_and_close

BACKDROP = 33
"""8-bit grey behind the hand of a film."""
FRAMES_A_SECOND = 30.0


class Wanted(NamedTuple):
    """How it is to look."""

    size: tuple[int, int]
    """(width, height)"""
    neural: bool
    angles: tuple[float, ...]
    """Radians: azimuth and elevation of the camera, turn of the light."""
    fps: float | None
    force: bool


def write_frames(
    opened: OpenedHand,
    poses: Sequence[HandPose] | None,
    count: int,
    out: Path,
    wanted: Wanted,
    progress: Progress,
) -> dict[str, Any]:
    """Draw the poses, or `count` of fingers that close and open; whole or not at all. Raises OutputError, Cancelled."""
    check_output(out, wanted.force)
    hand = opened.hand
    poses = open_and_close(hand, opened.own.global_orient, opened.own.transl, count) if poses is None else poses
    (width, height), (azimuth, elevation, turn) = wanted.size, wanted.angles
    standpoint = Standpoint(opened.facing, azimuth, elevation)
    film = out.suffix.lower() == ".mp4"
    # players want even sides
    size = (width + width % 2, height + height % 2) if film else wanted.size
    camera = camera_for(standpoint, hand, poses, size)
    light = view_light(hand.light, turn, standpoint.up)
    times: list[FrameTimes] = []
    outside: set[str] = set()
    with _film(out, size, wanted.fps) if film else _folder(out, wanted.force) as write:
        for number, frame in enumerate(draw_frames(hand, poses, camera, light, wanted.neural)):
            progress(number / len(poses), f"drawing frame {number + 1} of {len(poses)}")
            write(number, frame.pixels)
            times.append(frame.times)
            outside.update(hand.outside(poses[number].hand_pose))
    progress(1.0, "done")
    return {
        ("film" if film else "frames"): str(out),
        "count": len(poses),
        "size": f"{size[0]}×{size[1]}",
        "vertices": opened.vertices,
        "neural": "yes" if wanted.neural else "no",
        **summary(times),
        "warnings": [outside_line(sorted(outside))] if outside else None,
    }


def outside_line(joints: Sequence[str]) -> str:
    """What is said of joints that bend farther than was learned from."""
    return f"{some(joints)} bend beyond the poses that the hand was learned from: its skin follows only so far"


@contextmanager
def _folder(out: Path, force: bool) -> Iterator[Callable[[int, np.ndarray], None]]:
    with atomic_folder(out, force) as folder:
        yield lambda number, pixels: write_png8(folder / f"{number:04d}.png", pixels)


@contextmanager
def _film(out: Path, size: tuple[int, int], fps: float | None) -> Iterator[Callable[[int, np.ndarray], None]]:
    import cv2

    with atomic_file(out) as path:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps or FRAMES_A_SECOND, size)
        if not writer.isOpened():
            raise MissingDependencyError("this OpenCV cannot write .mp4: give --out a folder for frames instead")
        try:
            yield lambda _, pixels: writer.write(np.ascontiguousarray(over(pixels, BACKDROP)[..., ::-1]))
        finally:
            writer.release()
