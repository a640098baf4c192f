"""The hash grid in plain torch: any dtype, every derivative by autograd. What the kernels are tested and timed against."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from .config import GridLevel, HashGridConfig

HASH_PRIMES = (1, 2654435761, 805459861)


def vertex_entries(cells: Tensor, level: GridLevel) -> Tensor:
    """Entry of each grid vertex within its level: [*,3] int64 → [*] int64 in [0, entries).

    Dense where the level has an entry per vertex, otherwise x ⊕ y·2654435761 ⊕ z·805459861 in uint32; then modulo entries.
    """
    x, y, z = (cells & 0xFFFFFFFF).unbind(-1)
    hashed = x ^ (y * HASH_PRIMES[1]) ^ (z * HASH_PRIMES[2])
    dense = x + y * level.resolution + z * level.resolution**2
    return ((hashed if level.hashed else dense) & 0xFFFFFFFF) % level.entries


def hash_encode_reference(
    points: Tensor, table: Tensor, config: HashGridConfig, level_weights: Tensor | None = None
) -> Tensor:
    """Features of points (Müller et al. 2022, §3): trilinear interpolation on every level.

    points [N,3] in [0,1]; table [parameter_count]; level_weights [levels]. Returns [N, 2·levels], level by level.
    """
    entries = table.reshape(config.entry_count, config.features_per_level)
    features = []
    for number, level in enumerate(config.level_table):
        position = points * level.scale + 0.5
        cell = position.detach().floor()
        fraction = position - cell
        total = torch.zeros(len(points), config.features_per_level, dtype=table.dtype, device=table.device)
        for corner in itertools.product((0, 1), repeat=3):
            step = torch.tensor(corner, dtype=torch.int64, device=points.device)
            weight = torch.where(step == 1, fraction, 1 - fraction).prod(-1, keepdim=True)
            total = total + weight * entries[level.offset + vertex_entries(cell.long() + step, level)]
        features.append(total if level_weights is None else total * level_weights[number])
    return torch.cat(features, dim=1)


def hash_jacobian_reference(
    points: Tensor, table: Tensor, config: HashGridConfig, level_weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Features [N, 2·levels] and their derivative by the points [N, 2·levels, 3], by autograd and differentiable again."""
    points = points if points.requires_grad else points.detach().requires_grad_()
    with torch.enable_grad():
        features = hash_encode_reference(points, table, config, level_weights)
        rows = [
            torch.autograd.grad(features[:, column].sum(), points, create_graph=True)[0]
            for column in range(features.shape[1])
        ]
    return features, torch.stack(rows, dim=1)
