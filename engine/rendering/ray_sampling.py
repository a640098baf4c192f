"""Where along rays to look: a lattice in occupied cells, refined where the light comes from. Packed, and without gradient."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..threads import parallel_ranges
from .compositing import ray_starts
from .occupancy import Occupancy


class RayIntervals(NamedTuple):
    """M pieces of rays, sorted by ray and then from near to far; pieces of a ray do not overlap."""

    ray: Tensor
    """[M] int64."""
    start: Tensor
    """[M] metres along the ray."""
    end: Tensor
    """[M] metres, > start."""

    @property
    def length(self) -> Tensor:
        return self.end - self.start

    @property
    def middle(self) -> Tensor:
        return (self.start + self.end) / 2

    def select(self, rows: Tensor) -> RayIntervals:
        """The pieces that a mask [M] bool or rising indices [K] name."""
        return RayIntervals(self.ray[rows], self.start[rows], self.end[rows])


class Edges(NamedTuple):
    """The E distinct ends of M intervals; neighbours share theirs."""

    ray: Tensor
    """[E] int64; not sorted."""
    t: Tensor
    """[E] metres."""
    of_start: Tensor
    """[M] int64 row of each interval's near end."""
    of_end: Tensor
    """[M] int64 row of its far end."""


class Insertion(NamedTuple):
    """Intervals split by new samples, Q of them: M + Q intervals."""

    intervals: RayIntervals
    parent: Tensor
    """[M+Q] int64 the interval that each came from."""
    inserted: Tensor
    """[Q] int64 the intervals that start at a new sample, in the samples' order."""


def lattice_intervals(
    origins: Tensor,
    directions: Tensor,
    hand: Tensor,
    occupancy: Occupancy,
    step_m: float,
    phase: Tensor | None = None,
    max_distance_m: float = 1e6,
) -> RayIntervals:
    """The intervals [phase + k·step, phase + (k+1)·step], k ≥ 0, whose midpoint lies in an occupied cell (as nerfacc's grid).

    origins, directions [R,3] root space, unit; hand [R] int64; phase [R] metres in [0, step), default 0.
    """
    from ..warp_start import launch, load_kernels, wp
    from .volume_kernels import march_lattice

    device, count = origins.device, len(origins)
    phase = origins.new_zeros(count) if phase is None else phase
    found = torch.zeros(count, dtype=torch.int64, device=device)
    nothing = torch.zeros(0, dtype=torch.int64, device=device)
    load_kernels(march_lattice, device)
    rays = [
        wp.from_torch(origins.detach().float().contiguous(), dtype=wp.vec3),
        wp.from_torch(directions.detach().float().contiguous(), dtype=wp.vec3),
        wp.from_torch(hand.to(torch.int64).contiguous()),
        wp.from_torch(phase.detach().float().contiguous()),
    ]
    grid = [
        wp.from_torch(occupancy.lowest.contiguous(), dtype=wp.vec3),
        wp.from_torch(occupancy.cell_size.contiguous()),
        wp.from_torch(occupancy.cells),
    ]

    def march(fill: int, row_start: Tensor, out: tuple[Tensor, Tensor, Tensor]) -> None:
        results = [wp.from_torch(row_start), wp.from_torch(found), *(wp.from_torch(values) for values in out)]
        arguments = [*rays, step_m, max_distance_m, *grid, fill, *results]
        if device.type == "cpu":
            parallel_ranges(count, lambda a, b: launch(march_lattice, b - a, [a, *arguments], device), minimum=256)
        else:
            launch(march_lattice, count, [0, *arguments], device)

    march(0, nothing, (nothing, nothing.float(), nothing.float()))
    rows = torch.cumsum(found, dim=0)
    total = int(rows[-1]) if count else 0
    ray = torch.empty(total, dtype=torch.int64, device=device)
    start, end = (torch.empty(total, dtype=torch.float32, device=device) for _ in range(2))
    if total:
        march(1, rows - found, (ray, start, end))
    return RayIntervals(ray, start.to(origins.dtype), end.to(origins.dtype))


