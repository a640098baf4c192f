"""Frames of a video, or of the captures.json of one, as photos of one hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..capture.capture_file import Capture, read_captures, read_mask
from ..errors import InputError
from ..files import sha256_of
from ..progress import Progress, silent
from .capture_check import check_capture, is_sound
from .photo_input import CapturedPhoto, photo_beside

if TYPE_CHECKING:
    from ..capture.options import CaptureOptions

DEFAULT_FRAMES = 6


def frames_of_captures(path: Path, count: int) -> list[CapturedPhoto]:
    """Frames of a captures.json, evenly over the sound ones, with the pictures that it was made from. Raises PalmError."""
    captures, _ = read_captures(path)
    numbers = chosen_frames(captures, count)
    chosen = {number: capture for number in numbers if (capture := captures[number]) is not None}
    check_one_hand(path, list(chosen.values()))
    pictures = pictures_of(path, chosen)
    return [CapturedPhoto(capture, pictures[number], read_mask(path, capture)) for number, capture in chosen.items()]


def frames_of_video(
    path: Path, options: CaptureOptions, count: int, progress: Progress = silent
) -> list[CapturedPhoto]:
    """Frames of a video, evenly over those in which the hand was found and fits. Raises PalmError."""
    from ..capture.video import capture_video

    made = capture_video(path, options, progress)
    numbers = chosen_frames(made.captures, count)
    pictures = dict(_some_frames(made.source.frames(), numbers))
    photos = []
    for number in numbers:
        capture, mask = made.captures[number], made.masks[number]
        assert capture is not None and mask is not None
        photos.append(CapturedPhoto(capture, pictures[number], mask))
    return photos


def chosen_frames(captures: Sequence[Capture | None], count: int) -> list[int]:
    """Numbers of `count` frames at most: of as many equal stretches of the sound frames the best of each, in order.

    Best is where mask and fitted hand overlap most. Raises CaptureError where no frame is sound: what is wrong with the best.
    """
    there = [(number, capture) for number, capture in enumerate(captures) if capture is not None]
    sound = [(number, capture) for number, capture in there if is_sound(capture)]
    if not sound:
        if there:
            check_capture(max((capture for _, capture in there), key=_overlap))
        raise InputError("no frame of the video shows a hand: capture a video with the whole hand in view")
    stretches = np.array_split(np.arange(len(sound)), min(count, len(sound)))
    return [max((sound[place] for place in stretch), key=lambda one: _overlap(one[1]))[0] for stretch in stretches]


def _overlap(capture: Capture) -> float:
    return capture.quality.mask_iou


def check_one_hand(path: Path, captures: Sequence[Capture]) -> None:
    """Raise InputError where captures are of hands of both sides or of different shapes."""
    first = captures[0]
    for capture in captures[1:]:
        if capture.handedness != first.handedness:
            raise InputError(
                f"{path}: frame {first.frame} is a {first.handedness} hand, frame {capture.frame} a {capture.handedness} one: "
                "capture one hand, with --hand"
            )
        if not np.allclose(capture.betas, first.betas, atol=1e-6):
            raise InputError(
                f"{path}: frames {first.frame} and {capture.frame} have different betas: capture them as one video, "
                "or give their photos"
            )


def pictures_of(path: Path, captures: Mapping[int, Capture]) -> dict[int, np.ndarray]:
    """[H,W,3] uint8 by number: the pictures of some frames of the capture file `path`.

    They are read from the video, or from the folder's pictures, that the file names. Raises InputError where that is missing or
    is not what the file was made from.
    """
    pictures = dict(picture_source(path, captures)(list(captures)))
    sizes = {number: (pixels.shape[1], pixels.shape[0]) for number, pixels in pictures.items()}
    if sizes != {number: one.image_size for number, one in captures.items()}:
        raise _another_source(path, next(iter(captures.values())))
    return pictures


PictureSource = Callable[[Sequence[int]], Iterator[tuple[int, np.ndarray]]]
"""(number, picture [H,W,3] uint8) of frames, ascending, decoded as they are asked for."""


def picture_source(path: Path, captures: Mapping[int, Capture]) -> PictureSource:
    """Where the pictures of a capture file's frames come from: the video or the folder that the file names.

    Raises InputError where it is missing or is not what the file was made from.
    """
    from ..capture.images import load_photo
    from ..capture.video import VIDEO_SUFFIXES, digest_of_frames, open_video

    first = next(iter(captures.values()))
    source = photo_beside(path, first.image)
    if source.suffix.lower() in VIDEO_SUFFIXES:
        if sha256_of(source) != first.image_sha256:
            raise _another_source(path, first)
        return lambda numbers: _some_frames(open_video(source).frames(), numbers)
    of_a_set = sha256_of(source) == first.image_sha256  # whose pictures are known each by itself
    if not of_a_set and digest_of_frames(open_video(source.parent).files) != first.image_sha256:
        raise _another_source(path, first)

    def pictures(numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        for number in numbers:
            picture = photo_beside(path, captures[number].image)
            if of_a_set and sha256_of(picture) != captures[number].image_sha256:
                raise InputError(f"{picture} is not the picture that {path} was made from: make the file again")
            yield number, load_photo(picture).pixels

    return pictures


def _another_source(path: Path, first: Capture) -> InputError:
    source = photo_beside(path, first.image)
    return InputError(f"{source} is not the video or folder that {path} was made from: capture it again")


def _some_frames(frames: Iterable[np.ndarray], numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    wanted = set(numbers)
    for number, frame in enumerate(frames):
        if number in wanted:
            yield number, frame
            wanted.remove(number)
        if not wanted:
            return
