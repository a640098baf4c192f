"""Captures of the shared photo, made once for all tests of a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.capture.options import CaptureOptions
from engine.capture.photo import CaptureResult, capture_photo


@pytest.fixture(scope="session")
def photo_path(samples: Path) -> Path:
    return samples / "two_hands_dorsal.jpg"


@pytest.fixture(scope="session")
def photo_captures(photo_path: Path) -> list[CaptureResult]:
    """Both hands of the photo, largest first."""
    return [capture_photo(photo_path, CaptureOptions(hand=index)) for index in ("0", "1")]