def interval_edges(intervals: RayIntervals) -> Edges:
    """The points at which a quantity must be known so that it is known at both ends of every interval."""
    ray, start, end = intervals
    rows = torch.arange(len(ray), device=ray.device)
    gap = torch.ones_like(ray, dtype=torch.bool)
    # neighbours on the lattice meet up to rounding
    gap[:-1] = (ray[1:] != ray[:-1]) | (start[1:] - end[:-1] > 1e-3 * (end - start)[:-1])
    last = torch.nonzero(gap)[:, 0]
    of_end = rows + 1
    of_end[last] = len(ray) + torch.arange(len(last), device=ray.device)
    return Edges(torch.cat([ray, ray[last]]), torch.cat([start, end[last]]), rows, of_end)


def quantile_samples(
    weights: Tensor, ray: Tensor, ray_count: int, count: int, offset: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`count` stratified samples of the distribution that has the intervals' weights and, beyond them, the background.

    weights [M] ≥ 0, a ray's sum ≤ 1: what lacks to 1 is the background's share. Sample j of a ray lies at the quantile
    (j + offset) / count, offset [R] in [0,1), default 0.5. Returns the Q samples that do not fall to the background, sorted:
    their interval [Q] int64, their place inside it [Q] in [0,1], and which (ray · count + j) [Q] int64 they are.
    """
    device = weights.device
    total = torch.cumsum(weights.detach().double(), dim=0)
    bounds = torch.cat([total.new_zeros(1), total])[ray_starts(ray, ray_count)]
    shift = total.new_full((ray_count, 1), 0.5) if offset is None else offset.double()[:, None]
    quantile = (torch.arange(count, device=device).double() + shift) / count + bounds[:-1, None]
    which = torch.nonzero((quantile < bounds[1:, None]).reshape(-1))[:, 0]
    quantile = quantile.reshape(-1)[which]
    interval = torch.searchsorted(total, quantile, right=True).clamp_max(max(len(total) - 1, 0))
    share = weights.detach().double()[interval]
    place = ((quantile - total[interval] + share) / share.clamp_min(1e-300)).clamp(0, 1)
    return interval, place.to(weights.dtype), which


def split_intervals(intervals: RayIntervals, interval: Tensor, t: Tensor) -> Insertion:
    """Cut intervals at new samples. interval [Q] int64 and t [Q] metres, sorted by interval and t."""
    count, new = len(intervals.ray), len(interval)
    device = t.device
    cuts = torch.zeros(count, dtype=torch.int64, device=device).index_add(0, interval, torch.ones_like(interval))
    # An old start comes after all samples of earlier intervals, a sample after its interval's start and all earlier samples.
    old_rows = torch.arange(count, device=device) + torch.cumsum(cuts, dim=0) - cuts
    new_rows = interval + 1 + torch.arange(new, device=device)
    parent = torch.empty(count + new, dtype=torch.int64, device=device)
    parent[old_rows] = torch.arange(count, device=device)
    parent[new_rows] = interval
    start = torch.empty(count + new, dtype=t.dtype, device=device)
    start[old_rows] = intervals.start
    start[new_rows] = t
    end = intervals.end[parent]
    inner = torch.nonzero(parent[1:] == parent[:-1])[:, 0]
    end[inner] = start[inner + 1]
    return Insertion(RayIntervals(intervals.ray[parent], start, end), parent, new_rows)


def values_after_split(split: Insertion, at_start: Tensor, at_end: Tensor, at_samples: Tensor) -> tuple[Tensor, Tensor]:
    """Carry what is known at both ends of the old intervals [M] and at the samples [Q] over to the new ones' ends [M+Q]."""
    start = at_start[split.parent]
    start[split.inserted] = at_samples
    end = at_end[split.parent]
    inner = split.inserted - 1
    end[inner] = start[split.inserted]
    return start, end


def worth_shading(weights: Tensor, ray: Tensor, ray_count: int, cutoff: float) -> Tensor:
    """[M] bool: intervals that hold more than the share `cutoff` of their ray's opacity.

    Relative to the opacity, so that a faint ray keeps what it has (and its gradient); rays fainter than a hundredth count as
    if they had that. cutoff ≥ 0; at 0 all intervals with any weight stay.
    """
    opacity = weights.new_zeros(ray_count).index_add(0, ray, weights)
    return weights > cutoff * opacity.clamp_min(0.01)[ray]
