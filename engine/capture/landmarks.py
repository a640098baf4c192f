"""Hands in a picture: 21 landmarks each, in pixels and in metres, by MediaPipe (optional extra `capture`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import CaptureError
from ..hand.joints import to_palm
from .landmark_models import FoundHand, hand_finder
from .quiet import quiet_stderr

log = logging.getLogger(__name__)

MIN_CONFIDENCE = 0.5
RETRY_CONFIDENCE = 0.35
"""Accepted on the cut-outs and turned copies that are tried when the whole picture shows no hand."""
MEDIAPIPE_TIP_FRACTION = 0.78
"""MediaPipe's tips lie at the middle of the nail: this part of the last bone's length, measured on photos of flat hands."""
LEAST_COLOUR = 0.08
"""Spread of a pixel's channels, over the channels' own brightest, above which a picture has colours."""
SKIN_GAMMAS = (0.8, 1.05, 1.25)
"""Of red, green and blue."""


@dataclass(frozen=True)
class HandLandmarks:
    """One detected hand; keypoints in the project's order."""

    handedness: str
    """"right" or "left", of the person (not of a mirror image)."""
    score: float
    """Certainty of the handedness, 0..1."""
    keypoints_2d: np.ndarray
    """[21,2] px."""
    confidence: np.ndarray
    """[21] 0..1; ones from a detector that gives none."""
    keypoints_3d: np.ndarray | None
    """[21,3] metres about the hand's centre, in the axes of a camera that looks straight at the hand; None if unknown."""
    tip_fraction: float = 1.0
    """Where the tips lie between the last joint (0) and the end of the finger (1)."""
    in_camera_axes: bool = False
    """True where keypoints_3d are in the photo camera's own axes already."""

    @property
    def box(self) -> np.ndarray:
        """[x0, y0, x1, y1] px around the keypoints."""
        return np.concatenate([self.keypoints_2d.min(0), self.keypoints_2d.max(0)])

    @property
    def diagonal(self) -> float:
        """Of the box, in px."""
        return float(np.hypot(*(self.box[2:] - self.box[:2])))


class HandDetector:
    """MediaPipe's hand landmarker. A context manager; `tracking` follows hands from frame to frame."""

    def __init__(self, tracking: bool = False, max_hands: int = 4, confidence: float = MIN_CONFIDENCE):
        with quiet_stderr():
            self._find = hand_finder(tracking, max_hands, confidence)
            # the graph starts its threads, and writes its messages, with the first picture
            self._find(np.zeros((64, 64, 3), np.uint8))

    def __enter__(self) -> HandDetector:
        return self

    def __exit__(self, *_: object) -> None:
        self._find.close()

    def __call__(self, image: np.ndarray) -> list[HandLandmarks]:
        """All hands of an image [H,W,3] uint8 RGB, largest first."""
        height, width = image.shape[:2]
        image = skin_tinted(image) if is_colourless(image) else image
        with quiet_stderr():
            found = self._find(np.ascontiguousarray(image))
        hands = [_from_mediapipe(hand, width, height) for hand in found]
        return _without_doubles(sorted(hands, key=lambda hand: -hand.diagonal))


def is_colourless(image: np.ndarray) -> bool:
    """Whether a picture [H,W,3] uint8 is black and white, or that through one tint, as old prints are."""
    step = max(1, round(max(image.shape[:2]) / 256))
    pixels = image[::step, ::step].reshape(-1, 3).astype(np.float32)
    pixels = pixels / np.maximum(np.percentile(pixels, 99, axis=0), 1.0)
    return bool(np.percentile(np.ptp(pixels, axis=1), 95) < LEAST_COLOUR)


def skin_tinted(image: np.ndarray) -> np.ndarray:
    """A picture's [H,W,3] brightness in the tones of skin, from dark red to white: uint8.

    The detector has learned from photos in colour. Without, its landmarks are 2 to 5 % of a hand's size off, or there are none;
    tinted like this 0.4 to 2 % (against those that it finds in the same photos in colour).
    """
    brightness = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    return (255 * brightness[..., None] ** np.array(SKIN_GAMMAS, np.float32) + 0.5).clip(0, 255).astype(np.uint8)


def _from_mediapipe(hand: FoundHand, width: int, height: int) -> HandLandmarks:
    return HandLandmarks(
        hand.handedness,
        hand.score,
        to_palm(hand.flat * (width, height), "mediapipe"),
        np.ones(21),
        to_palm(hand.metric, "mediapipe"),
        MEDIAPIPE_TIP_FRACTION,
    )


