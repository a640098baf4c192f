"""The fast path once the shape is frozen: weights, surface, shadows are constants; materials, colours and the light are not.

A step of the physical rendering is the material head at a few points a ray, the light's value at the batch's directions, which
all pixels share, and the sum over directions of light times reflection with constant cosines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..lighting.sg_light import sg_radiance
from ..progress import Progress, silent
from ..rendering.compositing import accumulate
from ..rendering.scene import ImplicitScene, SurfaceSample
from ..rendering.volume import PackedSamples, surface_samples
from ..training.perceptual import PerceptualTerm
from .palm_config import PersonaliseConfig
from .palm_distance_grid import gridded
from .palm_hands import PosedPrior, Unknowns, code_of
from .palm_heads import Head, material_head, materials_of, radiance_head, radiance_inner
from .palm_objective import (
    Energy,
    Evaluator,
    PalmStage,
    Picture,
    code_terms,
    physical_term,
    total_energy,
)
from .palm_rays import RayPlan, background_at, batch_at
from .palm_reflection import (
    FarAngles,
    NearAngles,
    Reflected,
    far_angles,
    near_angles,
    outgoing_light,
    reflect_far,
    reflect_near,
)
from .palm_shading import (
    blocker_points,
    dense_visibility,
    shading_points,
    solid_angle,
    trace_shadows,
)
from .palm_terms import terms_of


class BounceEncoding(NamedTuple):
    """What H shadow rays hit, for the light that it throws."""

    angles: NearAngles
    own: Tensor
    """[64,H] of the radiance head, all but the code's part."""
    share: Tensor
    """[H] of the hit skin's colour that arrives: its opacity, or 0 where it has no canonical place."""


class PhysicalEncoding(NamedTuple):
    """P rays with K points each under D directions: 4 D (3 K + 1) bytes a ray and a little, 27 kB at K = 4, D = 512."""

    own: Tensor
    """[64,P·K] of the material head, all but the code's part."""
    share: Tensor
    """[P,K] of each point in its ray's colour."""
    angles: FarAngles
    bounce: BounceEncoding | None


class FrozenEncoding(NamedTuple):
    """One batch on a frozen shape; N samples."""

    ray: Tensor
    """[N] int64, sorted."""
    weights: Tensor
    """[N]."""
    opacity: Tensor
    """[R]."""
    color_own: Tensor
    """[64,N] of the radiance head, all but the code's part."""
    physical: PhysicalEncoding | None


def begin_frozen(
    posed: PosedPrior,
    plans: Sequence[RayPlan],
    stage: PalmStage,
    unknowns: Unknowns,
    config: PersonaliseConfig,
    perceptual: PerceptualTerm,
    progress: Progress = silent,
) -> Evaluator:
    """Encode all batches with the unknowns' shape; returns the stage's energy."""
    radiance, material = radiance_head(posed), material_head(posed)
    blockers: ImplicitScene = posed.scene(unknowns)
    if stage.physical and config.shadow_grid_m:
        blockers = gridded(blockers, config.shadow_grid_m)
    encoded = []
    for number, plan in enumerate(plans):
        progress(
            number / len(plans), f"looking at {'light' if stage.physical else 'rays'}: {number + 1} of {len(plans)}"
        )
        encoded.append(encode_frozen(posed, plan, unknowns, config, stage.physical, radiance, material, blockers))
    terms_at = [terms_of(plan.batch, perceptual) for plan in plans]
    visits = [0] * len(plans)
    bounces: dict[int, Tensor] = {}

    def energy(unknowns: Unknowns, step: int) -> Energy:
        number = batch_at(step, config)
        now, batch = encoded[number], plans[number].batch
        background = background_at(step, config, posed.root)
        plan = plans[number]._replace(batch=batch._replace(background=background))
        terms = code_terms(posed, unknowns, stage, config)
        code = code_of(unknowns.appearance, posed.appearance_basis)
        terms |= terms_at[number](frozen_picture(now, code, radiance), background)
        if stage.physical:
            color = unknowns.light.new_zeros(len(plan.physical), 3)
            if now.physical is not None:
                if now.physical.bounce is not None and visits[number] % config.bounce_every == 0:
                    bounces[number] = bounced_light(now.physical.bounce, code, radiance)
                visits[number] += 1
                light = sg_radiance(unknowns.light, plan.directions)
                color = frozen_color(now.physical, code, material, light, bounces.get(number))
            terms["physical"] = physical_term(color, now.opacity[plan.physical], plan)
        return total_energy(terms, config)

    return energy


