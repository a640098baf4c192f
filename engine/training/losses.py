"""The terms of PALM-Net's energy (PALM, supplement, eqs. 1-3 and table 1) as pure functions.

Ray terms return one value a ray and are averaged by `weighted_sum` with weights that the caller derives from the whole
batch, so that a batch that is spread over processes gives the sum that one process would give.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..randomness import Randomness, uniform

OPACITY_MARGIN = 1e-3
"""Opacity is kept this far from 0 and 1 in the mask term."""


def rgb_l1(prediction_srgb: Tensor, target_srgb: Tensor) -> Tensor:
    """Mean absolute difference over channels: [R,3], [R,3] → [R]."""
    return (prediction_srgb - target_srgb).abs().mean(-1)


def mask_cross_entropy(opacity: Tensor, inside: Tensor) -> Tensor:
    """Binary cross entropy of opacity [R] in [0,1] against a mask [R] of 0 and 1 → [R]."""
    kept = opacity.clamp(OPACITY_MARGIN, 1 - OPACITY_MARGIN)
    return -(inside * torch.log(kept) + (1 - inside) * torch.log1p(-kept))


def normal_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Sum over axes of |n − n̂|: accumulated normals [R,3] of any length, unit targets [R,3] → [R]; 0 where a target is NaN.

    The published code normalises vectors that are still encoded to [0,1]; here the normals themselves are compared.
    """
    known = torch.isfinite(target).all(-1)
    difference = (normalize(prediction, dim=-1, eps=1e-6) - torch.nan_to_num(target)).abs().sum(-1)
    return torch.where(known, difference, torch.zeros_like(difference))


def eikonal(gradient: Tensor) -> Tensor:
    """(|∇s| − 1)² of SDF gradients [N,3] → [N] (Gropp et al. 2020)."""
    return (gradient.norm(dim=-1) - 1) ** 2


def curvature(normals: Tensor, shifted_normals: Tensor) -> Tensor:
    """acos(n · n′) / π of unit normals [N,3] and those a hair along the tangent → [N] in [0,1].

    As published code has it; the paper prints (n · n′ − 1)², whose gradient vanishes where surfaces are nearly smooth.
    """
    cosine = (normals * shifted_normals).sum(-1)
    return torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6)) / torch.pi


def tangent_shift(normals: Tensor, source: Randomness, length: float = 1e-5) -> Tensor:
    """A step of `length` metres along a random tangent of unit normals [N,3] → [N,3], no gradient."""
    random = uniform(source, *normals.shape).to(normals)
    tangent = torch.linalg.cross(normals.detach(), random, dim=-1)
    return length * normalize(tangent, dim=-1, eps=1e-9)


def latent_energy(codes: Tensor) -> Tensor:
    """Squared length of codes [B,C] → [B]."""
    return (codes**2).sum(-1)


def weighted_sum(values: Tensor, weights: Tensor) -> Tensor:
    """Σ values · weights over rays [R] → ()."""
    return (values * weights).sum()


def sdf_regression(prediction: Tensor, target: Tensor, limit_m: float = 0.02) -> Tensor:
    """Squared difference of signed distances [N] m, at most limit² → [N] (published code; times 1e4 in the energy)."""
    return ((prediction - target) ** 2).clamp_max(limit_m**2)
