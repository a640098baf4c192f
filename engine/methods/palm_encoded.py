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
from ..training.losses import curvature
from ..training.perceptual import PerceptualTerm
from .palm_compositing import Runs, composite_runs, runs_of
from .palm_config import PersonaliseConfig
from .palm_frozen import begin_frozen
from .palm_hands import PosedPrior, Unknowns, code_of
from .palm_heads import Head, geometry_head, gradient_map, mirror_head, radiance_head, surface_of
from .palm_mirror import mirror_monomials, unit_columns
from .palm_objective import Energy, Evaluator, PalmStage, Picture, code_terms, total_energy
from .palm_placement import fixed_samples
from .palm_rays import RayPlan, background_at, batch_at
from .palm_terms import terms_of

CHUNK = 1 << 15
"""Samples encoded together."""


class CurvatureEncoding(NamedTuple):
    """C pairs of a sample and its neighbour a hair aside; first all samples, then all neighbours."""

    own: Tensor
    """[H,2C] of the geometry head."""
    turn: Tensor
    """[3,E,2C] canonical axes."""


class ShellEncoding(NamedTuple):
    """One batch's N samples. 4 (2 H + 3 E + 4) + 24 bytes each: 0.9 kB for the open prior."""

    runs: Runs
    length: Tensor
    """[N] metres."""
    directions: Tensor
    """[3,N] world, of their rays."""
    own: Tensor
    """[H,N] of the geometry head."""
    color_own: Tensor
    """[H,N] of the radiance head before features, view and normal."""
    turn: Tensor
    """[3,E,N] world axes."""
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
    mirrored = mirror_head(radiance, posed.bands.sh)
    shells = []
    for number, plan in enumerate(plans):
        progress(number / len(plans), f"looking at rays: {number + 1} of {len(plans)}")
        shells.append(encode_shell(posed, plan, unknowns, config, number, geometry, radiance))
    terms_at = [terms_of(plan.batch, perceptual) for plan in plans]

    def energy(unknowns: Unknowns, step: int) -> Energy:
        number = batch_at(step, config)
        picture = shell_picture(posed, shells[number], unknowns, geometry, mirrored)
        terms = code_terms(posed, unknowns, stage, config)
        terms |= terms_at[number](picture, background_at(step, config, posed.root))
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
    """Place and encode the samples of batch `number`, around the hand that the unknowns make."""
    fixed = fixed_samples(posed, plan, unknowns, config, number)
    fields, batch = posed.fields, plan.batch
    ray, points = fixed.intervals.ray, fixed.canonical.points
    hand = batch.hand[ray]
    turned = posed.root[:, :3, :3][hand] @ fixed.canonical.linear
    rows_of = torch.arange(len(points), device=points.device).split(CHUNK)
    parts = [_encode_points(posed, points[r], turned[r], hand[r], geometry, radiance) for r in rows_of]
    pairs = torch.cat([points[fixed.curved], points[fixed.curved] + fixed.tangents])
    encoding, jacobian = fields.geometry.encoding.with_jacobian(pairs, posed.bands.geometry_levels)
    curved = CurvatureEncoding(
        geometry.own(encoding, posed.pose[hand[fixed.curved]].repeat(2, 1)), gradient_map(jacobian)
    )
    own, color_own, turn = (torch.cat(values, dim=-1) for values in zip(*parts, strict=True))
    along = batch.directions[ray].T.contiguous()
    return ShellEncoding(runs_of(ray, len(batch.hand)), fixed.intervals.length, along, own, color_own, turn, curved)


def _encode_points(
    posed: PosedPrior, points: Tensor, turned: Tensor, hand: Tensor, geometry: Head, radiance: Head
) -> tuple[Tensor, Tensor, Tensor]:
    """`own`, `color_own` and `turn` of canonical points [n,3]; turned [n,3,3] canonical → world axes; hand [n]."""
    pose, fields = posed.pose[hand], posed.fields
    encoding, jacobian = fields.geometry.encoding.with_jacobian(points, posed.bands.geometry_levels)
    colors = radiance.own(fields.appearance_encoding(points, posed.bands), pose)
    return geometry.own(encoding, pose), colors, gradient_map(jacobian, turned)


def shell_picture(
    posed: PosedPrior, shell: ShellEncoding, unknowns: Unknowns, geometry: Head, mirrored: Head
) -> Picture:
    """The radiance field's view of a batch, with gradients to both codes. mirrored: the radiance's `mirror_head`."""
    surface = surface_of(geometry, shell.own, shell.turn, code_of(unknowns.shape, posed.shape_basis))
    assert surface.feature is not None
    depth = posed.fields.density(surface.feature[0]) * shell.length
    normals = unit_columns(surface.gradient)
    inner = torch.cat([surface.feature, mirror_monomials(normals, shell.directions), normals])
    code = code_of(unknowns.appearance, posed.appearance_basis)
    colors = torch.sigmoid(mirrored.outputs(shell.color_own, code, inner))
    opacity, color = composite_runs(depth, colors, shell.runs)
    return Picture(opacity, color.T)


def shell_curvature(posed: PosedPrior, curved: CurvatureEncoding, unknowns: Unknowns, geometry: Head) -> Tensor:
    """() mean of the curvature term, with gradient to the shape code."""
    if not curved.own.shape[1]:
        return unknowns.shape.sum() * 0
    code = code_of(unknowns.shape, posed.shape_basis)
    surface = surface_of(geometry, curved.own, curved.turn, code, features=False)
    here, aside = unit_columns(surface.gradient).chunk(2, dim=1)
    return curvature(here.T, aside.T).mean()
