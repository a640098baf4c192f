"""Reflection of light by skin: the PALM paper's own model, and what Blender's Principled shader renders.

Both return a diffuse and a specular factor with the cosine towards the light included, so that radiance towards the camera
is Σ L_i ((1 − metallic) · albedo · diffuse + specular) / density over light directions (see `outgoing`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .microfacet import dielectric_fresnel, ggx_reflection
from .microfacet_tables import coat_albedo, coat_mean_fresnel, ggx_albedo, ggx_mean_albedo, lookup

SKIN_IOR = 1.4
"""Of the avatar's material in Blender."""

SMALLEST_ROUGHNESS = 0.02
"""`principled_brdf` takes smoother surfaces as this smooth: their highlights are points that light sampling would miss."""

_GRAZING = 1e-6


class Reflection(NamedTuple):
    """Reflected share of light from one direction towards another, the light's cosine included, 1/sr."""

    diffuse: Tensor
    """[*] to be multiplied with (1 − metallic) · albedo."""
    specular: Tensor
    """[*,3]"""


Brdf = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Reflection]


def outgoing(reflection: Reflection, albedo: Tensor, metallic: Tensor) -> Tensor:
    """[*,3] the whole reflected share: (1 − metallic) · albedo · diffuse + specular. albedo [*,3], metallic [*]."""
    return ((1 - metallic) * reflection.diffuse)[..., None] * albedo + reflection.specular


def palm_brdf(
    normal: Tensor, to_camera: Tensor, to_light: Tensor, albedo: Tensor, roughness: Tensor, metallic: Tensor
) -> Reflection:
    """Lambert and a Cook–Torrance lobe whose GGX width is the roughness itself, not its square (PALM's published code).

    normal, to_camera, to_light [*,3] unit; albedo [*,3] linear; roughness, metallic [*] in [0,1]; shapes broadcast.
    Specular is 0 where the light or the camera is not above the surface.
    """
    view, light = (normal * to_camera).sum(-1), (normal * to_light).sum(-1)
    half = normalize(to_camera + to_light, dim=-1, eps=1e-12)
    squared = roughness * roughness
    across = ((normal * half).sum(-1) ** 2 * (squared - 1) + 1) ** 2
    distribution = squared / (math.pi * across + 1e-6)
    k = (roughness + 1) ** 2 / 8
    masking = _schlick_masking(view, k) * _schlick_masking(light, k)
    facing = (to_camera * half).sum(-1).abs()
    base = 0.04 * (1 - metallic)[..., None] + albedo * metallic[..., None]
    fresnel = base + (1 - base) * torch.exp2((-5.55473 * facing - 6.98316) * facing)[..., None]
    lobe = distribution * masking / (4 * view.clamp_min(0) + 1e-6)
    lobe = torch.where((view > _GRAZING) & (light > _GRAZING), lobe, torch.zeros_like(lobe))
    return Reflection(light.clamp_min(0) / math.pi, lobe[..., None] * fresnel)


def _schlick_masking(cosine: Tensor, k: Tensor) -> Tensor:
    cosine = cosine.clamp_min(0)
    return cosine / (cosine * (1 - k) + k + 1e-6)


def principled_brdf(
    normal: Tensor,
    to_camera: Tensor,
    to_light: Tensor,
    albedo: Tensor,
    roughness: Tensor,
    metallic: Tensor,
    ior: float = SKIN_IOR,
) -> Reflection:
    """Blender 4's Principled shader with base colour, roughness and metallic, all else at its default but the IOR.

    A GGX coat (width roughness², height-correlated Smith masking, exact dielectric Fresnel) over Lambert. As Cycles does:
    the light that a single reflection between facets loses is put back, scaled by the mean Fresnel reflectance
    (Kulla & Conty 2017), and what the coat reflects towards the camera is taken off the diffuse base (albedo scaling).
    Metals: Schlick's Fresnel with the albedo at normal incidence. Arguments as for `palm_brdf`; ior > 1.
    """
    view, light = (normal * to_camera).sum(-1), (normal * to_light).sum(-1)
    rough = roughness.clamp(SMALLEST_ROUGHNESS, 1)
    seen = view.clamp(_GRAZING, 1)
    single = lookup(ggx_albedo(), rough, seen)
    missing = (1 - single) / single
    mean = lookup(ggx_mean_albedo(), rough)
    coat_compensation = 1 + _multiple_scattering(coat_mean_fresnel(ior), mean) * missing
    coat = (lookup(coat_albedo(ior), rough, seen) * coat_compensation).clamp(0, 1)
    half = normalize(to_camera + to_light, dim=-1, eps=1e-12)
    lobe = ggx_reflection((normal * half).sum(-1), seen, light.clamp_min(_GRAZING), rough)
    lobe = torch.where((view > _GRAZING) & (light > _GRAZING), lobe, torch.zeros_like(lobe))
    facing = (to_camera * half).sum(-1).clamp(_GRAZING, 1)
    specular = (1 - metallic)[..., None] * (dielectric_fresnel(facing, ior) * coat_compensation)[..., None]
    # Avatars are skin: the metal is worked out only where there is some.
    if bool((metallic > 0).any()):
        mean_metal = albedo + (1 - albedo) / 21
        metal_compensation = 1 + _multiple_scattering(mean_metal, mean[..., None]) * missing[..., None]
        metal = albedo + (1 - albedo) * ((1 - facing) ** 5)[..., None]
        specular = specular + metallic[..., None] * metal * metal_compensation
    return Reflection((1 - coat) * light.clamp_min(0) / math.pi, (lobe[..., None] * specular).expand(*lobe.shape, 3))


def _multiple_scattering(fresnel: Tensor | float, mean_albedo: Tensor) -> Tensor:
    """Kulla & Conty's factor of the light that leaves after two reflections or more, one Fresnel factor taken out."""
    return fresnel * mean_albedo / (1 - fresnel * (1 - mean_albedo))


BRDFS: dict[str, Brdf] = {"palm": palm_brdf, "principled": principled_brdf}
"""By the name that configurations carry."""
