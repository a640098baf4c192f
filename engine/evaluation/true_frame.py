"""What a rendered picture really shows, at the size at which methods are compared."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..avatar.texture_files import read_png
from ..datasets.hand_sequence import load_pixels
from ..datasets.palm import PalmFrame, load_frame
from ..errors import DatasetError, InputError
from ..lighting.color import linear_to_srgb, srgb_to_linear
from ..rendering.crop import Crop, resample
from .known_capture import KnownFrame


class TrueFrame(NamedTuple):
    """A picture and its passes. Everything beside the hand is black, and edges are mixed with it."""

    image_srgb: Tensor
    """[H,W,3] in [0,1]."""
    mask: Tensor
    """[H,W] bool."""
    coverage: Tensor
    """[H,W] in [0,1], how much of a pixel is hand."""
    intrinsics: Tensor
    """[3,3] px of this size."""
    world_to_camera: Tensor
    """[4,4]."""
    normals: Tensor | None
    """[H,W,3] unit, camera's OpenCV axes, of the bare shape (without the skin's relief); zero outside the mask."""
    albedo_srgb: Tensor | None
    """[H,W,3] in [0,1], of the skin alone at edges too."""


def true_frame(frame: KnownFrame, albedo_file: Path | None = None, longest_px: int | None = None) -> TrueFrame:
    """Read a frame, scaled so that its longer side has `longest_px` pixels (None, or more than it has: as it is).

    Pictures are averaged in linear light. Raises DatasetError naming the file.
    """
    pixels = _pixels(frame)
    longest = max(frame.height, frame.width)
    scale = min(1.0, (longest_px or longest) / longest)
    crop = Crop(0.0, 0.0, scale, max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    inside = pixels.mask[..., None]
    share = resample(inside, crop)
    mask = share[..., 0] > 0.5
    if not bool(mask.any()):
        raise DatasetError(f"{frame.mask} shows no hand at {crop.width}×{crop.height} pixels: give a larger --size")
    behind = share.clamp_min(1e-6)
    normals = (
        None if pixels.normals is None else normalize(resample(pixels.normals * inside, crop), dim=-1) * mask[..., None]
    )
    albedo = None
    if albedo_file is not None:
        skin = srgb_to_linear(_albedo(albedo_file, frame))
        albedo = linear_to_srgb(resample(skin * inside, crop) / behind).clamp(0, 1)
        albedo = albedo * mask[..., None]
    return TrueFrame(
        linear_to_srgb(resample(srgb_to_linear(pixels.image_srgb), crop)).clamp(0, 1),
        mask,
        share[..., 0],
        crop.intrinsics(torch.as_tensor(frame.intrinsics).float()),
        torch.as_tensor(frame.world_to_camera).float(),
        normals,
        albedo,
    )


class _Pixels(NamedTuple):
    image_srgb: Tensor
    """[H,W,3] over black."""
    mask: Tensor
    """[H,W] in [0,1]"""
    normals: Tensor | None


def _pixels(frame: KnownFrame) -> _Pixels:
    if isinstance(frame, PalmFrame):
        pixels = load_frame(frame)
        return _Pixels(pixels.image_srgb, pixels.mask.float(), pixels.normals)
    image, mask = load_pixels(frame)
    if mask is None:
        raise DatasetError(f"{frame.image} has no mask: nothing tells the hand from what is behind it")
    inside = torch.tensor(mask).float() / 255
    return _Pixels(torch.tensor(image).float() / 255 * inside[..., None], inside, None)


def _albedo(path: Path, frame: KnownFrame) -> Tensor:
    try:
        values = torch.as_tensor(read_png(path))
    except InputError as error:
        raise DatasetError(f"{path} cannot be read as a picture: copy the set again") from error
    if values.shape != (frame.height, frame.width, 3):
        raise DatasetError(f"{path} has not its picture's size and colours: copy the set again")
    return values
