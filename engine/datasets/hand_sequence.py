"""One type for all sequence data: pictures of one hand with their cameras and MANO's parameters, whatever set they are of.

Readers of every published layout return it; methods and evaluation take it. The conventions are the project's: metres,
radians, OpenCV cameras, the first pixel's centre at (0.5, 0.5), absolute finger poses (flat hand = 0), MANO's joint order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..errors import DatasetError
from .palm_pixels import binarise, mend_mask, plain_mode, read_picture

HAND = 128
"""Smallest value of an 8-bit mask that counts as hand where a yes or no is asked for."""


@dataclass(frozen=True)
class HandFrame:
    """One picture of one hand."""

    label: str
    """The name by which the set knows the picture, unique in its sequence."""
    number: int
    """Of the moment, as the set counts; frames of one moment seen by several cameras share it."""
    camera: str
    image: Path
    mask: Path | None
    """8-bit picture, 255 = hand; None where the set has none."""
    intrinsics: np.ndarray
    """[3,3] px."""
    world_to_camera: np.ndarray
    """[4,4] metres."""
    height: int
    width: int
    betas: np.ndarray
    """[10]"""
    global_orient: np.ndarray
    """[3] axis-angle about the rest wrist."""
    hand_pose: np.ndarray
    """[45] axis-angle, absolute."""
    transl: np.ndarray
    """[3] metres, added after the rotation."""
    keypoints_3d: np.ndarray | None = None
    """[21,3] metres, world; MANO's 16 joints, then the tips. NaN where the set has no valid point; None without any."""
    normal: Path | None = None
    """8-bit picture of normals, PALM's encoding."""
    silhouette: Path | None = None
    """Outline of the fitted hand, with which PALM's mask is mended; None where the mask is used as it is."""


@dataclass(frozen=True)
class HandSequence:
    """Pictures of one hand in their order: by number, then camera."""

    name: str
    frames: tuple[HandFrame, ...]
    handedness: str
    """"right" or "left"."""
    hand_model: str
    """Whose parameters the frames hold: "mano", or "open" for the bundled hand."""
    notes: tuple[str, ...] = ()
    """What the reader decided and what it left out, a line each."""

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(frame.camera for frame in self.frames))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The moments, each once."""
        return tuple(dict.fromkeys(frame.number for frame in self.frames))

    def __len__(self) -> int:
        return len(self.frames)


class SequencePixels(NamedTuple):
    image: np.ndarray
    """uint8 [H,W,3] sRGB."""
    mask: np.ndarray | None
    """uint8 [H,W] coverage by the hand, 0 to 255 (soft in HARP's release, else 0 or 255); None without one."""


def load_pixels(frame: HandFrame) -> SequencePixels:
    """Decode a frame's picture and mask. Raises DatasetError naming the file that cannot be decoded or has another size."""
    image = read_picture(frame.image, _coloured)
    _check_size(image, frame.image, frame)
    if frame.mask is None:
        return SequencePixels(image, None)
    mask = read_picture(frame.mask, _grey)
    _check_size(mask, frame.mask, frame)
    if frame.silhouette is not None:
        outline = read_picture(frame.silhouette, plain_mode)
        _check_size(outline, frame.silhouette, frame)
        fitted = outline if outline.ndim == 2 else outline[..., 3] if outline.shape[2] == 4 else outline[..., 0]
        mask = np.where(mend_mask(binarise(mask), binarise(fitted)), 255, 0).astype(np.uint8)
    return SequencePixels(image, mask)


def _coloured(picture: Image.Image) -> Image.Image:
    """RGB of any 8-bit picture; deep ones are kept for the caller to refuse."""
    plain = plain_mode(picture)
    return plain.convert("RGB") if plain.mode in ("L", "RGBA") else plain


def _grey(picture: Image.Image) -> Image.Image:
    """The one channel of a mask: the first of coloured ones."""
    plain = plain_mode(picture)
    return plain.getchannel(0) if plain.mode in ("RGB", "RGBA") else plain


def _check_size(pixels: np.ndarray, path: Path, frame: HandFrame) -> None:
    if pixels.dtype != np.uint8:
        raise DatasetError(f"{path} has {pixels.dtype} pixels, not 8 bits a channel: copy it again")
    if pixels.shape[:2] != (frame.height, frame.width):
        raise DatasetError(
            f"{path} has {pixels.shape[1]}×{pixels.shape[0]} pixels, but its camera {frame.width}×{frame.height}:"
            " copy the set again"
        )