def _without_doubles(hands: list[HandLandmarks]) -> list[HandLandmarks]:
    """Drop a hand whose points lie on those of one already kept."""
    kept: list[HandLandmarks] = []
    for hand in hands:
        apart = [
            np.linalg.norm(hand.keypoints_2d - other.keypoints_2d, axis=1).mean() / other.diagonal for other in kept
        ]
        if all(distance > 0.15 for distance in apart):
            kept.append(hand)
    return kept


def find_hands(image: np.ndarray) -> list[HandLandmarks]:
    """All hands of a photo [H,W,3] uint8 RGB, largest first; empty when even the retries find none.

    The palm detector sees the whole picture at 192 px, so small, turned or dim hands are tried again on cut-outs, on
    copies turned by quarter turns and on one with stretched contrast.
    """
    with HandDetector() as detector:
        hands = detector(image)
    if hands:
        return hands
    with HandDetector(confidence=RETRY_CONFIDENCE) as detector:
        for view in _retry_views(image):
            hands = [view.back(hand) for hand in detector(view.pixels)]
            if hands:
                log.info("hand found on a second look (%s)", view.name)
                return hands
    return []


@dataclass(frozen=True)
class _View:
    """A changed copy of the picture and the way back from its pixels."""

    pixels: np.ndarray
    name: str
    rotation: np.ndarray
    """[2,2] view pixels → image pixels, orthonormal."""
    offset: np.ndarray
    scale: float = 1.0

    def back(self, hand: HandLandmarks) -> HandLandmarks:
        spatial = np.eye(3)
        spatial[:2, :2] = self.rotation
        return HandLandmarks(
            hand.handedness,
            hand.score,
            (hand.keypoints_2d * self.scale) @ self.rotation.T + self.offset,
            hand.confidence,
            None if hand.keypoints_3d is None else hand.keypoints_3d @ spatial.T,
            hand.tip_fraction,
        )


def _retry_views(image: np.ndarray) -> Iterator[_View]:
    height, width = image.shape[:2]
    same = np.eye(2)
    border = max(height, width) // 3
    padded = np.pad(image, ((border, border), (border, border), (0, 0)), mode="edge")
    yield _View(padded, "wider border", same, np.array([-border, -border], float))
    yield _View(_stretched(image), "more contrast", same, np.zeros(2))
    for turns, matrix in ((1, [[0, -1], [1, 0]]), (2, [[-1, 0], [0, -1]]), (3, [[0, 1], [-1, 0]])):
        corner = {1: (width, 0), 2: (width, height), 3: (0, height)}[turns]
        yield _View(
            np.rot90(image, turns),
            f"turned by {90 * turns}°",
            np.array(matrix, float),
            np.array(corner, float),
        )
    for parts in (2, 3):
        side_x, side_y = 2 * width // (parts + 1), 2 * height // (parts + 1)
        for row in range(parts):
            for column in range(parts):
                x, y = column * (width - side_x) // (parts - 1), row * (height - side_y) // (parts - 1)
                cut = image[y : y + side_y, x : x + side_x]
                yield _View(cut, f"cut-out {column},{row} of {parts}", same, np.array([x, y], float))


def _stretched(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, (1, 99))
    return np.clip((image.astype(np.float32) - low) * (255.0 / max(high - low, 1.0)), 0, 255).astype(np.uint8)


def choose_hand(hands: list[HandLandmarks], which: str | None, source: str) -> HandLandmarks:
    """The hand that was asked for: None for the largest, "left"/"right" for the largest of that side, or an index.

    Indices count from 0, largest hand first. Raises CaptureError when there is no such hand.
    """
    if not hands:
        raise CaptureError(
            f"no hand found in {source}: give a sharp picture with the whole hand in view, or --keypoints"
        )
    found = ", ".join(hand.handedness for hand in hands)
    if which is None:
        if len(hands) > 1:
            log.info("%d hands found (%s); the largest is used, --hand chooses another", len(hands), found)
        return hands[0]
    if which in ("left", "right"):
        for hand in hands:
            if hand.handedness == which:
                return hand
        raise CaptureError(f"no {which} hand in {source} (found: {found}): use --hand with one of these or an index")
    index = hand_index(which)
    if index is None:
        raise CaptureError(
            f"--hand {which} is not left, right or an index: {source} shows {len(hands)} hands ({found})"
        )
    if index >= len(hands):
        raise CaptureError(
            f"--hand {which} is out of range: {source} shows {len(hands)} hands, counted from 0 ({found})"
        )
    return hands[index]


def hand_index(which: str | None) -> int | None:
    """The number in `--hand INDEX`; None for a side or anything else."""
    return int(which) if which is not None and which.isdecimal() and len(which) < 10 else None
