"""Light reflected by surfaces whose angles to camera and lights never change: PALM's reflectance, rearranged for that.

Of `engine.lighting.brdf.palm_brdf` only the GGX lobe depends on the roughness, and colour enters linearly: with f the Fresnel
weight of a direction and F0 the skin's own reflectance, F = F0 (1 − f) + f. So a point's colour is three sums over directions,
and as the light from afar is the same for all points but for what blocks it, these are matrix products. Light from other skin
differs from point to point, but few directions have it: it is summed over those alone.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from ..fields.material import Materials


class FarAngles(NamedTuple):
    """P × K points and the D directions of light from afar."""

    view: Tensor
    """[P,K] normal · camera, ≥ 0."""
    cosine: Tensor
    """[P,K,D] normal · direction, ≥ 0."""
    half_squared: Tensor
    """[P,K,D] (normal · half vector)²."""
    received: Tensor
    """[P,K,D] the cosine times the share of light that is not blocked."""
    fresnel: Tensor
    """[P,1,D] Fresnel weight."""


class NearAngles(NamedTuple):
    """The H pairs of ray and direction in which other skin is seen."""

    ray: Tensor
    """[H] int64 of the P rays."""
    cosine: Tensor
    """[H,K]."""
    half_squared: Tensor
    """[H,K]."""
    fresnel: Tensor
    """[H]."""


class Reflected(NamedTuple):
    """Sums over directions at P × K points, [P,K,3] each."""

    diffuse: Tensor
    """Irradiance / π: times (1 − metallic) albedo."""
    colored: Tensor
    """Specular: times the reflectance at normal incidence."""
    white: Tensor
    """Specular as it is."""


def far_angles(normals: Tensor, to_camera: Tensor, directions: Tensor, visibility: Tensor) -> FarAngles:
    """normals [P,K,3], to_camera [P,3], directions [D,3], all unit; visibility [P,D] in [0,1]."""
    half = normalize(to_camera[:, None] + directions, dim=-1, eps=1e-12)
    facing = (half @ to_camera[..., None])[..., 0].abs()
    cosine = (normals @ directions.T).clamp_min(0)
    return FarAngles(
        (normals * to_camera[:, None]).sum(-1).clamp_min(0),
        cosine,
        (normals @ half.transpose(1, 2)).square(),
        cosine * visibility[:, None],
        fresnel_weight(facing)[:, None],
    )


def near_angles(far: FarAngles, pair: Tensor) -> NearAngles:
    """Of some of the same pairs of ray and direction: pair [H] int64 ray · D + direction."""
    count = far.cosine.shape[2]
    ray, direction = pair // count, pair % count
    return NearAngles(
        ray,
        far.cosine[ray, :, direction],
        far.half_squared[ray, :, direction],
        far.fresnel[ray, 0, direction],
    )


def fresnel_weight(facing: Tensor) -> Tensor:
    """[*] Schlick's weight as PALM has it: 2^((−5.55473 c − 6.98316) c), c [*] the cosine of camera and half vector."""
    return torch.exp2((-5.55473 * facing - 6.98316) * facing)


def reflect_far(angles: FarAngles, light: Tensor, roughness: Tensor) -> Reflected:
    """Sums of the light from afar: light [D,3] radiance, roughness [P,K]. Gradients reach both."""
    lobe = _GgxLobe.apply(roughness, angles.view, angles.cosine, angles.half_squared, angles.received)
    white = _ByColor.apply(lobe * angles.fresnel, light)
    specular = _ByColor.apply(lobe, light)
    return Reflected(_ByColor.apply(angles.received, light) / math.pi, specular - white, white)


