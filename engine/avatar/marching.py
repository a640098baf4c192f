"""A field's zero level set as a triangle mesh: marching cubes (Lorensen & Cline 1987), coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..errors import AvatarError
from ..hand.canonical import CanonicalBox

CHUNK = 1 << 17
STEEPEST = 1.5
"""How much faster than a true distance the field may change; cells farther from zero than that allows stay coarse."""


def extract_surface(
    sdf: Callable[[Tensor], Tensor],
    box: CanonicalBox,
    resolution: int = 256,
    coarse: int = 64,
    device: torch.device | str = "cpu",
    largest_only: bool = True,
) -> tuple[Tensor, Tensor]:
    """The surface where sdf = 0: vertices [V,3] metres, faces [F,3] int64, counter-clockwise from outside (sdf > 0).

    sdf: points [N,3] metres → [N] metres, asked without gradient and in chunks: everywhere in the box on a grid of `coarse` nodes
    a side, then only near the surface, in its tight bounds, with `resolution` cells along the longest side. `largest_only`
    drops floaters. Raises AvatarError where the field has no surface or is not finite.
    """
    device = torch.device(device)
    centre = np.array(box.centre)
    low, high = centre - box.half_size, centre + box.half_size
    rough = _evaluate(sdf, _nodes(low, high, (coarse,) * 3, device)).reshape(coarse, coarse, coarse)
    if not bool(torch.isfinite(rough).all()):
        raise AvatarError(
            "the field is not finite everywhere in its cube: its weights are damaged, or training diverged"
        )
    crossed = _crossed(rough)
    if not bool(crossed.any()):
        raise AvatarError("the field has no surface in its cube: train or personalise it further")
    cell = 2 * box.half_size / (coarse - 1)
    tight_low, tight_high = _bounds(crossed, low, cell, pad=1.5)
    fine_cell = float((tight_high - tight_low).max()) / resolution
    shape = tuple(max(2, math.ceil(side / fine_cell) + 1) for side in tight_high - tight_low)
    tight_high = tight_low + (np.array(shape) - 1) * fine_cell
    values = _refined(sdf, rough, crossed, box, tight_low, tight_high, shape, cell, device)
    vertices, faces = marching_cubes(values, tuple(tight_low), tuple(tight_high))
    if len(faces) == 0:
        raise AvatarError("the field has no surface in its cube: train or personalise it further")
    return largest_component(vertices, faces) if largest_only else (vertices, faces)


def marching_cubes(
    values: Tensor, low: tuple[float, ...], high: tuple[float, ...], level: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Surface values = level of a grid [X,Y,Z] that spans low to high: vertices [V,3], faces [F,3] that face greater values."""
    from ..warp_start import wp  # first: it starts Warp quietly

    from warp.geometry import IsoSurfaceMarchingCubes  # isort: skip

    field = values.detach().float().contiguous()
    with wp.ScopedDevice(wp.device_from_torch(field.device)):
        vertices, indices = IsoSurfaceMarchingCubes.extract(
            wp.from_torch(field), level, lower=wp.vec3(*map(float, low)), upper=wp.vec3(*map(float, high))
        )
    return wp.to_torch(vertices).reshape(-1, 3), wp.to_torch(indices).reshape(-1, 3).long()


def largest_component(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """The connected part with the most faces, and only its vertices."""
    index = faces.cpu().numpy()
    edges = np.concatenate([index[:, [0, 1]], index[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(vertices),) * 2)
    _, label = connected_components(graph, directed=False)
    kept = label[index[:, 0]] == np.bincount(label[index[:, 0]]).argmax()
    used, renumbered = np.unique(index[kept], return_inverse=True)
    chosen = torch.from_numpy(used).to(vertices.device)
    return vertices[chosen], torch.from_numpy(renumbered.reshape(-1, 3)).to(faces)


def _nodes(low: np.ndarray, high: np.ndarray, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """[X*Y*Z,3] grid nodes, z fastest."""
    axes = [
        torch.linspace(float(a), float(b), count, device=device) for a, b, count in zip(low, high, shape, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


def _evaluate(sdf: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([sdf(part).float() for part in points.split(CHUNK)])


def _crossed(values: Tensor) -> Tensor:
    """[X-1,Y-1,Z-1] bool: cells whose corners differ in sign."""
    inside = (values < 0).float()[None, None]
    least, most = -torch.nn.functional.max_pool3d(-inside, 2, 1), torch.nn.functional.max_pool3d(inside, 2, 1)
    return (least != most)[0, 0]


def _bounds(crossed: Tensor, low: np.ndarray, cell: float, pad: float) -> tuple[np.ndarray, np.ndarray]:
    """The box of the crossed cells, `pad` cells wider."""
    index = crossed.nonzero().cpu().numpy()
    return low + (index.min(0) - pad) * cell, low + (index.max(0) + 1 + pad) * cell


def _refined(
    sdf: Callable[[Tensor], Tensor],
    rough: Tensor,
    crossed: Tensor,
    box: CanonicalBox,
    low: np.ndarray,
    high: np.ndarray,
    shape: tuple[int, ...],
    cell: float,
    device: torch.device,
) -> Tensor:
    """The field on the fine grid: asked near the surface, interpolated from the coarse grid elsewhere. [X,Y,Z]."""
    nodes = _nodes(low, high, shape, device)
    # the coarse cells next to a crossing count as near, whatever their values say
    around = torch.nn.functional.max_pool3d(crossed.float()[None, None], 3, 1, 1)[0, 0].bool()
    values = torch.empty(len(nodes), device=device)
    for start in range(0, len(nodes), 1 << 20):
        part = slice(start, start + (1 << 20))
        unit = box.to_unit(nodes[part])
        # grid_sample names its axes backwards: the grid is [X,Y,Z], so its "width" is z
        position = (unit.flip(-1) * 2 - 1)[None, None, None]
        values[part] = torch.nn.functional.grid_sample(
            rough[None, None], position, align_corners=True, padding_mode="border"
        ).reshape(-1)
        index = (unit * len(crossed)).long().clamp(0, len(crossed) - 1)
        near = (values[part].abs() < STEEPEST * math.sqrt(3) * cell) | around[index[:, 0], index[:, 1], index[:, 2]]
        chosen = near.nonzero()[:, 0]
        if len(chosen):
            values[start + chosen] = _evaluate(sdf, nodes[part][chosen])
    return values.reshape(shape)
