"""Texture look-up with bilinear filtering, differentiable in the texture and in the coordinates."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def sample_texture(texture: Tensor, uv: Tensor) -> Tensor:
    """Bilinear look-up with edge clamping.

    texture [H,W,C], first row on top; uv [P,2], V upward, so (0,0) is the bottom left corner of the bottom left texel.
    Returns [P,C].
    """
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], dim=1)
    sampled = grid_sample(
        texture.permute(2, 0, 1)[None], grid[None, None].to(texture), "bilinear", "border", align_corners=False
    )
    return sampled[0, :, 0].T


def sample_image(image: Tensor, points: Tensor) -> Tensor:
    """Bilinear look-up of a picture [H,W,C] at points [P,2] px (first pixel's centre at (0.5, 0.5)), clamped → [P,C]."""
    height, width = image.shape[:2]
    scale = torch.tensor([width, height], dtype=points.dtype, device=points.device)
    grid = 2 * points / scale - 1
    sampled = grid_sample(
        image.permute(2, 0, 1)[None], grid[None, None].to(image), "bilinear", "border", align_corners=False
    )
    return sampled[0, :, 0].T


def texel_positions(height: int, width: int, like: Tensor) -> Tensor:
    """[height*width,2] uv of texel centres, row-major from the top."""
    v = 1 - (torch.arange(height, device=like.device).to(like) + 0.5) / height
    u = (torch.arange(width, device=like.device).to(like) + 0.5) / width
    return torch.stack([u.expand(height, width), v[:, None].expand(height, width)], dim=-1).reshape(-1, 2)
