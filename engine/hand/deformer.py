"""Posed space ↔ canonical space by inverse skinning (SNARF, Chen et al. 2021; Fast-SNARF, Chen et al. 2023).

The forward map carries a canonical point with the bone transforms blended by a grid of skinning weights. Its inverse has no
closed form and may have several values where the hand touches itself: Broyden's method runs once from each bone's rigid frame
and all results are kept. The search is done without gradient; `attach_pose_gradient` adds the implicit one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..threads import parallel_ranges
from .canonical import CanonicalBox
from .skinning_grid import SkinningGrids, pack_weight_grids

NO_HIT_SDF_M = 1.0
"""Signed distance of posed points that no canonical point maps to: far outside."""


@dataclass(frozen=True)
class BroydenConfig:
    """Limits of the search (published code)."""

    iterations: int = 10
    converged_m: float = 1e-5
    diverged_m: float = 0.1
    duplicate_m: float = 1e-4


class Deformer(NamedTuple):
    """The skinning maps of B posed hands."""

    box: CanonicalBox
    bone_transforms: Tensor
    """[B,J,4,4] canonical → root space, rigid."""
    grids: SkinningGrids
    grid_of_hand: Tensor
    """[B] int64: which of the grids' shapes each hand has."""
    blended: Tensor
    """[m,12] transforms (3x4, row-major) blended at the grid nodes of hand 0, of hand 1, ...; no gradient."""
    first_row: Tensor
    """[B] int32 where each hand's nodes begin in `blended`."""


class Candidates(NamedTuple):
    """All canonical points that map to each posed point."""

    points: Tensor
    """[N,16,3] metres, zero where not valid."""
    valid: Tensor
    """[N,16] bool; the valid ones come first and differ from each other."""
    inverse_jacobian: Tensor
    """[N,16,3,3] of the skinning map there; zero where not valid."""


class Canonical(NamedTuple):
    """The canonical point of each posed point: the one of least signed distance."""

    points: Tensor
    """[N,3] metres, zero where not valid."""
    sdf: Tensor
    """[N] metres; NO_HIT_SDF_M where not valid."""
    valid: Tensor
    """[N] bool."""
    inverse_jacobian: Tensor
    """[N,3,3] of the skinning map; identity where not valid."""
    linear: Tensor
    """[N,3,3] the blended 3x3, which turns canonical gradients into root space; identity where not valid."""


def make_deformer(
    box: CanonicalBox, bone_transforms: Tensor, weight_grids: SkinningGrids | Tensor, grid_of_hand: Tensor
) -> Deformer:
    """The deformer of B hands in given poses.

    bone_transforms [B,16,4,4] canonical → root space; weight_grids of G shapes: `skinning_grids`, kept by the caller, or plain
    grids [G,R,R,R,16], slower; grid_of_hand [B] int64. About 2 ms a hand.
    """
    grids = pack_weight_grids(weight_grids) if isinstance(weight_grids, Tensor) else weight_grids
    shapes = grid_of_hand.tolist()
    counts = [grids.first_row[shape + 1] - grids.first_row[shape] for shape in shapes]
    weights = grids.weights
    blended = weights.new_empty(sum(counts), 12)
    starts = [0]
    with torch.no_grad():
        rows = bone_transforms.detach().to(weights)[:, :, :3, :].flatten(2)
        for hand, shape in enumerate(shapes):
            starts.append(starts[-1] + counts[hand])
            nodes = weights[grids.first_row[shape] : grids.first_row[shape + 1]]
            torch.mm(nodes, rows[hand], out=blended[starts[-2] : starts[-1]])
    first_row = torch.tensor(starts[:-1], dtype=torch.int32, device=weights.device)
    return Deformer(box, bone_transforms, grids, grid_of_hand, blended, first_row)


def inverse_skinning(
    deformer: Deformer, points_s: Tensor, hand: Tensor, config: BroydenConfig = BroydenConfig()
) -> Candidates:
    """Every canonical point that the search finds for root-space points. No gradient.

    points_s [N,3] metres; hand [N] int64 in [0,B).
    """
    found, count = _search(deformer, points_s, hand, config)
    valid = torch.arange(found.shape[1], device=found.device) < count[:, None]
    points = torch.where(valid[..., None], found, torch.zeros_like(found))
    inverse = found.new_zeros(*found.shape, 3)
    inverse[valid] = _inverse_jacobian(deformer, found[valid], hand[valid.nonzero()[:, 0]])
    return Candidates(points.to(points_s.dtype), valid, inverse.to(points_s.dtype))


