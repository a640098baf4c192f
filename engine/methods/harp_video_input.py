"""A video's frames for HARP: which of them show one hand well, their captures, and their pictures one after another.

Frames are counted, not timed: where their rate varies nothing changes but the track's smoothness, which gives way where the
landmarks accelerate. Of two hands the one that capture follows is used (`--hand` chooses); the other is outside the mask.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..capture.capture_file import Capture, read_captures, read_mask
from ..errors import InputError
from ..progress import Progress, silent
from ..spacing import evenly
from .capture_check import is_sound
from .command import MOST_VIDEO_FRAMES
from .frames_input import check_one_hand, picture_source
from .harp_frames import CROP_MARGIN, Frames, crop_for, frames_of_photo, joined, prepare_photo, square_crop
from .harp_model import GeometryParameters, Template, pose_hand

if TYPE_CHECKING:
    from ..capture.options import CaptureOptions

FEWEST_FRAMES = 8
"""From which a video tells more than its photos."""
JUMP = 0.5
"""Of the hand's extent in the picture, by which its centre may move from one frame to the next; JUMP_DEPTH: of its distance."""
JUMP_DEPTH = 0.25
QUICK_BEND = 0.02
"""Mean second difference of the landmarks, over the hand's size, from which a movement counts as quick and is smoothed less."""

Pictures = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Each frame's picture [H,W,3] uint8 and mask [H,W] bool or [0,1], decoded anew at every call."""


class HandVideo(NamedTuple):
    """Frames of one hand, in order."""

    captures: list[Capture]
    pictures: Pictures
    fps: float | None
    notes: tuple[str, ...]
    """What was left out and why, a line each."""

    @property
    def numbers(self) -> list[int]:
        """Of the frames, as the video counts."""
        return [place if capture.frame is None else capture.frame for place, capture in enumerate(self.captures)]


def video_of_captures(path: Path, count: int | None) -> HandVideo:
    """The frames of a captures.json with the pictures that it was made from. Raises PalmError."""
    captures, fps = read_captures(path)
    chosen, notes = usable_frames(captures, count, str(path))
    check_one_hand(path, chosen)
    wanted = {capture.frame or 0: capture for capture in chosen}
    source = picture_source(path, wanted)

    def pictures() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number, image in source(list(wanted)):
            yield image, read_mask(path, wanted[number])

    return HandVideo(chosen, pictures, fps, notes)


def video_of_file(path: Path, options: CaptureOptions, count: int | None, progress: Progress = silent) -> HandVideo:
    """The frames of a video, captured now. Raises PalmError."""
    from ..capture.video import capture_video

    made = capture_video(path, options, progress)
    chosen, notes = usable_frames(made.captures, count, str(path))
    numbers = [capture.frame or 0 for capture in chosen]

    def pictures() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        wanted = set(numbers)
        for number, image in enumerate(made.source.frames()):
            if number in wanted:
                mask = made.masks[number]
                assert mask is not None
                yield image, mask

    return HandVideo(chosen, pictures, made.fps, notes)


def usable_frames(
    captures: Sequence[Capture | None], count: int | None, where: str, known: bool = False, first: int = 0
) -> tuple[list[Capture], tuple[str, ...]]:
    """The frames to use, at most `count` of them, and what was left out.

    Left out: frames without a hand, frames whose capture is not sound, and all but the longest stretch between cuts (known:
    cameras and poses were not found but are known, so that no jump is a cut). first: the number of captures[0]. Raises
    InputError where fewer than FEWEST_FRAMES remain or are asked for.
    """
    numbered = [
        dataclasses.replace(capture, frame=number)
        for number, capture in enumerate(captures, first)
        if capture is not None
    ]
    notes = []
    if missing := len(captures) - len(numbered):
        notes.append(f"{missing} of {len(captures)} frames have no capture: no hand was found, or they were left out")
    sound = [capture for capture in numbered if is_sound(capture)]
    if unsound := [capture.frame for capture in numbered if not is_sound(capture)]:
        notes.append(f"{len(unsound)} frames do not fit the hand and were left out: {listed(unsound)}")
    stretch, cuts = (sound, []) if known else longest_stretch(sound)
    if cuts:
        notes.append(
            f"the hand jumps before {'frame' if len(cuts) == 1 else 'frames'} {listed(cuts)}, as at a cut: "
            f"only frames {stretch[0].frame} to {stretch[-1].frame} were used"
        )
    most = MOST_VIDEO_FRAMES if count is None else count
    if len(stretch) < FEWEST_FRAMES:
        found = f"only {len(stretch)} of its {len(captures)} frames show one hand well"
        said = f" ({'; '.join(notes)})" if notes else ""
        raise InputError(f"{where}: {found}{said}: give {FEWEST_FRAMES} or more, or personalize one photo of it")
    if most < FEWEST_FRAMES:
        raise InputError(
            f"--frames {most} are too few: give {FEWEST_FRAMES} or more, or personalize one photo of {where}"
        )
    if len(stretch) > most:
        notes.append(f"{most} of {len(stretch)} frames were used, evenly chosen")
        stretch = list(evenly(stretch, most, ends=True))
    return stretch, tuple(notes)


