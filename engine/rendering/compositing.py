"""Emission and absorption along packed rays: every ray owns a run of intervals, sorted from near to far, without padding."""

from __future__ import annotations

import torch
from torch import Tensor


def ray_starts(ray: Tensor, ray_count: int) -> Tensor:
    """[R+1] int64: the rows of ray r are starts[r] … starts[r+1] − 1. ray [M] int64, sorted."""
    return torch.searchsorted(ray, torch.arange(ray_count + 1, device=ray.device))


def transmittance(optical_depth: Tensor, ray: Tensor) -> Tensor:
    """Share of light that reaches each interval's near end, [M] in [0,1]: exp(−Σ of the ray's nearer optical depths).

    optical_depth [M] ≥ 0, density times length; ray [M] int64, sorted. Differentiable. (Max 1995, eq. 4.)
    """
    if not len(ray):
        return optical_depth
    # One running sum over all rays: in double precision, as late rays would lose their digits to the sum of the early ones.
    total = torch.cumsum(optical_depth.double(), dim=0)
    nearer = total - optical_depth.double()
    changes = torch.ones_like(ray, dtype=torch.bool)
    changes[1:] = ray[1:] != ray[:-1]
    first = torch.nonzero(changes)[:, 0]
    run = torch.cumsum(changes, dim=0) - 1
    return torch.exp(nearer[first][run] - nearer).to(optical_depth.dtype)


def rendering_weights(optical_depth: Tensor, ray: Tensor) -> Tensor:
    """Share of each interval in its ray's colour, [M] ≥ 0: T (1 − exp(−optical depth)); a ray's weights sum to its opacity.

    optical_depth [M] ≥ 0; ray [M] int64, sorted. Differentiable.
    """
    return transmittance(optical_depth, ray) * -torch.expm1(-optical_depth)


def accumulate(weights: Tensor, values: Tensor | None, ray: Tensor, ray_count: int) -> Tensor:
    """Σ weights · values of each ray: [R,C] for values [M,C]; [R] for values [M] or None (the sum of the weights)."""
    shares = weights if values is None or values.dim() == 1 else weights[:, None]
    weighted = shares if values is None else shares * values
    return weighted.new_zeros(ray_count, *weighted.shape[1:]).index_add(0, ray, weighted)
