"""Whether a capture is good enough to personalise from: which check it failed, and what photo would pass."""

from __future__ import annotations

from collections.abc import Sequence

from ..capture.capture_file import Capture
from ..errors import CaptureError

POOR_LANDMARKS, POOR_OVERLAP = 0.1, 0.6
"""Of a capture, beyond which its pose cannot be what the photo shows: keypoints off, as a share of the hand's size; overlap of
mask and fitted hand."""
REMEDY = "take the hand whole and flat to the camera, fingers apart, before a plain background"


def check_capture(capture: Capture) -> None:
    """Raise CaptureError for a capture whose hand is not where the photo's is."""
    quality, name = capture.quality, name_of(capture)
    if quality.reprojection_relative > POOR_LANDMARKS:
        raise CaptureError(
            f"{name}: the fitted hand's joints are {quality.reprojection_relative:.0%} of its size beside the photo's "
            f"(at most {POOR_LANDMARKS:.0%}): {REMEDY}; or give --keypoints"
        )
    if quality.mask_iou < POOR_OVERLAP:
        raise CaptureError(
            f"{name}: mask and fitted hand overlap by {quality.mask_iou:.0%} only (at least {POOR_OVERLAP:.0%}): "
            f"{REMEDY}; or give --keypoints, or --mask"
        )


def check_together(captures: Sequence[Capture]) -> None:
    """Raise CaptureError for the photo that is sound alone and no longer is with the hand shape that all photos share."""
    for capture in captures:
        if not is_sound(capture):
            raise CaptureError(
                f"{name_of(capture)} does not fit a hand of the shape that the other photos show: it may be another person's, or "
                "another focal length's (--focal-px is for all); leave it out"
            )


def is_sound(capture: Capture) -> bool:
    """Whether `check_capture` has nothing to say."""
    return capture.quality.reprojection_relative <= POOR_LANDMARKS and capture.quality.mask_iou >= POOR_OVERLAP


def name_of(capture: Capture) -> str:
    """A capture's picture as messages call it."""
    name = capture.image or "the photo"
    return name if capture.frame is None else f"{name}, frame {capture.frame}"