@torch.no_grad()
def encode_frozen(
    posed: PosedPrior,
    plan: RayPlan,
    unknowns: Unknowns,
    config: PersonaliseConfig,
    physical: bool,
    radiance: Head,
    material: Head,
    blockers: ImplicitScene | None = None,
) -> FrozenEncoding:
    """Sample a batch's rays on the unknowns' shape, and keep what no step changes.

    blockers: what shadow rays meet, where it is not the scene itself (`palm_distance_grid`).
    """
    scene = posed.scene(unknowns)
    batch = plan.batch
    samples = surface_samples(scene, batch.origins, batch.directions, batch.hand, config.render)
    surface = samples.surface
    encoding = posed.fields.appearance_encoding(surface.points_c, posed.bands)
    color_own = _color_own(posed, surface, encoding, batch.directions[samples.ray], radiance)
    opacity = accumulate(samples.weights, None, samples.ray, len(batch.hand))
    lit = None
    if physical:
        shadowing = blockers or scene
        lit = _encode_physical(posed, plan, unknowns, config, samples, encoding, radiance, material, shadowing)
    return FrozenEncoding(samples.ray, samples.weights, opacity, color_own, lit)


def frozen_picture(encoded: FrozenEncoding, code: Tensor, radiance: Head) -> Picture:
    """The radiance field's view of a batch, with gradient to the appearance code [32]."""
    colors = torch.sigmoid(radiance.outputs(encoded.color_own, code)) * encoded.weights
    blank = colors.new_zeros(3, len(encoded.opacity))
    return Picture(encoded.opacity, blank.index_add(1, encoded.ray, colors).T)


def frozen_color(
    encoded: PhysicalEncoding, code: Tensor, material: Head, light: Tensor, bounced: Tensor | None
) -> Tensor:
    """[P,3] linear, premultiplied: the physical rays, with gradients to the appearance code [32] and the light [D,3].

    bounced [H,3] light from other skin, or None.
    """
    looks = materials_of(material.outputs(encoded.own, code).unflatten(1, encoded.share.shape))
    reflected = reflect_far(encoded.angles, light, looks.roughness)
    if bounced is not None and encoded.bounce is not None:
        near = reflect_near(encoded.bounce.angles, encoded.angles.view, bounced, looks.roughness)
        reflected = Reflected(*(far + more for far, more in zip(reflected, near, strict=True)))
    seen = outgoing_light(reflected, looks) * solid_angle(len(light))
    return (seen * encoded.share[..., None]).sum(1)


@torch.no_grad()
def bounced_light(encoded: BounceEncoding, code: Tensor, radiance: Head) -> Tensor:
    """[H,3] what other skin throws on the rays' surface for an appearance code [32]. No gradient, as published."""
    return (torch.sigmoid(radiance.outputs(encoded.own, code)) * encoded.share).T


def _encode_physical(
    posed: PosedPrior,
    plan: RayPlan,
    unknowns: Unknowns,
    config: PersonaliseConfig,
    samples: PackedSamples,
    encoding: Tensor,
    radiance: Head,
    material: Head,
    shadowing: ImplicitScene,
) -> PhysicalEncoding | None:
    surface, scene = samples.surface, posed.scene(unknowns)
    if not len(samples.ray) or not len(plan.physical):
        return None
    assert surface.normals_w is not None
    points = shading_points(samples, plan, config.physical_points)
    normals = surface.normals_w[points.sample]
    shadows = trace_shadows(shadowing, points, normals, plan, config.render)
    visibility = dense_visibility(shadows, len(plan.physical), len(plan.directions))
    angles = far_angles(normals, -plan.batch.directions[plan.physical], plan.directions, visibility)
    own = material.own(encoding, posed.pose[surface.hand], surface.feature)
    blockers, bounce = shadows.blockers, None
    if config.render.bounce and len(blockers.ray):
        places, along, hand = blocker_points(scene, points, shadows, plan)
        canonical = scene.query_sdf(places, hand)
        hit = scene.evaluate(places, canonical, hand)
        hit_encoding = posed.fields.appearance_encoding(hit.points_c, posed.bands)
        bounce = BounceEncoding(
            near_angles(angles, shadows.pair[blockers.ray]),
            _color_own(posed, hit, hit_encoding, along, radiance),
            (1 - blockers.visibility[blockers.ray]) * canonical.valid,
        )
    return PhysicalEncoding(own[:, points.sample.flatten()], points.share, angles, bounce)


def _color_own(
    posed: PosedPrior, surface: SurfaceSample, encoding: Tensor, directions: Tensor, radiance: Head
) -> Tensor:
    """[64,N] of the radiance head at samples whose geometry is known, all but the code's part. directions [N,3] world."""
    assert surface.normals_w is not None
    inner = radiance_inner(surface.feature, directions, surface.normals_w, posed.bands.sh)
    return radiance.own(encoding, posed.pose[surface.hand], inner)
