"""Cameras of cropped and scaled pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Crop:
    """A rectangle of a picture, resampled to `height` × `width` pixels."""

    left: float
    top: float
    scale: float
    """Crop pixels per picture pixel."""
    width: int
    height: int

    def intrinsics(self, intrinsics: Tensor) -> Tensor:
        """K [3,3] of the picture → K of the crop."""
        change = torch.tensor(
            [[self.scale, 0, -self.left * self.scale], [0, self.scale, -self.top * self.scale], [0, 0, 1]],
            dtype=intrinsics.dtype,
            device=intrinsics.device,
        )
        return change @ intrinsics

    def points(self, points: Tensor) -> Tensor:
        """Picture px [*,2] → crop px."""
        origin = torch.tensor([self.left, self.top], dtype=points.dtype, device=points.device)
        return (points - origin) * self.scale


def crop_around(points_px: np.ndarray, margin: float, longest_px: int, allow_enlarging: bool = False) -> Crop:
    """The crop that holds all points [N,2] px with a margin (share of the longer side) at `longest_px` on that side.

    Without `allow_enlarging` the crop keeps at most the picture's own resolution. It may reach beyond the picture.
    """
    low, high = points_px.min(0), points_px.max(0)
    pad = margin * float((high - low).max())
    low, high = np.floor(low - pad), np.ceil(high + pad)
    scale = longest_px / float((high - low).max())
    if not allow_enlarging:
        scale = min(scale, 1.0)
    width, height = (max(1, int(np.ceil(side * scale))) for side in high - low)
    return Crop(float(low[0]), float(low[1]), scale, width, height)


def resample(image: Tensor, crop: Crop, outside: float = 0.0) -> Tensor:
    """A picture [H,W,C] resampled into a crop [height,width,C]; box-filtered when it shrinks, `outside` beyond its border."""
    height, width, channels = image.shape
    steps = max(1, int(np.ceil(1.0 / crop.scale - 1e-6)))
    offsets = (torch.arange(steps, device=image.device).to(image) + 0.5) / steps
    x = (
        crop.left
        + (torch.arange(crop.width, device=image.device).to(image)[:, None] + offsets).reshape(-1) / crop.scale
    )
    y = (
        crop.top
        + (torch.arange(crop.height, device=image.device).to(image)[:, None] + offsets).reshape(-1) / crop.scale
    )
    grid = torch.stack(
        [(2 * x / width - 1).expand(len(y), len(x)), (2 * y / height - 1)[:, None].expand(len(y), len(x))], dim=-1
    )
    filled = torch.cat([image - outside, torch.ones_like(image[..., :1])], dim=-1).permute(2, 0, 1)[None]
    sampled = torch.nn.functional.grid_sample(filled, grid[None], "bilinear", "zeros", align_corners=False)
    pooled = torch.nn.functional.avg_pool2d(sampled, steps)[0].permute(1, 2, 0)
    return pooled[..., :channels] + outside