def canonicalise(
    deformer: Deformer,
    points_s: Tensor,
    hand: Tensor,
    sdf: Callable[[Tensor, Tensor], Tensor],
    config: BroydenConfig = BroydenConfig(),
) -> Canonical:
    """The canonical point of least signed distance for root-space points [N,3] of hands [N] int64. No gradient.

    sdf: (canonical points [M,3] metres, hand [M] int64) → [M] metres; asked once, for all candidates of all points.
    """
    from ..warp_start import wp
    from .deformer_kernels import choose, pack

    with torch.no_grad():
        found, count = _search(deformer, points_s, hand, config)
        end = count.cumsum(0)
        total = int(end[-1]) if len(end) else 0
        packed = found.new_empty(total, 3)
        packed_hand = torch.empty(total, dtype=torch.int64, device=found.device)
        hands = wp.from_torch(hand.to(torch.int32).contiguous())
        ends, counts, candidates = wp.from_torch(end), wp.from_torch(count), wp.from_torch(packed, dtype=wp.vec3)
        inputs = [hands, wp.from_torch(found, dtype=wp.vec3), ends, counts, candidates, wp.from_torch(packed_hand)]
        _launch_over(pack, len(found), inputs, found.device)
        distance = found.new_empty(0)
        if total:
            distance = sdf(packed.to(points_s.dtype), packed_hand).detach().float().contiguous()
        points, least = found.new_empty(len(found), 3), found.new_empty(len(found))
        inverse, linear = found.new_empty(len(found), 3, 3), found.new_empty(len(found), 3, 3)
        inputs = [hands, candidates, wp.from_torch(distance), ends, counts, _blend_grid(deformer), NO_HIT_SDF_M]
        inputs += [wp.from_torch(points, dtype=wp.vec3), wp.from_torch(least)]
        inputs += [wp.from_torch(matrix, dtype=wp.mat33) for matrix in (inverse, linear)]
        _launch_over(choose, len(found), inputs, found.device)
        dtype = points_s.dtype
        return Canonical(points.to(dtype), least.to(dtype), count > 0, inverse.to(dtype), linear.to(dtype))


def forward_skinning(deformer: Deformer, points_c: Tensor, hand: Tensor) -> tuple[Tensor, Tensor]:
    """Canonical points to root space, and the blended 3x3 that turns directions (no inverse transpose, as published).

    points_c [N,3] metres; hand [N] int64 → [N,3], [N,3,3]. Differentiable in the deformer's bone transforms and in the points.
    """
    weights = skinning_weights_at(deformer, points_c, hand)
    transforms = deformer.bone_transforms[..., :3, :].to(points_c.dtype)
    blended = (weights[:, None, :] @ transforms.flatten(2).index_select(0, hand))[:, 0].unflatten(-1, (3, 4))
    linear = blended[..., :3]
    return (linear @ points_c[..., None])[..., 0] + blended[..., 3], linear


def attach_pose_gradient(deformer: Deformer, points_c: Tensor, inverse_jacobian: Tensor, hand: Tensor) -> Tensor:
    """The same canonical points [N,3], with the gradient by which they move when the pose changes.

    g(x, T) = posed point stays fixed, so dx = −J⁻¹ ∂g/∂T dT (implicit function theorem; SNARF, eq. 12). inverse_jacobian [N,3,3]
    from `canonicalise`. The weight grid counts as fixed.
    """
    fixed = points_c.detach()
    posed, _ = forward_skinning(deformer, fixed, hand)
    return points_c - (inverse_jacobian @ (posed - posed.detach())[..., None])[..., 0]


