"""Repeatable band-limited noise in space: textures made from it have no seams, whatever the UV charts."""

from __future__ import annotations

import torch
from torch import Tensor


def _lattice_hash(cells: Tensor, seed: int) -> Tensor:
    """Integer lattice points [*,3] → pseudo-random numbers in [-1, 1), the same on every device."""
    x, y, z = cells.unbind(-1)
    value = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791) ^ (seed * 2654435761 & 0x7FFFFFFF)
    value = (value ^ (value >> 13)) * 1274126177 & 0x7FFFFFFF
    value = (value ^ (value >> 16)) * 668265263 & 0x7FFFFFFF
    value = value ^ (value >> 15)
    return (value & 0xFFFFFF).to(torch.float32) / 0x800000 - 1.0


def value_noise(points: Tensor, wavelength: float, seed: int) -> Tensor:
    """Smooth noise [N] of unit variance and about the given wavelength. points [N,3] and wavelength in metres."""
    scaled = points / wavelength
    cell = torch.floor(scaled)
    fraction = scaled - cell
    fade = fraction * fraction * fraction * (fraction * (fraction * 6 - 15) + 10)
    cell = cell.long()
    total = torch.zeros_like(points[:, 0])
    for corner in range(8):
        step = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1], device=points.device)
        weight = torch.where(step.bool(), fade, 1 - fade).prod(1)
        total = total + weight * _lattice_hash(cell + step, seed).to(points)
    # Uniform lattice values of variance 1/3; the trilinear blend keeps about 0.38 of it on average over a cell.
    return total / (0.384 * (1 / 3)) ** 0.5 / 1.2


def octaves(points: Tensor, wavelengths: tuple[float, ...], amplitudes: tuple[float, ...], seed: int) -> Tensor:
    """Sum of noises [N] of several wavelengths (metres), each with its standard deviation."""
    total = torch.zeros_like(points[:, 0])
    for index, (wavelength, amplitude) in enumerate(zip(wavelengths, amplitudes, strict=True)):
        total = total + amplitude * value_noise(points, wavelength, seed + 7919 * index)
    return total


def cell_ridges(points: Tensor, spacing: float, seed: int) -> Tensor:
    """Skin-like relief [N] in [0,1]: 0 in the furrows between cells, 1 on the plateaus (second minus first nearest
    feature point of a jittered lattice, Worley 1996). points [N,3] and spacing in metres."""
    scaled = points / spacing
    cell = torch.floor(scaled).long()
    first = torch.full_like(points[:, 0], 9.0)
    second = first.clone()
    for index in range(27):
        step = torch.tensor([index % 3 - 1, index // 3 % 3 - 1, index // 9 - 1], device=points.device)
        neighbour = cell + step
        jitter = torch.stack([_lattice_hash(neighbour, seed + 101 * axis) for axis in range(3)], dim=1).to(points)
        distance = (neighbour.to(points) + 0.5 + 0.4 * jitter - scaled).norm(dim=1)
        second = torch.minimum(second, torch.maximum(first, distance))
        first = torch.minimum(first, distance)
    return ((second - first) / 0.35).clamp(0, 1)
