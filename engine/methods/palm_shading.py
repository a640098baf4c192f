"""What both paths render physically on a frozen shape: which points of a ray, and what of the light reaches them.

A ray's samples are summed up by a few points at even quantiles of its weight. Shadows are looked for once a ray and direction,
from where the ray meets the surface: a ray's points lie within the density's shell, a fraction of a millimetre.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..rendering.implicit_hand import ImplicitHand
from ..rendering.physical import SHADOW_RAYS, surface_distances
from ..rendering.ray_sampling import quantile_samples
from ..rendering.ray_sets import to_root_space
from ..rendering.render_config import RenderConfig
from ..rendering.scene import ImplicitScene
from ..rendering.secondary import Blockers, find_blockers
from ..rendering.volume import PackedSamples
from .palm_rays import RayPlan


class ShadingPoints(NamedTuple):
    """K points on each of P rays."""

    sample: Tensor
    """[P,K] int64 the packed sample whose normal and material each has; 0 where its share is 0."""
    share: Tensor
    """[P,K] in the ray's colour: 1 / K, or 0 where the point falls to the background."""
    origins_w: Tensor
    """[P,3] world: where the ray meets the surface and shadows are looked from."""


class ShadowRays(NamedTuple):
    """The N pairs of ray and light direction that can matter, and what lies between. No gradient."""

    pair: Tensor
    """[N] int64 ray · D + direction."""
    blockers: Blockers
    """Of the N pairs' rays."""


@torch.no_grad()
def shading_points(samples: PackedSamples, plan: RayPlan, count: int) -> ShadingPoints:
    """`count` points on each of the plan's physical rays, from the samples of its whole batch."""
    batch, physical = plan.batch, plan.physical
    rays = len(batch.hand)
    interval, place, which = quantile_samples(samples.weights, samples.ray, rays, count)
    # negligible weight may lack where opacity is full: then no point is missing
    rows = torch.full((rays * count,), -1, dtype=torch.int64, device=interval.device)
    rows[which] = interval
    found = rows.reshape(rays, count)[physical]
    inside = found >= 0
    t = samples.weights.new_zeros(rays * count)
    t[which] = torch.lerp(samples.t_start[interval], samples.t_end[interval], place)
    mean = t.reshape(rays, count)[physical].sum(1) / inside.sum(1).clamp_min(1)
    t_surface = torch.minimum(mean, surface_distances(samples, rays)[physical])
    origins = torch.addcmul(batch.origins[physical], batch.directions[physical], t_surface[:, None])
    return ShadingPoints(found.clamp_min(0), inside.to(samples.weights) / count, origins)


@torch.no_grad()
def trace_shadows(
    scene: ImplicitScene, points: ShadingPoints, normals_w: Tensor, plan: RayPlan, config: RenderConfig
) -> ShadowRays:
    """Shadow rays towards the plan's directions that lie above any of a ray's points. normals_w [P,K,3] unit."""
    directions, count = plan.directions, len(plan.directions)
    lit = (points.share > 0)[..., None] & (normals_w @ directions.T > 1e-6)
    pair = torch.nonzero(lit.any(1).reshape(-1))[:, 0]
    hand = plan.batch.hand[plan.physical]
    parts: list[Blockers] = []
    done = 0
    for part in pair.split(SHADOW_RAYS):
        ray, towards = part // count, part % count
        start, along = to_root_space(scene.root, hand[ray], points.origins_w[ray], directions[towards])
        found = find_blockers(scene, start, along, hand[ray], config)
        parts.append(found._replace(ray=found.ray + done))
        done += len(part)
    return ShadowRays(pair, Blockers(*(torch.cat(values) for values in zip(*parts, strict=True))))


def dense_visibility(shadows: ShadowRays, rays: int, directions: int) -> Tensor:
    """[P,D] in [0,1]: the share of light from each direction that reaches each ray's surface; 0 below its horizon."""
    dense = shadows.blockers.visibility.new_zeros(rays * directions)
    dense[shadows.pair] = shadows.blockers.visibility
    return dense.reshape(rays, directions)


def dense_bounce(shadows: ShadowRays, radiance: Tensor, rays: int, directions: int) -> Tensor:
    """[P,D,3] what the blocking skin sends along each pair, already times its opacity. radiance [H,3] of the blockers."""
    blockers = shadows.blockers
    dense = radiance.new_zeros(rays * directions, 3)
    dense[shadows.pair[blockers.ray]] = (1 - blockers.visibility[blockers.ray])[:, None] * radiance
    return dense.reshape(rays, directions, 3)


def blocker_points(
    scene: ImplicitHand, points: ShadingPoints, shadows: ShadowRays, plan: RayPlan
) -> tuple[Tensor, Tensor, Tensor]:
    """Root-space places [H,3] of what blocks, world directions [H,3] along which it is seen, its hand [H] int64."""
    count = len(plan.directions)
    pair = shadows.pair[shadows.blockers.ray]
    ray, along = pair // count, plan.directions[pair % count]
    hand = plan.batch.hand[plan.physical][ray]
    start, along_s = to_root_space(scene.root, hand, points.origins_w[ray], along)
    return torch.addcmul(start, along_s, shadows.blockers.t[:, None]), along, hand


def solid_angle(directions: int) -> float:
    """Steradians that each of evenly spread directions stands for."""
    return 4 * math.pi / directions
