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

from ..progress import Progress, silent
from ..rendering.compositing import accumulate, rendering_weights
from ..rendering.ray_sampling import worth_shading
from ..training.batch import RayBatch
from ..training.losses import curvature
from ..training.perceptual import PerceptualTerm
from .palm_config import PersonaliseConfig
from .palm_frozen import begin_frozen
from .palm_hands import PosedPrior, Unknowns, code_of
from .palm_heads import (
    Head,
    distance_slope,
    geometry_head,
    gradient_map,
    radiance_head,
    radiance_inner,
    surface_of,
    unit_rows,
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
    """One batch's N candidates for samples. 4 (2 H + 3 E + K + 4) bytes each: 0.8 kB for the open prior."""

    ray: Tensor
    """[N] int64, sorted."""
    length: Tensor
    """[N] metres."""
    distance: Tensor
    """[N] metres, signed, of the hand that they were placed around."""
    slope: Tensor
    """[N,K] its derivative by the shape's coefficients."""
    placed_at: Tensor
    """[K] those coefficients."""
    table: Tensor
    """[N,H+H+3E] side by side, for one gather: `own` of the geometry head, `own` of the radiance head before features, view and
    normal, and the turn of gradients into world axes."""
    curved: CurvatureEncoding

    def predicted_distance(self, coefficients: Tensor) -> Tensor:
        """[N] metres for other coefficients [K], to first order: good enough to see which candidates have weight."""
        return torch.addmv(self.distance, self.slope, coefficients - self.placed_at)


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
    rows_of = torch.arange(len(points), device=points.device).split(CHUNK)
    table = torch.cat([_table_rows(posed, points[r], turned[r], hand[r], geometry, radiance) for r in rows_of])
    pairs = torch.cat([points[fixed.curved], points[fixed.curved] + fixed.tangents])
    encoding, jacobian = fields.geometry.encoding.with_jacobian(pairs, posed.bands.geometry_levels)
    curved = CurvatureEncoding(
        geometry.own(encoding, posed.pose[hand[fixed.curved]].repeat(2, 1)), gradient_map(jacobian)
    )
    coefficients = unknowns.shape.detach().clone()
    slope = distance_slope(geometry, table[:, : len(geometry.bias)], code_of(coefficients, posed.shape_basis))
    return ShellEncoding(
        fixed.intervals.ray,
        fixed.intervals.length,
        fixed.canonical.sdf,
        slope @ posed.shape_basis.components.T,
        coefficients,
        table,
        curved,
    )


def _table_rows(
    posed: PosedPrior, points: Tensor, turned: Tensor, hand: Tensor, geometry: Head, radiance: Head
) -> Tensor:
    """`ShellEncoding.table` of canonical points [n,3]; turned [n,3,3] canonical → world axes; hand [n]."""
    pose, fields = posed.pose[hand], posed.fields
    encoding, jacobian = fields.geometry.encoding.with_jacobian(points, posed.bands.geometry_levels)
    turn = gradient_map(jacobian, turned).flatten(0, 1).T
    colors = radiance.own(fields.appearance_encoding(points, posed.bands), pose)
    return torch.cat([geometry.own(encoding, pose), colors, turn], dim=1)


def shell_picture(
    posed: PosedPrior,
    shell: ShellEncoding,
    unknowns: Unknowns,
    batch: RayBatch,
    cutoff: float,
    geometry: Head,
    radiance: Head,
) -> Picture:
    """The radiance field's view of a batch, with gradients to both codes.

    cutoff: candidates of less weight are not shaded, see `worth_shading`; half of it, as the weights are predicted.
    """
    rays = len(batch.hand)
    with torch.no_grad():
        depth = posed.fields.density(shell.predicted_distance(unknowns.shape)) * shell.length
        weights = rendering_weights(depth, shell.ray)
        kept = torch.nonzero(worth_shading(weights, shell.ray, rays, 0.5 * cutoff))[:, 0]
        # whole rows by index_select: other ways of indexing take several times as long
        ray, length, rows = (values.index_select(0, kept) for values in (shell.ray, shell.length, shell.table))
        hidden = len(geometry.bias)
        own, color_own, flat = rows.split([hidden, hidden, rows.shape[1] - 2 * hidden], dim=1)
        turn = flat.T.contiguous().unflatten(0, (3, -1))
    surface = surface_of(geometry, own, turn, code_of(unknowns.shape, posed.shape_basis))
    normals = unit_rows(surface.gradient)
    weights = rendering_weights(posed.fields.density(surface.feature[:, 0]) * length, ray)
    directions = batch.directions.index_select(0, ray)
    inner = radiance_inner(surface.feature, directions, normals, posed.bands.sh)
    added = radiance.code @ code_of(unknowns.appearance, posed.appearance_basis)
    colors = torch.sigmoid(radiance.outputs(torch.addmm(color_own + added, inner, radiance.inner.T)))
    return Picture(accumulate(weights, None, ray, rays), accumulate(weights, colors, ray, rays))


def shell_curvature(posed: PosedPrior, curved: CurvatureEncoding, unknowns: Unknowns, geometry: Head) -> Tensor:
    """() mean of the curvature term, with gradient to the shape code."""
    if not len(curved.own):
        return unknowns.shape.sum() * 0
    surface = surface_of(geometry, curved.own, curved.turn, code_of(unknowns.shape, posed.shape_basis))
    here, aside = unit_rows(surface.gradient).chunk(2)
    return curvature(here, aside).mean()
