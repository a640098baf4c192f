"""Skinning weights everywhere in the canonical cube, as a grid that the deformer interpolates.

A grid depends on the hand's shape alone, so callers build it once per betas and keep it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, maximum_filter
from scipy.spatial import cKDTree
from torch import Tensor

from .canonical import CanonicalBox

RESOLUTION = 64
NEIGHBOURS = 5
REACH_M = 0.040
"""Nodes farther than this from the hand copy the weights of the nearest node within; searches start only within."""
START_WEIGHT = 0.02
"""Least skinning weight that a bone must have around a start point for a search to begin there."""
START_MARGIN_M = 0.02
"""How far around the start point that weight is looked for."""


class SkinningGrids(NamedTuple):
    """Weight grids of G hand shapes over one cube, of which only the nodes near each hand are stored (n in all)."""

    weights: Tensor
    """[n,16] skinning weights of the stored nodes, one shape after another; rows sum to 1."""
    first_row: tuple[int, ...]
    """G+1 entries: shape g owns rows first_row[g] to first_row[g+1]."""
    row_of_node: Tensor
    """[G,R,R,R] int32 (z, y, x): the row of a node counted from its shape's first; far nodes name the nearest stored node's."""
    starts: Tensor
    """[G,R,R,R] int32: bit j is set in the cells (by their low corner) where a search from bone j may start."""


def skinning_grid(
    rest_vertices: Tensor,
    skinning_weights: Tensor,
    box: CanonicalBox,
    resolution: int = RESOLUTION,
    neighbours: int = NEIGHBOURS,
) -> Tensor:
    """[R(z),R(y),R(x),16] weights at the nodes of the cube (corners on its corners), rows summing to 1. No gradient.

    Each node takes the mean of its nearest vertices' weights, by inverse distance (published code). rest_vertices [V,3] canonical
    metres, best of a finely subdivided hand; skinning_weights [V,16].
    """
    weights, _ = _nearest_weights(rest_vertices, skinning_weights, box, resolution, neighbours)
    return weights


def skinning_grids(
    rest_vertices: Tensor | Sequence[Tensor],
    skinning_weights: Tensor,
    box: CanonicalBox,
    resolution: int = RESOLUTION,
    neighbours: int = NEIGHBOURS,
    reach: float = REACH_M,
) -> SkinningGrids:
    """`skinning_grid` of several shapes [G,V,3] in the compact form that makes a deformer cheap. About a second a shape."""
    pairs = [_nearest_weights(shape, skinning_weights, box, resolution, neighbours) for shape in rest_vertices]
    margin = round(START_MARGIN_M * (resolution - 1) / (2 * box.half_size))
    return _pack([weights for weights, _ in pairs], [distance < reach for _, distance in pairs], margin)


def pack_weight_grids(weight_grids: Tensor) -> SkinningGrids:
    """Plain grids [G,R,R,R,16] in compact form, every node kept and every search allowed."""
    everywhere = np.ones(tuple(weight_grids.shape[1:4]), dtype=bool)
    packed = _pack(list(weight_grids), [everywhere] * len(weight_grids), 0)
    return packed._replace(starts=torch.full_like(packed.starts, (1 << weight_grids.shape[-1]) - 1))


def joined_grids(parts: Sequence[SkinningGrids]) -> SkinningGrids:
    """The shapes of several SkinningGrids as one: a batch of hands from shapes that were kept apart."""
    if len(parts) == 1:
        return parts[0]
    first_row = [0]
    for part in parts:
        first_row += [first_row[-1] + row for row in part.first_row[1:]]
    weights, row_of_node, starts = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("weights", "row_of_node", "starts")
    )
    return SkinningGrids(weights, tuple(first_row), row_of_node, starts)


def _nearest_weights(
    rest_vertices: Tensor, skinning_weights: Tensor, box: CanonicalBox, resolution: int, neighbours: int
) -> tuple[Tensor, np.ndarray]:
    """Weights [R,R,R,16] and distance to the nearest vertex [R,R,R]."""
    axis = torch.linspace(0, 1, resolution, dtype=torch.float64)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    nodes = box.from_unit(torch.stack([x, y, z], dim=-1)).reshape(-1, 3).numpy()
    distance, nearest = cKDTree(rest_vertices.detach().cpu().double().numpy()).query(nodes, neighbours, workers=-1)
    distance, nearest = distance.reshape(len(nodes), -1), nearest.reshape(len(nodes), -1)
    closeness = torch.from_numpy(1 / np.clip(distance, 1e-4, 1.0)).to(skinning_weights)
    closeness = closeness / closeness.sum(1, keepdim=True)
    values, index = skinning_weights.detach(), torch.from_numpy(nearest).to(skinning_weights.device)
    weights = torch.zeros(len(nodes), values.shape[1]).to(values)
    for neighbour in range(closeness.shape[1]):
        weights += closeness[:, neighbour : neighbour + 1] * values[index[:, neighbour]]
    return weights.reshape(resolution, resolution, resolution, -1), distance[:, 0].reshape((resolution,) * 3)


def _pack(weight_grids: list[Tensor], stored: list[np.ndarray], margin_cells: int) -> SkinningGrids:
    rows, first_row, row_of_node, starts = [], [0], [], []
    for weights, near in zip(weight_grids, stored, strict=True):
        # a cell that holds a stored node stores all its corners, so that interpolation near the hand is exact
        kept = maximum_filter(near, size=3, mode="constant")
        numbers = np.full(kept.shape, -1, dtype=np.int32)
        numbers[kept] = np.arange(kept.sum(), dtype=np.int32)
        if not kept.all():
            closest = distance_transform_edt(~kept, return_distances=False, return_indices=True)
            numbers = numbers[tuple(closest)]
        rows.append(weights[torch.from_numpy(kept).to(weights.device)])
        first_row.append(first_row[-1] + int(kept.sum()))
        row_of_node.append(torch.from_numpy(numbers))
        starts.append(torch.from_numpy(_start_bits(weights, near, margin_cells)))
    device = weight_grids[0].device
    return SkinningGrids(
        torch.cat(rows), tuple(first_row), torch.stack(row_of_node).to(device), torch.stack(starts).to(device)
    )


def _start_bits(weights: Tensor, near: np.ndarray, margin_cells: int) -> np.ndarray:
    """[R,R,R] int32 with bit j where bone j matters within the margin of the cell and the hand is near."""
    size = 2 * margin_cells + 1
    values = weights.detach().cpu().numpy()
    bits = np.zeros(near.shape, dtype=np.int32)
    for bone in range(values.shape[-1]):
        matters = maximum_filter(values[..., bone] >= START_WEIGHT, size=size, mode="nearest")
        bits |= (matters & near).astype(np.int32) << bone
    return bits
