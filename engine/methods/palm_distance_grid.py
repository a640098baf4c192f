"""Signed distances of a frozen hand in its pose, on a grid: for shadow rays, which ask for millions of them.

The fields are asked once a grid point, through the inverse skinning; between grid points distances are nearly linear. Near the
surface, where a tenth of a millimetre decides whether it shadows itself, they are asked for themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool3d

from ..hand.deformer import Canonical
from ..rendering.scene import ImplicitScene
from ..rendering.scene_like import SceneLike
from ..rendering.surface_search import query_in_chunks

NEAR_M = 0.0005
"""Metres: smaller distances are not taken from the grid."""
FAR_M = 0.015
"""Metres: larger distances count as this, for where there is no canonical place they mean nothing."""


@dataclass(frozen=True)
class GridScene(SceneLike):
    """An implicit hand whose distances come from a grid."""

    distances: Tensor
    """[B,1,N,N,N] metres, at most FAR_M, at the nodes of the refined occupancy grid; indexed x, y, z."""

    def query_sdf(self, points_s: Tensor, hand: Tensor) -> Canonical:
        """Distances: between the grid's nodes linear along each axis, near the surface the fields'. No canonical places."""
        lowest, cell_size = self.occupancy.lowest.to(points_s), self.occupancy.cell_size.to(points_s)
        half = cell_size * (self.occupancy.cells.shape[1] / 2)
        places = ((points_s - lowest[hand]) / half[hand, None] - 1).flip(1)
        sdf = points_s.new_empty(len(points_s))
        for owner, volume in enumerate(self.distances):
            rows = torch.nonzero(hand == owner)[:, 0]
            found = grid_sample(volume[None], places[None, None, None, rows], "bilinear", "border", align_corners=True)
            sdf[rows] = found.reshape(-1)
        near = torch.nonzero(sdf.abs() < NEAR_M)[:, 0]
        sdf[near] = query_in_chunks(self.hand, points_s[near], hand[near])
        nowhere = points_s.new_zeros(1, 3, 3).expand(len(points_s), 3, 3)
        return Canonical(torch.zeros_like(points_s), sdf, torch.zeros_like(hand, dtype=torch.bool), nowhere, nowhere)


@torch.no_grad()
def gridded(scene: ImplicitScene, spacing_m: float) -> GridScene:
    """The scene with its distances on a grid whose nodes are at most `spacing_m` metres apart. No gradient."""
    occupancy, like = scene.occupancy, scene.root
    cells, count = occupancy.cells, occupancy.cells.shape[1]
    finer = max(1, math.ceil(float(occupancy.cell_size.max()) / spacing_m))
    for axis in (1, 2, 3):
        cells = cells.repeat_interleave(finer, axis)
    # a node counts if any of the cells around it does; the pool's own padding never wins
    nodes = max_pool3d(cells.float()[:, None], 2, stride=1, padding=1)[:, 0] > 0
    hand, *place = torch.nonzero(nodes, as_tuple=True)
    step = (occupancy.cell_size / finer).to(like)[hand, None]
    points = torch.addcmul(occupancy.lowest.to(like)[hand], torch.stack(place, dim=1).to(like), step)
    distances = like.new_full((len(cells), *[count * finer + 1] * 3), FAR_M)
    distances[nodes] = query_in_chunks(scene, points, hand).clamp_max_(FAR_M)
    return GridScene(scene, distances[:, None])
