"""Rays from the surface towards the light: what blocks them, and what the blocking skin sends back."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .compositing import ray_starts
from .ray_sampling import RayIntervals, interval_edges, lattice_intervals, split_intervals, values_after_split
from .ray_sets import rotate_to_world
from .render_config import RenderConfig
from .scene import ImplicitScene
from .surface_search import points_along, query_in_chunks

CLOSER_LOOKS = 2
"""At intervals whose ends do not rule out that something thin lies between. On a relaxed hand under a white sky they lower what
lattice steps of 8 mm miss of the shadow from 5 % to 2 % of the light, for a fifth more time."""

DENSITY_POINTS = 8
"""At which the density is summed inside an interval, the distance being linear there."""


class Secondary(NamedTuple):
    """What N rays meet. No gradient."""

    visibility: Tensor
    """[N] in [0,1]: the share of light from afar that arrives."""
    bounced: Tensor
    """[N,3] linear radiance that the blocking surface sends along the ray, already times its opacity."""


class Blockers(NamedTuple):
    """Where N rays are blocked. No gradient."""

    visibility: Tensor
    """[N] in [0,1]: the share of light from afar that arrives."""
    ray: Tensor
    """[H] int64, rising: the rays that something blocks."""
    t: Tensor
    """[H] metres along them to where the signed distance first crosses zero."""


@torch.no_grad()
def trace_secondary(
    scene: ImplicitScene, origins_s: Tensor, directions_s: Tensor, hand: Tensor, config: RenderConfig
) -> Secondary:
    """Follow root-space rays [N,3] that leave the surface; what blocks them shines with the radiance field's colour.

    Rays as for `find_blockers`; without config.bounce what blocks is black.
    """
    found = find_blockers(scene, origins_s, directions_s, hand, config)
    bounced = origins_s.new_zeros(len(origins_s), 3)
    if config.bounce and len(found.ray):
        ray = found.ray
        points = points_along(origins_s, directions_s, ray, found.t)
        radiance = _radiance(scene, points, directions_s[ray], hand[ray])
        bounced[ray] = (1 - found.visibility[ray])[:, None] * radiance
    return Secondary(found.visibility, bounced)


@torch.no_grad()
def find_blockers(
    scene: ImplicitScene, origins_s: Tensor, directions_s: Tensor, hand: Tensor, config: RenderConfig
) -> Blockers:
    """Follow root-space rays [N,3] that leave the surface; their start counts as outside.

    A ray is blocked from the first interval on at whose near end the signed distance is ≥ 0 and at whose far end it is < 0; what
    lies before does not count, for a start within the surface's own soft shell would shadow itself (published renderer).
    The optical depth beyond takes the distance as linear between lattice points.
    """
    count = len(origins_s)
    visibility = origins_s.new_ones(count)
    nothing = Blockers(visibility, hand.new_zeros(0), visibility[:0])
    intervals = lattice_intervals(
        origins_s,
        directions_s,
        hand,
        scene.occupancy,
        config.secondary_step_m,
        max_distance_m=config.secondary_distance_m,
    )
    if not len(intervals.ray):
        return nothing
    near, far = _distances(scene, origins_s, directions_s, hand, intervals)
    for _ in range(CLOSER_LOOKS):
        intervals, near, far = _look_closer(scene, origins_s, directions_s, hand, intervals, near, far)
    entries = (near >= 0) & (far < 0)
    passed = torch.cumsum(entries, dim=0)
    rows = ray_starts(intervals.ray, count)[:-1][intervals.ray]
    before_ray = passed[rows] - entries[rows].long()
    blocking = torch.nonzero(passed > before_ray)[:, 0]
    if not len(blocking):
        return nothing
    ray = intervals.ray[blocking]
    depth = _optical_depth(scene, near[blocking], far[blocking]) * intervals.length[blocking]
    visibility = torch.exp(-depth.new_zeros(count).index_add(0, ray, depth))
    first = torch.nonzero(entries & (passed == before_ray + 1))[:, 0]
    hit = intervals.select(first)
    return Blockers(visibility, hit.ray, hit.start + hit.length * near[first] / (near[first] - far[first]))


def _distances(
    scene: ImplicitScene, origins_s: Tensor, directions_s: Tensor, hand: Tensor, intervals: RayIntervals
) -> tuple[Tensor, Tensor]:
    """Signed distances [M] at both ends of the intervals; 0 at the rays' starts."""
    edges = interval_edges(intervals)
    beyond = torch.nonzero(edges.t > 0)[:, 0]
    ray = edges.ray[beyond]
    sdf = torch.zeros_like(edges.t)
    sdf[beyond] = query_in_chunks(scene, points_along(origins_s, directions_s, ray, edges.t[beyond]), hand[ray])
    return sdf[edges.of_start], sdf[edges.of_end]


def _look_closer(
    scene: ImplicitScene,
    origins_s: Tensor,
    directions_s: Tensor,
    hand: Tensor,
    intervals: RayIntervals,
    near: Tensor,
    far: Tensor,
) -> tuple[RayIntervals, Tensor, Tensor]:
    """Split the intervals that a surface could cross twice: no signed distance changes faster than the place does.

    The new point lies in the middle of what the two ends' distances leave open.
    """
    doubtful = torch.nonzero((near >= 0) & (far >= 0) & (near + far < intervals.length))[:, 0]
    if not len(doubtful):
        return intervals, near, far
    some, closest = intervals.select(doubtful), near[doubtful] - far[doubtful]
    t = some.middle + closest / 2
    sdf = query_in_chunks(scene, points_along(origins_s, directions_s, some.ray, t), hand[some.ray])
    split = split_intervals(intervals, doubtful, t)
    return split.intervals, *values_after_split(split, near, far, sdf)


def _optical_depth(scene: ImplicitScene, near: Tensor, far: Tensor) -> Tensor:
    """[M] mean density of intervals with signed distances near and far at their ends."""
    place = (torch.arange(DENSITY_POINTS, device=near.device).to(near) + 0.5) / DENSITY_POINTS
    return scene.density(torch.lerp(near[:, None], far[:, None], place)).mean(1)


def _radiance(scene: ImplicitScene, points_s: Tensor, directions_s: Tensor, hand: Tensor) -> Tensor:
    """[N,3] the radiance field at points that rays hit, along the rays."""
    canonical = scene.query_sdf(points_s, hand)
    sample = scene.evaluate(points_s, canonical, hand)
    directions_w = rotate_to_world(scene.root, hand, directions_s)
    radiance = scene.appearance(sample, directions_w, materials=False).radiance
    if radiance is None:
        raise ValueError("the scene gave no radiance")
    return radiance * canonical.valid[:, None]
