"""Rays from the surface towards the light: what blocks them, and what the blocking skin sends back."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .compositing import ray_starts
from .ray_sampling import RayIntervals, interval_edges, lattice_intervals
from .ray_sets import rotate_to_world
from .render_config import RenderConfig
from .scene import ImplicitScene
from .surface_search import points_along, query_in_chunks

DENSITY_POINTS = 8
"""At which the density is summed inside an interval, the distance being linear there."""


class Secondary(NamedTuple):
    """What N rays meet. No gradient."""

    visibility: Tensor
    """[N] in [0,1]: the share of light from afar that arrives."""
    bounced: Tensor
    """[N,3] linear radiance that the blocking surface sends along the ray, already times its opacity."""


@torch.no_grad()
def trace_secondary(
    scene: ImplicitScene, origins_s: Tensor, directions_s: Tensor, hand: Tensor, config: RenderConfig
) -> Secondary:
    """Follow root-space rays [N,3] that leave the surface; their start counts as outside.

    A ray is blocked from the first interval on at whose near end the signed distance is ≥ 0 and at whose far end it is < 0; what
    lies before does not count, for a start within the surface's own soft shell would shadow itself (published renderer).
    The optical depth beyond takes the distance as linear between lattice points; the bounce is the radiance field's colour where
    the distance crosses zero.
    """
    count = len(origins_s)
    visibility = origins_s.new_ones(count)
    bounced = origins_s.new_zeros(count, 3)
    intervals = lattice_intervals(
        origins_s,
        directions_s,
        hand,
        scene.occupancy,
        config.secondary_step_m,
        max_distance_m=config.secondary_distance_m,
    )
    if not len(intervals.ray):
        return Secondary(visibility, bounced)
    near, far = _distances(scene, origins_s, directions_s, hand, intervals)
    entries = (near >= 0) & (far < 0)
    passed = torch.cumsum(entries, dim=0)
    rows = ray_starts(intervals.ray, count)[:-1][intervals.ray]
    before_ray = passed[rows] - entries[rows].long()
    blocking = torch.nonzero(passed > before_ray)[:, 0]
    if not len(blocking):
        return Secondary(visibility, bounced)
    ray = intervals.ray[blocking]
    depth = _optical_depth(scene, near[blocking], far[blocking]) * intervals.length[blocking]
    visibility = torch.exp(-depth.new_zeros(count).index_add(0, ray, depth))
    if config.bounce:
        first = torch.nonzero(entries & (passed == before_ray + 1))[:, 0]
        hit = intervals.select(first)
        t = hit.start + hit.length * near[first] / (near[first] - far[first])
        radiance = _radiance(
            scene, points_along(origins_s, directions_s, hit.ray, t), directions_s[hit.ray], hand[hit.ray]
        )
        bounced[hit.ray] = (1 - visibility[hit.ray])[:, None] * radiance
    return Secondary(visibility, bounced)


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
