"""Directions from pairs of numbers: evenly over the sphere, by the cosine over a hemisphere, stratified."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..randomness import Randomness, uniform

PLASTIC_STEPS = (0.7548776662466927, 0.5698402909980532)
"""Steps of the R2 sequence, the inverse powers of the plastic number (Roberts 2018)."""


def sphere_directions(u: Tensor) -> Tensor:
    """Unit directions [*,3], even over the sphere (density 1 / 4π), from u [*,2] in [0,1]: azimuth 2π u₀, z = 2 u₁ − 1."""
    z = 2 * u[..., 1] - 1
    return _from_height(z, 2 * math.pi * u[..., 0])


def hemisphere_directions(u: Tensor) -> Tensor:
    """Unit directions [*,3] about +z with density cos θ / π, from u [*,2] in [0,1]: azimuth 2π u₀, z = √u₁."""
    return _from_height(torch.sqrt(u[..., 1].clamp_min(0)), 2 * math.pi * u[..., 0])


def _from_height(z: Tensor, azimuth: Tensor) -> Tensor:
    radius = torch.sqrt((1 - z * z).clamp_min(0))
    return torch.stack([radius * torch.cos(azimuth), radius * torch.sin(azimuth), z], dim=-1)


def fibonacci_sphere(count: int, like: Tensor) -> Tensor:
    """[count,3] unit directions spread evenly over the sphere on a Fibonacci spiral, in the dtype of `like`."""
    index = torch.arange(count, device=like.device).to(like) + 0.5
    azimuth = math.pi * (1 + math.sqrt(5)) * index
    return _from_height(1 - 2 * index / count, azimuth)


def about(axis: Tensor, local: Tensor) -> Tensor:
    """Directions given about +z, turned to lie about unit axes: axis [*,3], local [*,3] → [*,3].

    The frame is Duff et al.'s (2017), continuous but at the equator's sign change.
    """
    x, y, z = axis.unbind(-1)
    sign = torch.where(z < 0, -1.0, 1.0).to(axis)
    a = -1 / (sign + z)
    b = x * y * a
    first = torch.stack([1 + sign * x * x * a, sign * b, -sign * x], dim=-1)
    second = torch.stack([b, sign + y * y * a, -y], dim=-1)
    return local[..., 0:1] * first + local[..., 1:2] * second + local[..., 2:3] * axis


def strata(
    rays: int,
    rows: int = 16,
    columns: int = 32,
    generator: Randomness | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """[rays, rows · columns, 2] in [0,1]: one point in each cell of a grid of columns (u₀) by rows (u₁).

    With a generator the points are jittered within their cells and shuffled, each ray for itself; without, they are the
    cells' centres, row by row.
    """
    count = rows * columns
    index = torch.arange(count, device=device).expand(rays, count)
    jitter: Tensor | float = 0.5
    if generator is not None:
        order = uniform(generator, rays, count).to(device).argsort(1)
        index = index.gather(1, order)
        jitter = uniform(generator, rays, count, 2).to(device, dtype)
    row = torch.div(index, columns, rounding_mode="floor")
    cell = torch.stack([index % columns, row], dim=-1).to(dtype)
    return (cell + jitter) / torch.tensor([columns, rows], device=device, dtype=dtype)


def stratified_sphere(
    rays: int,
    rows: int = 16,
    columns: int = 32,
    generator: Randomness | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """[rays, rows · columns, 3] unit directions, one in each of rows × columns strata of equal solid angle.

    Density 1 / 4π. Jittered and shuffled per ray with a generator (PALM: 16 × 32, z = 2v − 1, azimuth 2πu).
    """
    return sphere_directions(strata(rays, rows, columns, generator, device, dtype))


def stratified_hemisphere(
    normals: Tensor, rows: int = 16, columns: int = 32, generator: torch.Generator | None = None
) -> Tensor:
    """[P, rows · columns, 3] directions about unit normals [P,3] with density cos θ / π, stratified likewise."""
    points = strata(len(normals), rows, columns, generator, normals.device, normals.dtype)
    return about(normals[:, None], hemisphere_directions(points))


def shifted_sequence(shifts: Tensor, count: int, first: int = 0) -> Tensor:
    """[P, count, 2] in [0,1): entries first … first + count − 1 of a low-discrepancy sequence, shifted for each point.

    shifts [P,2] in [0,1); where they are random each entry is even over the square.
    """
    steps = torch.tensor(PLASTIC_STEPS, dtype=torch.float64)
    base = (0.5 + torch.arange(first + 1, first + count + 1, dtype=torch.float64)[:, None] * steps) % 1
    return ((base.to(shifts) + shifts[:, None]) % 1).clamp_max(1 - 1e-6)
