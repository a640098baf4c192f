"""sRGB transfer function (IEC 61966-2-1) and luminance, on torch tensors."""

from __future__ import annotations

import torch
from torch import Tensor

LUMINANCE_WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Rec.709 red, green, blue."""


def srgb_to_linear(color: Tensor) -> Tensor:
    """Encoded [*] in [0,1] → linear [*]."""
    return torch.where(color <= 0.04045, color / 12.92, ((color.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(color: Tensor) -> Tensor:
    """Linear [*] ≥ 0 → encoded [*]; not clipped above 1. The gradient is finite at 0."""
    return torch.where(color <= 0.0031308, color * 12.92, 1.055 * color.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def luminance(color: Tensor) -> Tensor:
    """Relative luminance [*] of linear Rec.709 colours [*,3]."""
    return color @ torch.tensor(LUMINANCE_WEIGHTS, dtype=color.dtype, device=color.device)
