"""The fast path while the shape moves: samples are encoded once, and a step is a few small matrix products.

The canonical place of a sample follows from pose and betas alone, so its hash-grid features, their Jacobian and what the first
layers make of them are constants; only the codes' parts are added anew. Where skin touches skin a sample keeps the canonical
place of the hand that it was placed around, while the direct path may change it with the shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..progress import Progress, silent
from ..rendering.compositing import accumulate, rendering_weights
from ..rendering.ray_sampling import RayIntervals, worth_shading
from ..training.batch import RayBatch
from ..training.losses import curvature
from ..training.perceptual import PerceptualTerm
from .palm_config import PersonaliseConfig
from .palm_frozen import begin_frozen
from .palm_hands import PosedPrior, Unknowns, code_of
from .palm_heads import (
    Head,
    distance_of,
    geometry_head,
    gradient_map,
    radiance_head,
    radiance_inner,
    surface_of,
)
from .palm_objective import Energy, Evaluator, PalmStage, Picture, code_terms, picture_terms, total_energy
from .palm_placement import fixed_samples
from .palm_rays import RayPlan, background_at, batch_at

CHUNK = 1 << 15
"""Samples encoded together."""


class CurvatureEncoding(NamedTuple):
    """C pairs of a sample and its neighbour a hair aside; first all samples, then all neighbours."""

    own: Tensor
    """[2C,H] of the geometry head."""
    turn: Tensor
    """[3,E,2C] canonical axes."""


class ShellEncoding(NamedTuple):
    """One batch's N candidates for samples. 4 (2 H + 3 E + 3) bytes a sample: 0.8 kB for the open prior."""

    ray: Tensor
    """[N] int64, sorted."""
    length: Tensor
    """[N] metres."""
    own: Tensor
    """[N,H] of the geometry head."""
    turn: Tensor
    """[3,E,N] world axes."""
    color_own: Tensor
    """[N,H] of the radiance head, before features, view and normal."""
    curved: CurvatureEncoding


def begin_encoded(
    posed: PosedPrior,
    plans: Sequence[RayPlan],
    stage: PalmStage,
    unknowns: Unknowns,
    config: PersonaliseConfig,
    perceptual: PerceptualTerm,
    progress: Progress = silent,
) -> Evaluator:
    """Encode what a stage keeps; returns its energy. The unknowns' shape code counts as frozen where the stage says so."""
    if not stage.shape:
        return begin_frozen(posed, plans, stage, unknowns, config, perceptual, progress)
    geometry, radiance = geometry_head(posed), radiance_head(posed)
    shells = []
    for number, plan in enumerate(plans):
        progress(number / len(plans), f"looking at rays: {number + 1} of {len(plans)}")
        shells.append(encode_shell(posed, plan, unknowns, config, number, geometry, radiance))

    def energy(unknowns: Unknowns, step: int) -> Energy:
        number = batch_at(step, config)
        batch = plans[number].batch._replace(background=background_at(step, config, posed.root))
        terms = code_terms(posed, unknowns)
        picture = shell_picture(posed, shells[number], unknowns, batch, config.render.weight_cutoff, geometry, radiance)
        terms |= picture_terms(picture, batch, perceptual)
        terms["curvature"] = shell_curvature(posed, shells[number].curved, unknowns, geometry)
        return total_energy(terms, config)

    return energy


@torch.no_grad()
def encode_shell(
    posed: PosedPrior,
    plan: RayPlan,
    unknowns: Unknowns,
    config: PersonaliseConfig,
    number: int,
    geometry: Head,
    radiance: Head,
) -> ShellEncoding:
    """Place and encode the candidates of batch `number`, around the hand that the unknowns make."""
    fixed = fixed_samples(posed, plan, unknowns, config, number)
    fields, batch = posed.fields, plan.batch
    points, hand = fixed.canonical.points, batch.hand[fixed.intervals.ray]
    turned = posed.root[:, :3, :3][hand] @ fixed.canonical.linear
    own, turn, color_own = [], [], []
    for rows in torch.arange(len(points), device=points.device).split(CHUNK):
        pose = posed.pose[hand[rows]]
        encoding, jacobian = fields.geometry.encoding.with_jacobian(points[rows], posed.bands.geometry_levels)
        own.append(geometry.own(encoding, pose))
        turn.append(gradient_map(jacobian, turned[rows]))
        color_own.append(radiance.own(fields.appearance_encoding(points[rows], posed.bands), pose))
    if not own:
        own, color_own = ([head.bias.new_zeros(0, len(head.bias))] for head in (geometry, radiance))
        turn = [geometry.bias.new_zeros(3, geometry.encoding.shape[1], 0)]
    pairs = torch.cat([points[fixed.curved], points[fixed.curved] + fixed.tangents])
    encoding, jacobian = fields.geometry.encoding.with_jacobian(pairs, posed.bands.geometry_levels)
    curved = CurvatureEncoding(
        geometry.own(encoding, posed.pose[hand[fixed.curved]].repeat(2, 1)), gradient_map(jacobian)
    )
    intervals: RayIntervals = fixed.intervals
    return ShellEncoding(
        intervals.ray,
        intervals.length,
        torch.cat(own),
        torch.cat(turn, dim=2),
        torch.cat(color_own),
        curved,
    )


def shell_picture(
    posed: PosedPrior,
    shell: ShellEncoding,
    unknowns: Unknowns,
    batch: RayBatch,
    cutoff: float,
    geometry: Head,
    radiance: Head,
) -> Picture:
    """The radiance field's view of a batch, with gradients to both codes. cutoff: see `worth_shading`."""
    rays, code = len(batch.hand), code_of(unknowns.shape, posed.shape_basis)
    with torch.no_grad():
        depth = posed.fields.density(distance_of(geometry, shell.own, code)) * shell.length
        kept = torch.nonzero(worth_shading(rendering_weights(depth, shell.ray), shell.ray, rays, cutoff))[:, 0]
    ray = shell.ray[kept]
    surface = surface_of(geometry, shell.own[kept], shell.turn[..., kept], code)
    normals = normalize(surface.gradient.T, dim=1, eps=1e-6)
    weights = rendering_weights(posed.fields.density(surface.feature[:, 0]) * shell.length[kept], ray)
    inner = radiance_inner(surface.feature, batch.directions[ray], normals, posed.bands.sh)
    added = radiance.code @ code_of(unknowns.appearance, posed.appearance_basis)
    colors = torch.sigmoid(radiance.outputs(torch.addmm(shell.color_own[kept] + added, inner, radiance.inner.T)))
    return Picture(accumulate(weights, None, ray, rays), accumulate(weights, colors, ray, rays))


def shell_curvature(posed: PosedPrior, curved: CurvatureEncoding, unknowns: Unknowns, geometry: Head) -> Tensor:
    """() mean of the curvature term, with gradient to the shape code."""
    if not len(curved.own):
        return unknowns.shape.sum() * 0
    surface = surface_of(geometry, curved.own, curved.turn, code_of(unknowns.shape, posed.shape_basis))
    here, aside = normalize(surface.gradient.T, dim=1, eps=1e-6).chunk(2)
    return curvature(here, aside).mean()