def reflect_near(angles: NearAngles, view: Tensor, radiance: Tensor, roughness: Tensor) -> Reflected:
    """Sums of the light from other skin: view [P,K], radiance [H,3], roughness [P,K]. Gradients reach the roughness."""
    ray = angles.ray
    lobe = _GgxLobe.apply(roughness[ray], view[ray], angles.cosine, angles.half_squared, angles.cosine)
    plain = radiance * angles.fresnel[:, None]

    def total(share: Tensor, values: Tensor) -> Tensor:
        blank = values.new_zeros(*view.shape, 3)
        return blank.index_add(0, ray, share[..., None] * values[:, None])

    return Reflected(total(angles.cosine, radiance / math.pi), total(lobe, radiance - plain), total(lobe, plain))


def outgoing_light(reflected: Reflected, looks: Materials) -> Tensor:
    """[P,K,3] what leaves points of materials [P,K] towards the camera."""
    metallic = looks.metallic[..., None]
    base = 0.04 * (1 - metallic) + looks.albedo * metallic
    return (1 - metallic) * looks.albedo * reflected.diffuse + base * reflected.colored + reflected.white


class _ByColor(torch.autograd.Function):
    """values [P,K,D] · light [D,3], row by row of the other way round: few columns are what matrix products are slow at."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, light: Tensor) -> Tensor:
        ctx.save_for_backward(values, light)
        return (light.T.contiguous() @ values.flatten(0, 1).T).T.unflatten(0, values.shape[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_sum: Tensor) -> tuple[Tensor | None, Tensor | None]:
        values, light = ctx.saved_tensors
        flat = by_sum.flatten(0, 1)
        by_values = (flat @ light.T).unflatten(0, values.shape[:2]) if ctx.needs_input_grad[0] else None
        by_light = (flat.T.contiguous() @ values.flatten(0, 1)).T if ctx.needs_input_grad[1] else None
        return by_values, by_light


class _GgxLobe(torch.autograd.Function):
    """D G / (4 n·v) times a number, which has the light's cosine; differentiable in the roughness alone.

    roughness, view [*,]; cosine, half_squared, received [*,D], or all of one shape. Written out: as separate operations it would
    keep ten tensors of the result's size for the way back, where these are three.
    """

    @staticmethod
    def forward(
        ctx: Any, roughness: Tensor, view: Tensor, cosine: Tensor, half_squared: Tensor, received: Tensor
    ) -> Tensor:
        if cosine.ndim > roughness.ndim:
            roughness, view = roughness[..., None], view[..., None]
        squared, k = roughness * roughness, (roughness + 1) ** 2 / 8
        across = (half_squared * (squared - 1)).add_(1)
        spread = (across * across).mul_(math.pi).add_(1e-6).reciprocal_()
        hiding = (cosine * (1 - k)).add_(k + 1e-6).reciprocal_()
        seen = view / (view * (1 - k) + k + 1e-6)
        lobe = (received * hiding).mul_(spread).mul_(squared * seen / (4 * view + 1e-6))
        ctx.save_for_backward(roughness, view, cosine, half_squared, lobe, across.mul_(spread), hiding)
        return lobe

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_lobe: Tensor) -> tuple[Tensor | None, ...]:
        roughness, view, cosine, half_squared, lobe, across_by_spread, hiding = ctx.saved_tensors
        # d ln lobe / d roughness: of a² / (π q² + ε), q = (n·h)² (a² − 1) + 1, and of both c / (c (1 − k) + k + ε)
        by_log = by_lobe * lobe
        k = (roughness + 1) ** 2 / 8
        own = (1 - view) / (view * (1 - k) + k + 1e-6)
        narrowing = (by_log * across_by_spread).mul_(half_squared)
        hidden = hiding.sub(hiding * cosine).mul_(by_log)
        if roughness.shape != cosine.shape:
            by_log, narrowing, hidden = (values.sum(-1, keepdim=True) for values in (by_log, narrowing, hidden))
        slope = by_log * (2 / roughness) - narrowing * (4 * math.pi * roughness)
        slope = slope - (hidden + by_log * own) * (roughness + 1) / 4
        if roughness.shape != cosine.shape:
            slope = slope[..., 0]
        return slope, None, None, None, None
