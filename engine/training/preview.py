"""A sheet that shows what the prior has learned of some frames: the picture, and how the fields render it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .evaluate import FrameRender

PANEL_PX = 224
BACKDROP = 0.13
"""sRGB value behind the hands."""


def preview_sheet(renders: Sequence[FrameRender]) -> np.ndarray:
    """[h,w,3] uint8, one row a frame: picture, radiance, physical, albedo, roughness, normals wanted and found."""
    return np.concatenate([np.concatenate(_row(render), axis=1) for render in renders], axis=0)


def _row(render: FrameRender) -> list[np.ndarray]:
    mask = render.mask[..., None]
    shown = render.opacity[..., None].clamp(0, 1)
    panels = [render.target_srgb * mask + BACKDROP * (1 - mask), _over(render.radiance_srgb, shown)]
    if render.physical_srgb is not None:
        panels.append(_over(render.physical_srgb, shown))
        panels.append(_over(render.albedo_srgb, shown))
        panels.append(_over(render.roughness[..., None].expand_as(render.albedo_srgb), shown))
    if render.target_normals is not None:
        panels.append(_normal_colors(render.target_normals, mask))
    panels.append(_normal_colors(render.normals, shown))
    return [_panel(panel) for panel in panels]


def _over(color: Tensor, opacity: Tensor) -> Tensor:
    return color * opacity + BACKDROP * (1 - opacity)


def _normal_colors(normals: Tensor, opacity: Tensor) -> Tensor:
    """Normals in OpenCV camera axes as people paint them: x right, y up, z towards the viewer."""
    flipped = torch.nan_to_num(normals) * normals.new_tensor([1.0, -1.0, -1.0])
    return _over((flipped + 1) / 2, opacity)


def _panel(image: Tensor) -> np.ndarray:
    """A picture [H,W,3] in [0,1] as a square panel."""
    height, width = image.shape[:2]
    scale = PANEL_PX / max(height, width)
    size = (max(round(height * scale), 1), max(round(width * scale), 1))
    small = interpolate(image.permute(2, 0, 1)[None].float(), size=size, mode="area" if scale < 1 else "nearest")[0]
    canvas = torch.full((3, PANEL_PX, PANEL_PX), BACKDROP)
    top, left = (PANEL_PX - size[0]) // 2, (PANEL_PX - size[1]) // 2
    canvas[:, top : top + size[0], left : left + size[1]] = small.cpu()
    return (canvas.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
