"""How far the check of a data set is, though nobody knows before how many sequences it has."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ..progress import Progress
from .hand_sequence import HandFrame
from .palm import IMAGE_SUFFIXES
from .scan_file import SCAN_SUFFIXES

TOLD_EVERY_S = 0.3
HEADERS_SHARE = 0.2
"""Of the work on a picture that is decoded too."""


class CheckProgress:
    """Tells a progress callback the share of a folder's files that were opened, then of the frames that were decoded.

    Files that belong to no frame are never opened: opening a set that has many of them ends before its part of the bar.
    """

    def __init__(self, progress: Progress, root: Path, pixels: bool):
        """pixels: pictures are decoded, not only opened. Raises Cancelled."""
        self.progress = progress
        self.headers = HEADERS_SHARE if pixels else 1.0
        self.opened = self.found = self.frames = self.decoded = 0
        self.furthest, self.last = 0.0, time.monotonic()
        self.files = 0
        for _, _, names in os.walk(root):
            self.files += sum(name.lower().endswith((*IMAGE_SUFFIXES, *SCAN_SUFFIXES)) for name in names)
            self._now_and_then(f"counting: {self.files} files so far")

    def watch(self) -> None:
        """A picture's header is being read; asked to cancel a few times a second."""
        self.opened += 1
        self._now_and_then(f"reading: {self.opened} pictures so far")

    def found_frame(self, frame: HandFrame) -> None:
        """One more frame is known, with its headers read."""
        self.frames += 1
        self.found += sum(path is not None for path in (frame.image, frame.mask, frame.normal, frame.silhouette))

    def decoded_frame(self) -> None:
        """The pictures of one more frame were decoded, after all frames were found."""
        self.decoded += 1

    def tell(self, message: str, preview: Path | None = None) -> None:
        opened = 1.0 if self.decoded else min(max(self.opened, self.found) / max(self.files, 1), 1.0)
        decoded = self.decoded / max(self.frames, 1)
        self.furthest = max(self.furthest, self.headers * opened + (1 - self.headers) * decoded)
        self.progress(self.furthest, message, preview=preview)

    def _now_and_then(self, message: str) -> None:
        if time.monotonic() - self.last >= TOLD_EVERY_S:
            self.last = time.monotonic()
            self.tell(message)
