"""Where a posed hand can be: a coarse grid around it in which the renderer looks, everything else being empty."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..threads import parallel_ranges


class Occupancy(NamedTuple):
    """One cubic grid of D³ cubic cells a hand, in root space. No gradient."""

    cells: Tensor
    """[B,D,D,D] uint8, 1 where occupied; indexed x, y, z."""
    lowest: Tensor
    """[B,3] metres, the grid's corner."""
    cell_size: Tensor
    """[B] metres."""

    def contains(self, points: Tensor, hand: Tensor) -> Tensor:
        """[N] bool: whether root-space points [N,3] of hands [N] lie in an occupied cell."""
        resolution = self.cells.shape[1]
        cell = torch.floor((points - self.lowest[hand]) / self.cell_size[hand, None]).long()
        inside = ((cell >= 0) & (cell < resolution)).all(1)
        x, y, z = cell.clamp(0, resolution - 1).unbind(1)
        return inside & (self.cells[hand, x, y, z] != 0)


def occupancy_grid(vertices: Tensor, band_m: float = 0.015, resolution: int = 64) -> Occupancy:
    """Cells that come nearer than the band to a vertex of the posed hand; a cell is never left out for its corner's sake.

    vertices [B,V,3] metres, root space, dense enough that the surface between them is far nearer than the band. The grid fits
    each hand, so that no pose leaves it. Source: PALM's code uses the fixed cube ±0.15 m and tests one random point a cell.
    """
    from ..warp_start import launch, load_kernels, wp
    from .volume_kernels import splat_vertices

    points = vertices.detach().float().contiguous()
    hands, count = points.shape[:2]
    low, high = points.amin(1) - band_m, points.amax(1) + band_m
    # a hair wider, so that rounding cannot push the outermost vertex's band out of the grid
    cell_size = ((high - low).amax(1) * (1 + 1e-5) / resolution).contiguous()
    lowest = ((low + high) / 2 - cell_size[:, None] * (resolution / 2)).contiguous()
    cells = torch.zeros(hands, resolution, resolution, resolution, dtype=torch.uint8, device=points.device)
    arrays = [
        wp.from_torch(points, dtype=wp.vec3),
        wp.from_torch(lowest, dtype=wp.vec3),
        wp.from_torch(cell_size),
        band_m,
        wp.from_torch(cells),
    ]
    load_kernels(splat_vertices, points.device)
    if points.device.type == "cpu":
        parallel_ranges(
            hands, lambda a, b: launch(splat_vertices, (b - a, count), [a, *arrays], points.device), minimum=1
        )
    else:
        launch(splat_vertices, (hands, count), [0, *arrays], points.device)
    return Occupancy(cells, lowest, cell_size)
