"""The pixels of one PALM frame: colour, mask, normals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..avatar.image_headers import is_whole_image
from ..errors import DatasetError
from .palm_normals import decode_normals

if TYPE_CHECKING:
    from .palm import PalmFrame

ERODE_PX, DILATE_PX, MEDIAN_PX, MARGIN_PX = 21, 11, 7, 5
"""Sides of the published windows that mend a mask; each morphological one is applied twice."""


class FramePixels(NamedTuple):
    image_srgb: Tensor
    """[H,W,3] float32 sRGB-encoded, in [0,1]."""
    mask: Tensor
    """[H,W] bool, the hand."""
    dilated: Tensor
    """[H,W] bool, the mask with a margin of some pixels."""
    normals: Tensor | None
    """[H,W,3] float32 unit normals in the camera's OpenCV axes, zero where none is known; None where the set has none."""


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) px from the header. Raises DatasetError when it is no whole picture."""
    try:
        if path.suffix.lower() == ".png" and not is_whole_image(path):
            raise DatasetError(f"{path} is damaged or cut off: copy it again")
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read as a picture: copy it again") from error


def load_frame(frame: PalmFrame) -> FramePixels:
    """Decode a frame's pictures. Raises DatasetError naming the file that cannot be decoded."""
    image = _decode(frame.image, frame)[..., :3]
    mask = binarise(_decode(frame.mask, frame)[..., 0])
    if frame.mano is not None:
        mano = _decode(frame.mano, frame)
        mask = mend_mask(mask, binarise(mano[..., 3] if mano.shape[2] == 4 else mano[..., 0]))
    if not mask.any():
        raise DatasetError(f"{frame.mask} shows no hand (no pixel is 255): copy it again, or leave the frame out")
    normals = None if frame.normal is None else decode_normals(_decode(frame.normal, frame)[..., :3])
    return FramePixels(
        torch.from_numpy(image.astype(np.float32) / 255),
        torch.from_numpy(mask),
        torch.from_numpy(_widen(mask)),
        None if normals is None else torch.from_numpy(normals),
    )


def binarise(mask: np.ndarray) -> np.ndarray:
    """uint8 [H,W] → bool: only 255 is hand."""
    return mask == 255


def mend_mask(mask: np.ndarray, silhouette: np.ndarray) -> np.ndarray:
    """A segmented mask held between the inside and the neighbourhood of the fitted hand's silhouette, then smoothed.

    mask, silhouette [H,W] bool → [H,W] bool. Inside the eroded silhouette everything is hand, outside the dilated one
    nothing is; the windows are the published ones, in pixels whatever the picture's size.
    """
    import cv2

    fitted = silhouette.astype(np.uint8)
    inner = cv2.erode(fitted, np.ones((ERODE_PX, ERODE_PX), np.uint8), iterations=2)
    outer = cv2.dilate(fitted, np.ones((DILATE_PX, DILATE_PX), np.uint8), iterations=2)
    held = (mask.astype(np.uint8) * outer + inner) > 0
    return cv2.medianBlur(held.astype(np.uint8), MEDIAN_PX) > 0


def _widen(mask: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.dilate(mask.astype(np.uint8), np.ones((MARGIN_PX, MARGIN_PX), np.uint8), iterations=2) > 0


def read_picture(path: Path, prepared: Callable[[Image.Image], Image.Image] = lambda image: image) -> np.ndarray:
    """The pixels of a picture, as Pillow decodes it. Raises DatasetError naming a file that cannot be decoded."""
    try:
        with Image.open(path) as image:
            return np.asarray(prepared(image))
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read as a picture: copy it again") from error


def _decode(path: Path, frame: PalmFrame) -> np.ndarray:
    """uint8 [H,W,C] of any 8-bit picture, of the camera's size."""
    pixels = read_picture(path, plain_mode)
    if pixels.dtype != np.uint8:
        raise DatasetError(f"{path} has {pixels.dtype} pixels, not 8 bits a channel: copy it again")
    if pixels.shape[:2] != (frame.height, frame.width):
        raise DatasetError(
            f"{path} has {pixels.shape[1]}×{pixels.shape[0]} pixels, but its camera {frame.width}×{frame.height}:"
            " copy the subject again"
        )
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 and path == frame.image else pixels


def plain_mode(image: Image.Image) -> Image.Image:
    """Grey, RGB or RGBA; other kinds are converted, deep ones kept for the caller to refuse."""
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    wanted = {"1": "L", "LA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB"}.get(image.mode)
    return image if wanted is None else image.convert(wanted)