def skinning_weights_at(deformer: Deformer, points_c: Tensor, hand: Tensor) -> Tensor:
    """[N,16] trilinear weights at canonical points [N,3], constant beyond the cube's faces. Differentiable in the points."""
    grids = deformer.grids
    resolution = grids.row_of_node.shape[1]
    position = deformer.box.to_unit(points_c) * (resolution - 1)
    low = position.detach().floor().clamp(0, resolution - 2)
    fraction = (position - low).clamp(0, 1)
    x, y, z = low.long().unbind(-1)
    shape = deformer.grid_of_hand.to(hand.device)[hand]
    node = ((shape * resolution + z) * resolution + y) * resolution + x
    first = torch.tensor(grids.first_row, device=hand.device)[shape]
    rows = grids.row_of_node.reshape(-1)
    weights = torch.zeros(len(points_c), grids.weights.shape[1], dtype=points_c.dtype, device=points_c.device)
    for corner in range(8):
        side = [corner >> axis & 1 for axis in range(3)]
        step = side[0] + resolution * (side[1] + resolution * side[2])
        share = torch.ones_like(fraction[:, 0])
        for axis in range(3):
            share = share * (fraction[:, axis] if side[axis] else 1 - fraction[:, axis])
        weights += share[:, None] * grids.weights[first + rows[node + step]].to(weights.dtype)
    return weights


def _blend_grid(deformer: Deformer) -> Any:
    from ..warp_start import wp
    from .deformer_kernels import mat34, struct_of

    grids, box = deformer.grids, deformer.box
    resolution = grids.row_of_node.shape[1]
    first_node = (deformer.grid_of_hand.to(grids.row_of_node.device) * resolution**3).to(torch.int32)
    return struct_of(
        transforms=wp.from_torch(deformer.blended.reshape(-1, 3, 4), dtype=mat34),
        first_row=wp.from_torch(deformer.first_row),
        row_of_node=wp.from_torch(grids.row_of_node.reshape(-1)),
        first_node=wp.from_torch(first_node),
        low=wp.vec3(*(centre - box.half_size for centre in box.centre)),
        nodes_per_metre=(resolution - 1) / (2 * box.half_size),
        resolution=resolution,
    )


def _search(deformer: Deformer, points_s: Tensor, hand: Tensor, config: BroydenConfig) -> tuple[Tensor, Tensor]:
    """Candidates [N,16,3] float32, of which the first count [N] int32 of a row are meant."""
    from ..warp_start import wp
    from .deformer_kernels import mat34, search

    points = points_s.detach().float().contiguous()
    hands = hand.to(torch.int32).contiguous()
    bones = deformer.bone_transforms.detach()[..., :3, :].float().contiguous()
    found = points.new_empty(len(points), bones.shape[1], 3)
    count = torch.empty(len(points), dtype=torch.int32, device=points.device)
    inputs = [
        wp.from_torch(points, dtype=wp.vec3),
        wp.from_torch(hands),
        wp.from_torch(bones, dtype=mat34),
        _blend_grid(deformer),
        wp.from_torch(deformer.grids.starts.reshape(-1)),
        config.iterations,
        config.converged_m,
        config.diverged_m,
        config.duplicate_m,
        wp.from_torch(found, dtype=wp.vec3),
        wp.from_torch(count),
    ]
    _launch_over(search, len(points), inputs, points.device)
    return found, count


def _inverse_jacobian(deformer: Deformer, points_c: Tensor, hand: Tensor) -> Tensor:
    """[M,3,3] float32 at canonical points [M,3]."""
    from ..warp_start import wp
    from .deformer_kernels import differentiate

    points, hands = points_c.float().contiguous(), hand.to(torch.int32).contiguous()
    inverse = points.new_empty(len(points), 3, 3)
    inputs = [
        wp.from_torch(points, dtype=wp.vec3),
        wp.from_torch(hands),
        _blend_grid(deformer),
        wp.from_torch(inverse, dtype=wp.mat33),
    ]
    _launch_over(differentiate, len(points), inputs, points.device)
    return inverse


def _launch_over(kernel: Any, count: int, inputs: list[Any], device: torch.device) -> None:
    """Run a kernel whose first input is the first index, on all of the CPU's threads or on the GPU."""
    from ..warp_start import launch, load_kernels

    load_kernels(kernel, device)
    if device.type == "cpu":
        parallel_ranges(count, lambda start, stop: launch(kernel, stop - start, [start, *inputs], device), minimum=1024)
    elif count:
        launch(kernel, count, [0, *inputs], device)
