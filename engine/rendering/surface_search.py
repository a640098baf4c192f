"""From rays to the few intervals that make up their colour: lattice, refinement, cut (after PALM's published renderer)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..randomness import Randomness, uniform
from .compositing import rendering_weights
from .ray_sampling import (
    RayIntervals,
    interval_edges,
    lattice_intervals,
    quantile_samples,
    split_intervals,
    values_after_split,
    worth_shading,
)
from .render_config import RenderConfig
from .scene import ImplicitScene

if TYPE_CHECKING:
    from ..hand.deformer import Canonical

PARTS = 8
"""Into which an interval is divided when samples are inserted, unless it is that much shorter than the lattice's already."""

BUSY_WEIGHT = 1e-3
"""Share of its ray's colour from which on an interval is divided."""


def points_along(origins: Tensor, directions: Tensor, ray: Tensor, t: Tensor) -> Tensor:
    """[N,3] points of rays [N] at distances t [N]; origins, directions [R,3]."""
    return torch.addcmul(origins[ray], directions[ray], t[:, None])


def query_in_chunks(scene: ImplicitScene, points: Tensor, hand: Tensor, chunk: int = 1 << 16) -> Tensor:
    """Signed distances [N] of root-space points [N,3], at most `chunk` of them at a time."""
    parts = [scene.query_sdf(p, h).sdf for p, h in zip(points.split(chunk), hand.split(chunk), strict=True)]
    return torch.cat(parts) if parts else points.new_zeros(0)


@torch.no_grad()
def find_surface(
    scene: ImplicitScene,
    origins: Tensor,
    directions: Tensor,
    hand: Tensor,
    config: RenderConfig,
    generator: Randomness | None = None,
) -> RayIntervals:
    """The intervals of root-space rays that carry weight, by what the lattice and the refinement saw of the distances.

    origins, directions [R,3]; hand [R] int64. With a generator the lattice of each ray starts at a random phase. Distances are
    asked for once a point: at the lattice, and at all inserted samples but the last round's, whose distances are interpolated
    (the published code asks three times: edges, midpoints, midpoints again). No gradient.
    """
    phase = None
    if generator is not None:
        phase = uniform(generator, len(origins)).to(origins) * config.step_m
    intervals = lattice_intervals(origins, directions, hand, scene.occupancy, config.step_m, phase)
    if not len(intervals.ray):
        return intervals
    edges = interval_edges(intervals)
    sdf = query_in_chunks(scene, points_along(origins, directions, edges.ray, edges.t), hand[edges.ray])
    near, far = sdf[edges.of_start], sdf[edges.of_end]
    for round_index in range(config.importance_rounds):
        interval, place = _importance(scene, intervals, near, far, len(origins), config)
        t = intervals.start[interval] + place * intervals.length[interval]
        if round_index < config.importance_rounds - 1:
            ray = intervals.ray[interval]
            sampled = query_in_chunks(scene, points_along(origins, directions, ray, t), hand[ray])
        else:
            sampled = torch.lerp(near[interval], far[interval], place)
        split = split_intervals(intervals, interval, t)
        near, far = values_after_split(split, near, far, sampled)
        intervals = split.intervals
    estimate = rendering_weights(scene.density((near + far) / 2) * intervals.length, intervals.ray)
    # A tenth: the estimate decides only where to look again.
    return intervals.select(worth_shading(estimate, intervals.ray, len(origins), 0.1 * config.weight_cutoff))


def _importance(
    scene: ImplicitScene, intervals: RayIntervals, near: Tensor, far: Tensor, rays: int, config: RenderConfig
) -> tuple[Tensor, Tensor]:
    """Quantiles of each ray's weights: their interval [Q] and their place in it [Q] in [0,1].

    near, far [M]: the distances at the ends. The shell that shines is thinner than the lattice's step, but between lattice points
    distances are nearly linear: intervals that matter are divided in thought, each part as dense as its denser end.
    """
    weights = rendering_weights(scene.density(torch.minimum(near, far)) * intervals.length, intervals.ray)
    busy = torch.nonzero((weights > BUSY_WEIGHT) & (intervals.length > config.step_m / PARTS))[:, 0]
    place = torch.arange(1, PARTS, device=near.device).to(near) / PARTS
    cuts = (intervals.start[busy, None] + place * intervals.length[busy, None]).reshape(-1)
    parts = split_intervals(intervals, busy.repeat_interleave(PARTS - 1), cuts)
    between = torch.lerp(near[busy, None], far[busy, None], place).reshape(-1)
    near, far = values_after_split(parts, near, far, between)
    fine = parts.intervals
    weights = rendering_weights(scene.density(torch.minimum(near, far)) * fine.length, fine.ray)
    part, place, _ = quantile_samples(weights, fine.ray, rays, config.importance_samples)
    interval = parts.parent[part]
    t = fine.start[part] + place * fine.length[part]
    return interval, ((t - intervals.start[interval]) / intervals.length[interval]).clamp(0, 1)


@torch.no_grad()
def place_samples(
    scene: ImplicitScene, origins: Tensor, directions: Tensor, hand: Tensor, intervals: RayIntervals, cutoff: float
) -> tuple[RayIntervals, Tensor, Canonical]:
    """Look at the intervals' midpoints, and keep what is worth shading: intervals, midpoints [M,3] and their canonical places."""
    points = points_along(origins, directions, intervals.ray, intervals.middle)
    canonical = scene.query_sdf(points, hand[intervals.ray])
    weights = rendering_weights(scene.density(canonical.sdf) * intervals.length, intervals.ray)
    keep = torch.nonzero(worth_shading(weights, intervals.ray, len(origins), cutoff) & canonical.valid)[:, 0]
    return intervals.select(keep), points[keep], type(canonical)(*(values[keep] for values in canonical))
