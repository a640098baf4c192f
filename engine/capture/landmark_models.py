"""MediaPipe's hand models behind one call: its old `solutions`, which carry the models, and its new `tasks`, which do not.

MediaPipe 0.10.21 is the last with `solutions` and with models in the wheel; its wheels end with Python 3.12. Later releases
run on Python 3.13 too and need the models in one file, hand_landmarker.task. That file is a plain zip of the two models of
0.10.21, and `python -m engine check` says where it is looked for.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np

from ..errors import MissingDependencyError

MODEL_FILE = Path(sys.prefix) / "share" / "palm_hands" / "hand_landmarker.task"
"""Where the add-on's set-up puts it: inside the engine's own environment."""
MODEL_VARIABLE = "PALM_HANDS_LANDMARKER"
"""Environment variable that names another place."""
TRACKING_STEP_MS = 40


class FoundHand(NamedTuple):
    """One hand as MediaPipe tells it, in its own order of points."""

    flat: np.ndarray
    """[21,2] fractions of the picture's width and height."""
    metric: np.ndarray
    """[21,3] metres about the hand's centre."""
    handedness: str
    """"right" or "left", of the person in a plain, unmirrored photo."""
    score: float


class HandFinder(Protocol):
    """Finds the hands of an RGB picture [H,W,3] uint8."""

    def __call__(self, image: np.ndarray) -> list[FoundHand]: ...

    def close(self) -> None: ...


def mediapipe_module() -> ModuleType:
    """MediaPipe, its own chatter turned down. Raises MissingDependencyError."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import mediapipe
    except ImportError as error:
        raise MissingDependencyError(
            "finding hands needs MediaPipe: install the `capture` extra (pip install -e .[capture] in the checkout), "
            "or give --keypoints"
        ) from error
    logging.getLogger("absl").setLevel(logging.ERROR)
    return mediapipe


def hand_finder(tracking: bool, max_hands: int, confidence: float) -> HandFinder:
    """The finder that the installed MediaPipe has. Raises MissingDependencyError."""
    mediapipe = mediapipe_module()
    kind = SolutionsFinder if hasattr(mediapipe, "solutions") else TasksFinder
    return kind(mediapipe, tracking, max_hands, confidence)


def model_file() -> Path:
    """The models that `tasks` need. Raises MissingDependencyError where they are not."""
    path = Path(os.environ.get(MODEL_VARIABLE) or MODEL_FILE)
    if not path.is_file():
        raise MissingDependencyError(
            f"this MediaPipe comes without its hand models, and {path} does not exist: set the engine up again, name a "
            f"hand_landmarker.task in {MODEL_VARIABLE}, or give --keypoints"
        )
    return path


class SolutionsFinder:
    """MediaPipe up to 0.10.21."""

    def __init__(self, mediapipe: ModuleType, tracking: bool, max_hands: int, confidence: float):
        self._hands = mediapipe.solutions.hands.Hands(
            static_image_mode=not tracking,
            max_num_hands=max_hands,
            model_complexity=1,
            min_detection_confidence=confidence,
            min_tracking_confidence=confidence,
        )
        self.close: Callable[[], None] = self._hands.close

    def __call__(self, image: np.ndarray) -> list[FoundHand]:
        result = self._hands.process(image)
        if not result.multi_hand_landmarks:
            return []
        found = zip(
            result.multi_hand_landmarks, result.multi_hand_world_landmarks, result.multi_handedness, strict=True
        )
        # it assumes a selfie, flipped like a mirror: what it calls Right is a left hand in a plain photo
        return [
            FoundHand(
                *_points(flat.landmark, metric.landmark),
                "left" if label.classification[0].label == "Right" else "right",
                float(label.classification[0].score),
            )
            for flat, metric, label in found
        ]


class TasksFinder:
    """MediaPipe from 0.10.30: the same models from a file, and handedness as in a plain photo."""

    def __init__(self, mediapipe: ModuleType, tracking: bool, max_hands: int, confidence: float):
        from mediapipe.tasks.python import BaseOptions, vision

        self._mediapipe, self._tracking, self._now_ms = mediapipe, tracking, 0
        mode = vision.RunningMode.VIDEO if tracking else vision.RunningMode.IMAGE
        options = vision.HandLandmarkerOptions(
            # given as bytes: the library opens no path with letters beyond the system's code page
            base_options=BaseOptions(model_asset_buffer=model_file().read_bytes()),
            running_mode=mode,
            num_hands=max_hands,
            min_hand_detection_confidence=confidence,
            min_hand_presence_confidence=confidence,
            min_tracking_confidence=confidence,
        )
        self._landmarker = vision.HandLandmarker.create_from_options(options)
        self.close: Callable[[], None] = self._landmarker.close

    def __call__(self, image: np.ndarray) -> list[FoundHand]:
        picture = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=image)
        if self._tracking:
            self._now_ms += TRACKING_STEP_MS
            result = self._landmarker.detect_for_video(picture, self._now_ms)
        else:
            result = self._landmarker.detect(picture)
        found = zip(result.hand_landmarks, result.hand_world_landmarks, result.handedness, strict=True)
        return [
            FoundHand(*_points(flat, metric), str(labels[0].category_name).lower(), float(labels[0].score))
            for flat, metric, labels in found
        ]


def _points(flat: list, metric: list) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[p.x, p.y] for p in flat]), np.array([[p.x, p.y, p.z] for p in metric])
