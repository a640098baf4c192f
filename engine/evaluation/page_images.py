"""The pictures of a page, small enough to live inside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..avatar.texture_files import read_png
from ..errors import InputError
from ..progress import Progress, silent

BUDGET_BYTES = 11_000_000
"""Of all pictures as WebP; as text in the page they take a third more."""
QUALITIES = (82, 68, 50, 32)
MARGIN_PX = 5
DARK = 4
"""Largest 8-bit value that counts as nothing."""


class Pair(NamedTuple):
    """A picture and its albedo, as units write them side by side."""

    picture: np.ndarray
    """uint8 [H,W,3] over black."""
    albedo: np.ndarray


class Window(NamedTuple):
    """The part of all pictures of a sequence that shows anything."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: np.ndarray) -> np.ndarray:
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def read_pair(path: Path) -> Pair:
    """Raises InputError for a file that is missing, cannot be read or is no pair."""
    values = read_png(path)
    if values.ndim != 3 or values.shape[2] != 3 or values.shape[1] < 2 or values.shape[1] % 2:
        raise InputError(f"{path} is no picture beside its albedo: evaluate again into its report's folder")
    both = (values * 255 + 0.5).astype(np.uint8)
    half = both.shape[1] // 2
    return Pair(both[:, :half], both[:, half:])


def window_of(pictures: Sequence[np.ndarray]) -> Window:
    """The smallest part that holds what any of the pictures shows, and a margin; all of it where they show nothing."""
    height, width = pictures[0].shape[:2]
    lit = np.zeros((height, width), dtype=bool)
    for picture in pictures:
        if picture.shape[:2] != (height, width):
            raise InputError(f"pictures of one sequence have {width}×{height} and {picture.shape[1]}×{picture.shape[0]} pixels:"
                             " evaluate again into the report's folder")  # fmt: skip
        lit |= picture.max(2) > DARK
    if not lit.any():
        return Window(0, 0, height, width)
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    top, left = max(0, rows[0] - MARGIN_PX), max(0, columns[0] - MARGIN_PX)
    bottom, right = min(height, rows[-1] + 1 + MARGIN_PX), min(width, columns[-1] + 1 + MARGIN_PX)
    return Window(int(top), int(left), int(bottom - top), int(right - left))


def encoded(image: np.ndarray, quality: int) -> bytes:
    """WebP of uint8 [H,W,3]."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "WEBP", quality=quality, method=3)
    return stream.getvalue()


def as_text(data: bytes) -> str:
    """Base 64."""
    return base64.b64encode(data).decode("ascii")


def fitting(
    count: int, one: Callable[[int, int], bytes], budget: int = BUDGET_BYTES, progress: Progress = silent
) -> list[bytes]:
    """`count` encoded pictures that together keep to a budget of bytes, at the best quality that does; else at the worst.

    one(k, quality): the k-th. The quality is chosen on a sample, and again where the sample was too hopeful.
    """
    step = max(1, count // 40)
    sample = range(0, count, step)
    fits = [q for q in QUALITIES if sum(len(one(k, q)) for k in sample) * count / max(1, len(sample)) <= budget]
    for quality in QUALITIES[QUALITIES.index(fits[0]) if fits else -1 :]:
        found = []
        for k in range(count):
            if k % 20 == 0:
                progress(k / count, "packing pictures")
            found.append(one(k, quality))
        if sum(map(len, found)) <= budget or quality == QUALITIES[-1]:
            return found
    raise AssertionError("the worst quality is always taken")
