"""What a rendered picture really shows, at the size at which methods are compared."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..avatar.texture_files import read_png
from ..datasets.palm import load_frame
from ..errors import DatasetError, InputError
from ..lighting.color import linear_to_srgb, srgb_to_linear
from ..rendering.crop import Crop, resample
from .relit_set import LitFrame


class TrueFrame(NamedTuple):
    """A picture and its passes. Everything beside the hand is black, and edges are mixed with it."""

    image_srgb: Tensor
    """[H,W,3] in [0,1]."""
    mask: Tensor
    """[H,W] bool."""
    intrinsics: Tensor
    """[3,3] px of this size."""
    world_to_camera: Tensor
    """[4,4]."""
    normals: Tensor | None
    """[H,W,3] unit, camera's OpenCV axes, of the bare shape (without the skin's relief); zero outside the mask."""
    albedo_srgb: Tensor | None
    """[H,W,3] in [0,1], of the skin alone at edges too."""


def true_frame(lit: LitFrame, longest_px: int | None = None) -> TrueFrame:
    """Read a frame, scaled so that its longer side has `longest_px` pixels (None, or more than it has: as it is).

    Pictures are averaged in linear light. Raises DatasetError naming the file.
    """
    frame = lit.frame
    pixels = load_frame(frame)
    longest = max(frame.height, frame.width)
    scale = min(1.0, (longest_px or longest) / longest)
    crop = Crop(0.0, 0.0, scale, max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    inside = pixels.mask.float()[..., None]
    share = resample(inside, crop)
    mask = share[..., 0] > 0.5
    if not bool(mask.any()):
        raise DatasetError(f"{frame.mask} shows no hand at {crop.width}×{crop.height} pixels: give a larger --size")
    behind = share.clamp_min(1e-6)
    normals = (
        None if pixels.normals is None else normalize(resample(pixels.normals * inside, crop), dim=-1) * mask[..., None]
    )
    albedo = None
    if lit.albedo is not None:
        albedo = linear_to_srgb(resample(srgb_to_linear(_albedo(lit)) * inside, crop) / behind).clamp(0, 1)
        albedo = albedo * mask[..., None]
    return TrueFrame(
        linear_to_srgb(resample(srgb_to_linear(pixels.image_srgb), crop)).clamp(0, 1),
        mask,
        crop.intrinsics(torch.as_tensor(frame.intrinsics).float()),
        torch.as_tensor(frame.world_to_camera).float(),
        normals,
        albedo,
    )


def _albedo(lit: LitFrame) -> Tensor:
    assert lit.albedo is not None
    try:
        values = torch.as_tensor(read_png(lit.albedo))
    except InputError as error:
        raise DatasetError(f"{lit.albedo} cannot be read as a picture: copy the set again") from error
    if values.shape != (lit.frame.height, lit.frame.width, 3):
        raise DatasetError(f"{lit.albedo} has not its picture's size and colours: copy the set again")
    return values
