"""Albedo of rough surfaces by angle and roughness, worked out once a process by sampling visible facets.

Cycles carries such tables in its binary; these are computed here (a fraction of a second) from the same definition.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from .microfacet import dielectric_fresnel, smith_lambda

SIZE = 32
"""Entries per axis, evenly spaced in roughness and in the cosine from 0 to 1."""

SAMPLES = 32
"""Squared: facets per entry."""


@functools.cache
def _facets() -> tuple[Tensor, Tensor, Tensor]:
    """Of every entry and facet: share of light that passes both maskings [S,S,n], facet's cosine [S,S,n], roughness."""
    axis = torch.linspace(0, 1, SIZE, dtype=torch.float64)
    alpha = axis.clamp_min(0.01)[:, None, None] ** 2
    view_z = axis.clamp_min(1e-4)[None, :, None]
    view_x = torch.sqrt(1 - view_z**2)
    cells = (torch.arange(SAMPLES, dtype=torch.float64) + 0.5) / SAMPLES
    u, v = (grid.reshape(-1) for grid in torch.meshgrid(cells, cells, indexing="ij"))
    # Heitz 2018: visible normals are even on a disc seen from the stretched view direction
    stretched = torch.stack(torch.broadcast_tensors(alpha * view_x, view_z), -1)
    stretched = stretched / stretched.norm(dim=-1, keepdim=True)
    along, up = stretched[..., 0], stretched[..., 1]
    radius, angle = torch.sqrt(u), 2 * math.pi * v
    t1 = radius * torch.cos(angle)
    t2 = radius * torch.sin(angle)
    lean = (1 + up) / 2
    t2 = (1 - lean) * torch.sqrt((1 - t1**2).clamp_min(0)) + lean * t2
    t3 = torch.sqrt((1 - t1**2 - t2**2).clamp_min(0))
    # frame of the stretched view (along, 0, up): first axis y, second (−up, 0, along)
    facet_x = alpha * (-up * t2 + along * t3)
    facet_y = alpha * t1
    facet_z = (along * t2 + up * t3).clamp_min(0)
    length = torch.sqrt(facet_x**2 + facet_y**2 + facet_z**2)
    facet_x, facet_z = facet_x / length, facet_z / length
    cosine = facet_x * view_x + facet_z * view_z
    light_z = 2 * cosine * facet_z - view_z
    view_lambda = smith_lambda(view_z, alpha**2)
    passed = (1 + view_lambda) / (1 + view_lambda + smith_lambda(light_z.clamp_min(1e-9), alpha**2))
    return torch.where(light_z > 0, passed, torch.zeros_like(passed)), cosine.clamp(0, 1), axis


@functools.cache
def ggx_albedo() -> Tensor:
    """[SIZE roughness, SIZE cosine] float64: directional albedo of a GGX mirror after one reflection (Fresnel 1)."""
    passed, _, _ = _facets()
    return passed.mean(-1)


@functools.cache
def ggx_mean_albedo() -> Tensor:
    """[SIZE roughness] float64: `ggx_albedo` averaged over the hemisphere by the cosine."""
    albedo = ggx_albedo()
    axis = torch.linspace(0, 1, SIZE, dtype=torch.float64)
    return torch.trapezoid(2 * axis * albedo, axis, dim=1) / torch.trapezoid(2 * axis, axis)


@functools.cache
def coat_albedo(ior: float) -> Tensor:
    """[SIZE roughness, SIZE cosine] float64: the same of a rough dielectric of this IOR."""
    passed, cosine, _ = _facets()
    return (passed * dielectric_fresnel(cosine, ior)).mean(-1)


@functools.cache
def coat_mean_fresnel(ior: float) -> float:
    """Reflectance of a smooth dielectric averaged over the hemisphere by the cosine."""
    cosine = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096
    return float((2 * cosine * dielectric_fresnel(cosine, ior)).mean())


def lookup(table: Tensor, roughness: Tensor, cosine: Tensor | None = None) -> Tensor:
    """Linear interpolation of a table [SIZE] at roughness [*], or [SIZE,SIZE] at roughness and cosine [*], in [0,1].

    Carries gradients to roughness and cosine.
    """
    table = table.to(roughness)
    if cosine is None:
        low, share = _position(roughness)
        return table[low] * (1 - share) + table[low + 1] * share
    roughness, cosine = torch.broadcast_tensors(roughness, cosine)
    (row, down), (column, along) = _position(roughness), _position(cosine)
    near = table[row, column] * (1 - along) + table[row, column + 1] * along
    far = table[row + 1, column] * (1 - along) + table[row + 1, column + 1] * along
    return near * (1 - down) + far * down


def _position(value: Tensor) -> tuple[Tensor, Tensor]:
    scaled = value.clamp(0, 1) * (SIZE - 1)
    low = scaled.detach().long().clamp_max(SIZE - 2)
    return low, scaled - low
