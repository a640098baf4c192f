"""Spherical Gaussians: G(d) = amplitude · exp(sharpness · (d·axis − 1)) (Wang et al. 2009)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize


class SphericalGaussians(NamedTuple):
    """A mixture of K lobes."""

    axes: Tensor
    """[K,3] any length."""
    sharpness: Tensor
    """[K] > 0."""
    amplitudes: Tensor
    """[K,C] ≥ 0."""


def evaluate(lobes: SphericalGaussians, directions: Tensor) -> Tensor:
    """Sum of the lobes along unit directions [*,3] → [*,C]."""
    cosine = directions @ normalize(lobes.axes, dim=-1).T
    return torch.exp(lobes.sharpness * (cosine - 1)) @ lobes.amplitudes


def integral(lobes: SphericalGaussians) -> Tensor:
    """[K,C] integral of each lobe over the sphere: 2 pi amplitude (1 − exp(−2 sharpness)) / sharpness."""
    shape = 2 * math.pi * -torch.expm1(-2 * lobes.sharpness) / lobes.sharpness
    return lobes.amplitudes * shape[:, None]


def product_integral(lobes: SphericalGaussians, axis: Tensor, sharpness: Tensor) -> Tensor:
    """Integral over the sphere of the mixture times another lobe of amplitude 1: [*,C].

    axis [*,3] unit, sharpness [*] or (). The product of two lobes is a lobe around λ1 a1 + λ2 a2; its length enters as
    exp(length − λ1 − λ2), written so that large sharpness does not overflow.
    """
    own = normalize(lobes.axes, dim=-1) * lobes.sharpness[:, None]
    combined = own + (axis * torch.as_tensor(sharpness)[..., None])[..., None, :]
    length = combined.norm(dim=-1).clamp_min(1e-8)
    total = lobes.sharpness + torch.as_tensor(sharpness)[..., None]
    value = 2 * math.pi * torch.exp(length - total) * -torch.expm1(-2 * length) / length
    return value @ lobes.amplitudes
