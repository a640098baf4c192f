"""A video → one capture per frame, with shared betas and a smooth pose."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ..errors import CaptureError
from ..files import sha256_of
from ..progress import Progress, silent, sub_progress
from .capture_file import MAX_FRAMES, Capture
from .images import MAX_SIDE_PX, Photo, load_photo
from .landmarks import HandDetector, HandLandmarks, choose_hand, find_hands
from .mask import hand_mask
from .options import CaptureOptions, hand_model_for, hand_model_name
from .photo import CaptureResult, camera_for, make_capture
from .quiet import quiet_stderr
from .session import FitSession, Fitted

log = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
QUICK_BEND = 0.02
"""Mean second difference of the landmarks, over the hand's size, from which a movement counts as quick."""
FIRST_WINDOW_PX, FINAL_WINDOW_PX = 176, 272
"""Resolution of a frame's segmentation, over the hand's window, for the fit and for the result. The outline is carried to
the frame's own resolution afterwards."""


@dataclass(frozen=True)
class VideoSource:
    """A video file, or a folder of numbered pictures; read again for every pass, so that no pass holds all frames."""

    path: Path
    files: tuple[Path, ...] = ()
    """The pictures of a folder, in order."""
    fps: float | None = None
    last: int | None = None
    """Number of frames to use; None is all."""

    def frames(self) -> Iterator[np.ndarray]:
        """Frames [H,W,3] uint8 RGB, all of one size. Raises CaptureError."""
        size = None
        for number, frame in enumerate(self._all()):
            if self.last is not None and number >= self.last:
                return
            if size is not None and frame.shape != size:
                raise CaptureError(
                    f"{self.path}: frame {number} has another size than the first: give frames of one size"
                )
            if number >= MAX_FRAMES:
                raise CaptureError(f"{self.path} has more than {MAX_FRAMES} frames: cut the video")
            size = frame.shape
            yield frame

    def _all(self) -> Iterator[np.ndarray]:
        if self.files:
            for path in self.files:
                yield load_photo(path).pixels
            return
        video = cv2.VideoCapture(str(self.path))
        try:
            while True:
                there, frame = video.read()
                if not there:
                    return
                yield _reduced(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        finally:
            video.release()


def open_video(path: Path | str, last: int | None = None) -> VideoSource:
    """A video file or a folder of frames. Raises CaptureError when there is nothing to read."""
    path = Path(path)
    if path.is_dir():
        files = sorted((p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES), key=_natural)
        if not files:
            raise CaptureError(f"folder {path} has no pictures: give a folder of JPEG or PNG frames")
        return VideoSource(path, tuple(files), None, last)
    if not path.is_file():
        raise CaptureError(f"video {path} does not exist: check the path")
    with quiet_stderr():
        video = cv2.VideoCapture(str(path))
        try:
            readable = video.isOpened() and video.read()[0]
            fps = float(video.get(cv2.CAP_PROP_FPS))
        finally:
            video.release()
    if not readable:
        raise CaptureError(f"{path} is not a video that can be read: give an .mp4, or a folder of frames")
    return VideoSource(path, (), fps if 0 < fps < 1000 else None, last)


class PackedMasks(Sequence[np.ndarray]):
    """Masks [H,W] bool kept at one bit a pixel."""

    def __init__(self, shape: tuple[int, int]):
        self.shape = shape
        self._packed: list[np.ndarray] = []

    def append(self, mask: np.ndarray) -> None:
        self._packed.append(np.packbits(mask, axis=1))

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        return np.unpackbits(self._packed[index], axis=1, count=self.shape[1]).astype(bool)


@dataclass(frozen=True)
class VideoResult:
    """Captures of a video; None where no hand was found."""

    captures: list[Capture | None]
    masks: Sequence[np.ndarray | None]
    fps: float | None
    source: VideoSource
    vertices: list[np.ndarray | None]
    """[V,3] per frame, camera axes."""
    faces: np.ndarray

    def frame_result(self, number: int) -> CaptureResult | None:
        """One frame as a photo's result, for an overlay."""
        capture, mask, vertices = self.captures[number], self.masks[number], self.vertices[number]
        if capture is None or mask is None or vertices is None:
            return None
        image = next(frame for index, frame in enumerate(self.source.frames()) if index == number)
        return CaptureResult(capture, image, mask, vertices, self.faces)


def capture_video(
    path: Path | str,
    options: CaptureOptions | None = None,
    progress: Progress = silent,
    last: int | None = None,
) -> VideoResult:
    """Track a hand through a video and fit all its frames together.

    last: number of frames to use. Raises CaptureError when no frame shows a hand.
    """
    options = options or CaptureOptions()
    for name in ("mask", "keypoints", "pose"):
        if getattr(options, name) is not None:
            raise CaptureError(f"--{name} belongs to one photo and cannot be used for the video {path}: leave it out")
    source = open_video(path, last)
    progress(0.0, "following the hand")
    hands, size = track_hand(source, options.hand, sub_progress(progress, 0.0, 0.2))
    found = np.array([hand is not None for hand in hands])
    numbers = np.flatnonzero(found)
    side = _majority_side([hand for hand in hands if hand is not None])
    seen_hands = [replace(hand, handedness=side) for hand in hands if hand is not None]
    photo = _as_photo(source, size)
    intrinsics, focal_source = camera_for(photo, options, None)
    session = FitSession(hand_model_for(side, options))
    seen = session.observe(seen_hands, intrinsics, smoothness_links(numbers, seen_hands))
    state = session.fit_keypoints(seen, progress=sub_progress(progress, 0.2, 0.35))
    fitted = session.mesh(state, intrinsics)
    first_pass, last_pass = sub_progress(progress, 0.35, 0.5), sub_progress(progress, 0.7, 0.97)
    masks = _masks(source, hands, session, fitted, intrinsics, FIRST_WINDOW_PX, first_pass)
    state = session.refine(seen, state, masks, intrinsics, progress=sub_progress(progress, 0.5, 0.7))
    fitted = session.mesh(state, intrinsics)
    masks = _masks(source, hands, session, fitted, intrinsics, FINAL_WINDOW_PX, last_pass)
    quality = session.quality(seen, fitted, masks, intrinsics)
    captures: list[Capture | None] = [None] * len(hands)
    vertices: list[np.ndarray | None] = [None] * len(hands)
    for index, number in enumerate(numbers):
        made = make_capture(
            photo,
            seen_hands[index],
            fitted,
            index,
            intrinsics,
            focal_source,
            hand_model_name(options),
            quality[index],
        )
        name = str(source.files[number]) if source.files else str(source.path)
        captures[number] = replace(made, image=name, frame=int(number))
        vertices[number] = fitted.vertices[index]
    progress(1.0, "done")
    return VideoResult(captures, _Scattered(masks, numbers, len(hands)), source.fps, source, vertices, session.faces)


def track_hand(
    source: VideoSource, which: str | None, progress: Progress = silent
) -> tuple[list[HandLandmarks | None], tuple[int, int]]:
    """One hand's landmarks in every frame (None where it is not seen), and the frames' (width, height).

    Where the tracker loses the hand, the frame is searched anew as a photo is. Raises CaptureError if it is never found.
    """
    hands: list[HandLandmarks | None] = []
    current: HandLandmarks | None = None
    size = (0, 0)
    expected = source.last or len(source.files) or 300
    with HandDetector(tracking=True, max_hands=2 if which is None else 4) as detector:
        for number, frame in enumerate(source.frames()):
            size = (frame.shape[1], frame.shape[0])
            progress(min(0.99, number / expected), f"following the hand, frame {number + 1}")
            hand = _follow(detector(frame), current, which, f"{source.path}, frame {number}")
            if hand is None and (current is not None or number % 10 == 0):
                hand = _follow(find_hands(frame), current, which, f"{source.path}, frame {number}")
            hands.append(hand)
            current = hand if hand is not None else current
    if current is None:
        raise CaptureError(f"no {which + ' ' if which in ('left', 'right') else ''}hand found in {source.path}: "
                           "give a sharp video with the whole hand in view")  # fmt: skip
    return hands, size


def _follow(
    found: list[HandLandmarks], current: HandLandmarks | None, which: str | None, where: str
) -> HandLandmarks | None:
    """The hand that continues the one being followed, or the first choice when none is."""
    if not found:
        return None
    if current is None:
        try:
            return choose_hand(found, which, where)
        except CaptureError:
            return None
    distance = [np.linalg.norm(h.keypoints_2d.mean(0) - current.keypoints_2d.mean(0)) / current.diagonal for h in found]
    best = int(np.argmin(distance))
    return found[best] if distance[best] < 1.0 else None


def _majority_side(hands: list[HandLandmarks]) -> str:
    votes = sum(hand.score if hand.handedness == "right" else -hand.score for hand in hands)
    return "right" if votes >= 0 else "left"


def smoothness_links(numbers: np.ndarray, hands: list[HandLandmarks]) -> np.ndarray:
    """[T] how strongly each frame is tied to the line through its neighbours, 0..1; 0 where a neighbouring frame is missing.

    Less where the landmarks themselves accelerate: quick gestures are not smoothed away with the detector's noise.
    """
    links = np.zeros(len(numbers))
    if len(numbers) < 3:
        return links
    keypoints = np.stack([hand.keypoints_2d for hand in hands])
    size = np.array([hand.diagonal for hand in hands])
    bend = np.linalg.norm(keypoints[2:] - 2 * keypoints[1:-1] + keypoints[:-2], axis=-1).mean(1) / size[1:-1]
    consecutive = (numbers[2:] - numbers[:-2]) == 2
    links[1:-1] = consecutive / (1 + (bend / QUICK_BEND) ** 2)
    return links


def _masks(
    source: VideoSource,
    hands: list[HandLandmarks | None],
    session: FitSession,
    fitted: Fitted,
    intrinsics: np.ndarray,
    window_px: int,
    progress: Progress,
) -> PackedMasks:
    """Masks of the frames that show the hand; OpenCV works outside Python's lock, so a few threads share them."""
    masks: PackedMasks | None = None
    workers = min(4, os.cpu_count() or 1)
    waiting: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for index, (number, frame) in enumerate(_frames_with_hand(source, hands)):
            masks = masks if masks is not None else PackedMasks((frame.shape[0], frame.shape[1]))
            wrist = session.wrist(fitted, index, intrinsics)
            keypoints = hands[number].keypoints_2d  # type: ignore[union-attr]
            pixels = fitted.pixels[index]
            waiting.append(pool.submit(hand_mask, frame, pixels, session.faces, keypoints, wrist, window_px, 2))
            if len(waiting) > 2 * workers:
                masks.append(waiting.popleft().result())
            progress(number / len(hands), f"cutting out the hand, frame {number + 1} of {len(hands)}")
        assert masks is not None
        for mask in waiting:
            masks.append(mask.result())
    return masks


def _frames_with_hand(source: VideoSource, hands: list[HandLandmarks | None]) -> Iterator[tuple[int, np.ndarray]]:
    for number, (frame, hand) in enumerate(zip(source.frames(), hands, strict=False)):
        if hand is not None:
            yield number, frame


class _Scattered(Sequence["np.ndarray | None"]):
    """Packed masks at their frames' numbers, None elsewhere."""

    def __init__(self, masks: PackedMasks, numbers: np.ndarray, count: int):
        self._masks, self._count = masks, count
        self._place = {int(number): index for index, number in enumerate(numbers)}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> np.ndarray | None:  # type: ignore[override]
        if not -self._count <= number < self._count:
            raise IndexError(number)
        index = self._place.get(number % self._count)
        return None if index is None else self._masks[index]


def _as_photo(source: VideoSource, size: tuple[int, int]) -> Photo:
    """What a video knows as a whole, in the shape that cameras and captures are made from."""
    if source.files:
        first = load_photo(source.files[0])
        return Photo(first.pixels, first.focal_px, digest_of_frames(source.files), source.path)
    return Photo(np.zeros((size[1], size[0], 3), np.uint8), None, sha256_of(source.path), source.path)


def digest_of_frames(files: Sequence[Path]) -> str:
    """One digest for a folder of frames: that of its files' digests, in order."""
    return hashlib.sha256("".join(sha256_of(path) for path in files).encode()).hexdigest()


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """Sort key by which frame2 comes before frame10."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", path.name)]


def _reduced(frame: np.ndarray) -> np.ndarray:
    scale = MAX_SIDE_PX / max(frame.shape[:2])
    return frame if scale >= 1 else cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
