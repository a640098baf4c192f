"""The parts of a microfacet reflection: GGX distribution, Smith masking, Fresnel's equations."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def ggx_reflection(middle: Tensor, view: Tensor, light: Tensor, roughness: Tensor) -> Tensor:
    """D · G / (4 n·v) with α = roughness²: the GGX reflection less its Fresnel factor, cosine to the light included."""
    squared = roughness**4
    middle = middle.clamp(0, 1) ** 2
    distribution = squared / (math.pi * ((1 - middle) + squared * middle) ** 2)
    masking = 1 / (1 + smith_lambda(view, squared) + smith_lambda(light, squared))
    return distribution * masking / (4 * view)


def smith_lambda(cosine: Tensor, squared_alpha: Tensor) -> Tensor:
    """Smith's Λ of GGX (Heitz 2014, eq. 72) for directions at `cosine` > 0 from the normal; squared_alpha: α²."""
    return 0.5 * (torch.sqrt(1 + squared_alpha * (1 / cosine**2 - 1).clamp_min(0)) - 1)


def dielectric_fresnel(cosine: Tensor, ior: float) -> Tensor:
    """Unpolarised reflectance [*] of a smooth dielectric seen from air at `cosine` [*] ≥ 0; ior ≥ 1."""
    inside = torch.sqrt(ior**2 - 1 + cosine**2)
    first = (inside - cosine) / (inside + cosine)
    second = (cosine * inside + cosine**2 - 1) / (cosine * inside - cosine**2 + 1)
    # second is the ratio of the parallel to the perpendicular amplitude
    return 0.5 * first**2 * (1 + second**2)


def bump_shadowing(smooth: Tensor, normal: Tensor, to_light: Tensor) -> Tensor:
    """Share [*] of diffuse light that is kept where a normal map turns the surface's normal: softens the terminator.

    The facets that the turned normal stands for shade each other as GGX facets of width α² = tan² / 8 of the turn would
    (Conty Estévez et al. 2019); Cycles does so. smooth, normal, to_light [*,3] unit, shapes broadcast. Where light comes
    from behind the smooth surface nothing is kept.
    """
    light, turn = (smooth * to_light).sum(-1), (smooth * normal).sum(-1)
    squared = (0.125 * (1 / turn.clamp(1e-3, 1) ** 2 - 1)).clamp(0, 1)
    kept = 1 / (1 + smith_lambda(light.clamp(1e-6, 1), squared))
    return torch.where(light > 1e-6, kept, torch.zeros_like(kept))
