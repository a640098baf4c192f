"""Second-order real spherical harmonics: radiance in, irradiance out (Ramamoorthi & Hanrahan 2001)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

COSINE_LOBE = (math.pi, 2 * math.pi / 3, math.pi / 4)
"""Factors of bands 0, 1, 2 that turn radiance into irradiance (eq. 8)."""


def sh_basis(directions: Tensor) -> Tensor:
    """Orthonormal basis up to band 2: unit directions [*,3] → [*,9], order (l,m) = 00, 1-1, 10, 11, 2-2, 2-1, 20, 21, 22."""
    x, y, z = directions.unbind(-1)
    c0, c1, c2 = math.sqrt(1 / (4 * math.pi)), math.sqrt(3 / (4 * math.pi)), math.sqrt(15 / (4 * math.pi))
    return torch.stack(
        [
            torch.full_like(x, c0),
            c1 * y,
            c1 * z,
            c1 * x,
            c2 * x * y,
            c2 * y * z,
            c2 * (3 * z**2 - 1) / (2 * math.sqrt(3)),
            c2 * x * z,
            c2 * (x**2 - y**2) / 2,
        ],
        dim=-1,
    )


def _per_coefficient(bands: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor([bands[0]] + [bands[1]] * 3 + [bands[2]] * 5, dtype=like.dtype, device=like.device)


def project_radiance(radiance: Tensor, directions: Tensor, solid_angles: Tensor) -> Tensor:
    """Coefficients [9,C] of radiance [N,C] sampled at unit directions [N,3] with solid angles [N] sr."""
    return sh_basis(directions).T @ (radiance * solid_angles[:, None])


def sh_radiance(coefficients: Tensor, directions: Tensor) -> Tensor:
    """Radiance [*,C] of coefficients [9,C] along unit directions [*,3]."""
    return sh_basis(directions) @ coefficients


def sh_irradiance(coefficients: Tensor, normals: Tensor) -> Tensor:
    """Irradiance [*,C] on surfaces of unit normals [*,3] under radiance with coefficients [9,C]."""
    return sh_basis(normals) @ (coefficients * _per_coefficient(COSINE_LOBE, coefficients)[:, None])


def radiance_from_irradiance(coefficients: Tensor) -> Tensor:
    """Radiance coefficients [9,C] whose irradiance has the given coefficients [9,C]."""
    return coefficients / _per_coefficient(COSINE_LOBE, coefficients)[:, None]