def longest_stretch(captures: Sequence[Capture]) -> tuple[list[Capture], list[int]]:
    """The longest run of frames between jumps of the hand, and the numbers of the frames that jump."""
    if not captures:
        return [], []
    starts = [0]
    for place in range(1, len(captures)):
        if jumps(captures[place - 1], captures[place]):
            starts.append(place)
    runs = [list(captures[a:b]) for a, b in zip(starts, [*starts[1:], len(captures)], strict=True)]
    return max(runs, key=len), [captures[place].frame or 0 for place in starts[1:]]


def jumps(before: Capture, after: Capture) -> bool:
    """Whether no hand can have moved so between two frames, which need not be neighbours."""
    size = max(float(np.ptp(before.keypoints_2d, axis=0).max()), 1.0)
    moved = float(np.linalg.norm(after.keypoints_2d.mean(0) - before.keypoints_2d.mean(0)))
    deeper = abs(float(np.log(after.joints_3d[0, 2] / before.joints_3d[0, 2])))
    gap = max((after.frame or 0) - (before.frame or 0), 1)
    return moved > JUMP * size * gap or deeper > JUMP_DEPTH * gap


def listed(numbers: Sequence[int | None], most: int = 8) -> str:
    """Numbers in words, the first few of many."""
    words = ", ".join(str(number) for number in numbers[:most])
    return words if len(numbers) <= most else f"{words} and {len(numbers) - most} more"


def smoothness_links(captures: Sequence[Capture], kept: Sequence[bool]) -> np.ndarray:
    """[T] in [0,1]: how strongly a frame is tied to the line through its neighbours; 0 where one is missing or not kept.

    Less where the landmarks themselves accelerate, as in capture: quick gestures are not smoothed away.
    """
    links = np.zeros(len(captures))
    if len(captures) < 3:
        return links
    keypoints = np.stack([capture.keypoints_2d for capture in captures])
    size = np.linalg.norm(np.ptp(keypoints, axis=1), axis=-1)[1:-1]
    bend = np.linalg.norm(keypoints[2:] - 2 * keypoints[1:-1] + keypoints[:-2], axis=-1).mean(1) / size
    numbers = np.array([capture.frame or 0 for capture in captures])
    flags = np.asarray(kept, dtype=bool)
    together = (numbers[2:] - numbers[:-2] == 2) & flags[2:] & flags[:-2]
    links[1:-1] = together / (1 + (bend / QUICK_BEND) ** 2)
    return np.nan_to_num(links)


@torch.no_grad()
def cut_out(
    video: HandVideo, template: Template, geometry: GeometryParameters, side_px: int, progress: Progress
) -> Frames:
    """All frames around their hands, in squares of side_px. Each picture is decoded once and not kept."""
    parts = []
    for place, (capture, (image, mask)) in enumerate(zip(video.captures, video.pictures(), strict=True)):
        if place % 8 == 0:
            progress(place / len(video.captures), f"cutting out the hand, frame {place + 1} of {len(video.captures)}")
        posed = pose_hand(template, geometry.frames(torch.tensor(place)))
        window = hand_window(posed.vertices, capture.K, mask)
        rows, columns = window
        moved = capture.K - np.array([[0, 0, columns.start], [0, 0, rows.start], [0, 0, 0]])
        near = dataclasses.replace(capture, K=moved)
        photograph = prepare_photo(image[window], np.asarray(mask)[window], near, template, posed)
        crop = crop_for(photograph, posed, side_px)
        parts.append(frames_of_photo(photograph, square_crop(crop, side_px)))
    return joined(parts)


def hand_window(vertices: Tensor, intrinsics: np.ndarray, mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the picture around a hand [V,3] and its mask [H,W], with room for a crop's margin."""
    points = vertices.double().cpu().numpy() @ intrinsics.T
    points = points[:, :2] / points[:, 2:3]
    rows, columns = np.nonzero(np.asarray(mask) > 0.5)
    if len(rows):
        points = np.concatenate([points, [[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]]])
    pad = 2 * CROP_MARGIN * float(np.ptp(points, axis=0).max()) + 4
    low = np.floor(points.min(0) - pad).astype(int).clip(0)
    high = np.ceil(points.max(0) + pad).astype(int)
    return slice(int(low[1]), max(int(high[1]), int(low[1]) + 1)), slice(
        int(low[0]), max(int(high[0]), int(low[0]) + 1)
    )
