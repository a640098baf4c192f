"""What a synthetic set knows of the skin in a PALM frame: true albedo and roughness, as `build.py cohort` writes them.

SUBJECT/albedo/CAMERA/000001.png      16 bits a channel, of which 8 are read; sRGB: the base colour at each pixel's centre
        roughness/CAMERA/000001.png   16 bits, linear: Blender's roughness, whose square is the BRDF's
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import DatasetError
from .palm import PalmFrame
from .palm_pixels import read_picture

FULL_ROUGHNESS = 65_535


class MaterialFiles(NamedTuple):
    """Of one frame."""

    albedo: Path
    roughness: Path


class MaterialPixels(NamedTuple):
    """True where the frame's mask is; elsewhere they mean nothing."""

    albedo_srgb: Tensor
    """[H,W,3] uint8."""
    roughness: Tensor
    """[H,W] float32 in [0,1], of the BRDF (its alpha)."""


def material_files(frame: PalmFrame) -> MaterialFiles | None:
    """Where the frame's materials lie; None where the set has none of it. Nothing is opened."""
    subject, stem = frame.image.parents[2], f"{frame.image.stem}.png"
    files = MaterialFiles(*(subject / kind / frame.camera / stem for kind in MaterialFiles._fields))
    return files if all(path.is_file() for path in files) else None


def load_materials(frame: PalmFrame, files: MaterialFiles) -> MaterialPixels:
    """Decode a frame's materials. Raises DatasetError naming a file that is damaged or of another size or depth."""
    albedo = _decode(files.albedo, frame, np.uint8)
    roughness = _decode(files.roughness, frame, np.uint16)
    if albedo.ndim != 3 or albedo.shape[2] < 3 or roughness.ndim != 2:
        raise DatasetError(
            f"{files.albedo} or {files.roughness} has the wrong number of channels: render the set again"
        )
    blender = roughness.astype(np.float32) / FULL_ROUGHNESS
    return MaterialPixels(torch.from_numpy(albedo[..., :3].copy()), torch.from_numpy(blender**2))


def _decode(path: Path, frame: PalmFrame, depth: type) -> np.ndarray:
    pixels = read_picture(path)
    if pixels.dtype != depth or pixels.shape[:2] != (frame.height, frame.width):
        raise DatasetError(
            f"{path} is {pixels.shape[1]}×{pixels.shape[0]} of {pixels.dtype}, not {frame.width}×{frame.height} of "
            f"{np.dtype(depth)}: render the set again"
        )
    return pixels
