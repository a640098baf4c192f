"""The parts of a microfacet reflection: GGX distribution, Smith masking, Fresnel's equations."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize


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


def sample_reflection(normal: Tensor, to_camera: Tensor, alpha: Tensor, u: Tensor) -> Tensor:
    """Unit light directions [P,L,3] as facets that the camera sees mirror them (Dupuy & Benyoub 2023).

    normal, to_camera [P,3] unit; alpha [P] GGX width > 0; u [P,L,2] in [0,1). Density: `reflection_density`. Some directions
    lie below the surface.
    """
    view, along, across, height = (part[:, None] for part in _view_frame(normal, to_camera))
    alpha = alpha[:, None, None]
    side = torch.sqrt((1 - height**2).clamp_min(0))
    stretched = torch.sqrt((alpha * side) ** 2 + height**2)
    lean_x, lean_z = alpha * side / stretched, height / stretched
    z = (1 - u[..., 1:]) * (1 + lean_z) - lean_z
    radius, azimuth = torch.sqrt((1 - z**2).clamp_min(0)), 2 * math.pi * u[..., :1]
    facet_x = alpha * (radius * torch.cos(azimuth) + lean_x)
    facet_y = alpha * radius * torch.sin(azimuth)
    facet_z = (z + lean_z).clamp_min(1e-9)
    facet = normalize(facet_x * along + facet_y * across + facet_z * normal[:, None], dim=-1)
    return 2 * (facet * view).sum(-1, keepdim=True) * facet - view


def reflection_density(normal: Tensor, to_camera: Tensor, to_light: Tensor, alpha: Tensor) -> Tensor:
    """Density [P,L] 1/sr with which `sample_reflection` draws directions to_light [P,L,3]."""
    view, _, _, height = _view_frame(normal, to_camera)
    half = normalize(view[:, None] + to_light, dim=-1, eps=1e-12)
    middle = (half * normal[:, None]).sum(-1)
    squared = (alpha**2)[:, None]
    distribution = squared / (math.pi * (1 - middle**2 * (1 - squared)) ** 2)
    density = distribution / (1 + smith_lambda(height, squared)) / (4 * height)
    return torch.where(middle > 0, density, torch.zeros_like(density))


def _view_frame(normal: Tensor, to_camera: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The view [P,3], lifted above the surface where it is not, two tangents [P,3], the first along it, and its cosine [P,1]."""
    cosine = (normal * to_camera).sum(-1, keepdim=True)
    flat = to_camera - cosine * normal
    length = flat.norm(dim=-1, keepdim=True)
    # straight from above any tangent will do: one across the axis that the normal is farthest from
    helper = torch.nn.functional.one_hot(normal.abs().argmin(-1), 3).to(normal)
    other = normalize(torch.linalg.cross(normal, helper), dim=-1)
    along = torch.where(length > 1e-4, flat / length.clamp_min(1e-9), other)
    height = cosine.clamp(1e-3, 1)
    view = torch.sqrt((1 - height**2).clamp_min(0)) * along + height * normal
    return view, along, torch.linalg.cross(normal, along), height
