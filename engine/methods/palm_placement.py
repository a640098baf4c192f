"""Candidates for the samples of rays, which stay where they are while the shape code moves.

Where a ray is sampled depends on the shape. Here candidates are placed as if the density's shell were wider, around the hand as
it is at that time: a surface that moves within their reach still finds some, at the price of a coarser quadrature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..fields.density import laplace_density
from ..hand.deformer import Canonical
from ..rendering.compositing import rendering_weights
from ..rendering.implicit_hand import ImplicitHand
from ..rendering.ray_sampling import RayIntervals
from ..rendering.ray_sets import to_root_space
from ..rendering.scene_like import SceneLike
from ..rendering.surface_search import find_surface, place_samples
from ..rendering.volume import PackedSamples, surface_samples
from ..training.losses import tangent_shift
from ..training.sampling import generator_for
from .palm_config import PersonaliseConfig
from .palm_hands import PosedPrior, Unknowns, code_of
from .palm_heads import distance_slope, geometry_head
from .palm_rays import RayPlan

CURVATURE_SLOT = 500_009
CANDIDATE_CUTOFF = 3.0
"""Times the renderer's cutoff: what has less weight in the wide shell has none in the real one, nor after the surface has moved
as far as it may. Half a millimetre away the sampling error is the same as with all candidates, to 1e-5."""


class FixedSamples(NamedTuple):
    """Where one batch's rays can be sampled."""

    intervals: RayIntervals
    """M of them; their midpoints have a canonical place."""
    canonical: Canonical
    """Of the midpoints, on the hand that they were placed around."""
    curved: Tensor
    """[C] int64 the candidates at which the curvature term looks."""
    tangents: Tensor
    """[C,3] metres: the hair by which it looks aside, along that hand's tangents."""


@dataclass(frozen=True)
class SoftScene(SceneLike):
    """An implicit hand whose density has a wider shell."""

    width: Tensor
    """() metres."""

    def density(self, sdf: Tensor) -> Tensor:
        """1/m, over the wider shell."""
        return laplace_density(sdf, self.width)


@torch.no_grad()
def fixed_samples(
    posed: PosedPrior, plan: RayPlan, unknowns: Unknowns, config: PersonaliseConfig, number: int
) -> FixedSamples:
    """Candidates on the rays of batch `number`, around the hand that the unknowns make."""
    scene = posed.scene(unknowns)
    soft = SoftScene(scene, posed.fields.beta.clamp_min(config.shell_m))
    batch = plan.batch
    origins, directions = to_root_space(posed.root, batch.hand, batch.origins, batch.directions)
    render = config.shell_render
    intervals = find_surface(soft, origins, directions, batch.hand, render)
    intervals, points, canonical = place_samples(
        soft, origins, directions, batch.hand, intervals, CANDIDATE_CUTOFF * render.weight_cutoff
    )
    hand = batch.hand[intervals.ray]
    generator = generator_for(config.seed, number, CURVATURE_SLOT)
    order = torch.randperm(len(points), generator=generator)[: config.curvature_samples]
    curved = order.sort().values.to(points.device)
    gradients = scene.evaluate(points[curved], take(canonical, curved), hand[curved]).gradient_c
    assert gradients is not None
    tangents = tangent_shift(normalize(gradients, dim=-1, eps=1e-6), generator)
    return FixedSamples(intervals, canonical, curved, tangents)


@torch.no_grad()
def surface_metric(posed: PosedPrior, plan: RayPlan, unknowns: Unknowns, config: PersonaliseConfig) -> Tensor:
    """[K,K] metres²: a small change d of the shape's coefficients moves the surface that a batch sees by √(dᵀ M d), root mean
    square."""
    batch = plan.batch
    samples = surface_samples(
        posed.scene(unknowns), batch.origins, batch.directions, batch.hand, config.render, gradient=False
    )
    head, hand = geometry_head(posed), samples.surface.hand
    encoding = posed.fields.geometry.encoding(samples.surface.points_c, posed.bands.geometry_levels)
    own = head.own(encoding, posed.pose[hand])
    code = code_of(unknowns.shape, posed.shape_basis)
    slope = distance_slope(head, own, code) @ posed.shape_basis.components.T
    return (samples.weights[:, None] * slope).T @ slope / samples.weights.sum().clamp_min(1e-9)


def movement(metric: Tensor, change: Tensor) -> float:
    """Metres by which the surface moves for a change [K] of the shape's coefficients (`surface_metric`)."""
    change = change.detach()
    return float((change @ metric @ change).clamp_min(0).sqrt())


def take(canonical: Canonical, rows: Tensor) -> Canonical:
    """Some rows [n] int64 of canonical places."""
    return Canonical(*(values[rows] for values in canonical))


def sample_shell(scene: ImplicitHand, plan: RayPlan, intervals: RayIntervals, cutoff: float) -> PackedSamples:
    """The candidates that have weight in the scene as samples, with gradients to its conditions. cutoff: see `worth_shading`."""
    batch = plan.batch
    origins, directions = to_root_space(scene.root, batch.hand, batch.origins, batch.directions)
    intervals, points, canonical = place_samples(scene, origins, directions, batch.hand, intervals, cutoff)
    surface = scene.evaluate(points, canonical, batch.hand[intervals.ray])
    weights = rendering_weights(scene.density(surface.sdf) * intervals.length, intervals.ray)
    return PackedSamples(intervals.ray, intervals.start, intervals.end, points, weights, surface)
