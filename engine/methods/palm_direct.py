"""The reference path: every step asks the fields anew, through the renderer that priors are trained with.

`sampling` says at which points: "fixed" takes those that the encoded path takes, so that the two can be compared number for
number; "renewed" draws samples along the rays and light directions at every step, as published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..fields.model import Materials
from ..lighting.brdf import outgoing, palm_brdf
from ..lighting.sg_light import sg_light_lobes, sg_radiance
from ..randomness import PerHand
from ..rendering.implicit_hand import ImplicitHand
from ..rendering.physical import render_rays_pbr
from ..rendering.volume import PackedSamples, RayRender, composite, render_rays, surface_samples
from ..training.energy import RENDER_SLOT, some_of_each
from ..training.losses import curvature, tangent_shift
from ..training.perceptual import PerceptualTerm
from ..training.sampling import generator_for
from .palm_config import PersonaliseConfig
from .palm_hands import PosedPrior, Unknowns
from .palm_objective import (
    Energy,
    Evaluator,
    PalmStage,
    Picture,
    code_terms,
    physical_term,
    picture_terms,
    total_energy,
)
from .palm_placement import FixedSamples, fixed_samples, sample_shell
from .palm_rays import RayPlan, background_at, batch_at
from .palm_shading import (
    blocker_points,
    dense_bounce,
    dense_visibility,
    shading_points,
    solid_angle,
    trace_shadows,
)

SAMPLINGS = ("fixed", "renewed")


def begin_direct(
    posed: PosedPrior,
    plans: Sequence[RayPlan],
    stage: PalmStage,
    unknowns: Unknowns,
    config: PersonaliseConfig,
    perceptual: PerceptualTerm,
    sampling: str = "fixed",
) -> Evaluator:
    """The energy of a stage, worked out from nothing at every step. The unknowns are where fixed samples are placed around.

    Raises ValueError for a sampling that is neither "fixed" nor "renewed".
    """
    if sampling not in SAMPLINGS:
        raise ValueError(f"samples cannot be {sampling!r}; there are {', '.join(SAMPLINGS)}")
    terms_of: Callable[..., dict[str, Tensor]] = _renewed_terms
    if sampling == "fixed":
        placed = [
            fixed_samples(posed, plan, unknowns, config, number) if stage.shape else None
            for number, plan in enumerate(plans)
        ]
        terms_of = partial(_fixed_terms, placed=placed)

    def energy(unknowns: Unknowns, step: int) -> Energy:
        number = batch_at(step, config)
        batch = plans[number].batch._replace(background=background_at(step, config, posed.root))
        plan = plans[number]._replace(batch=batch)
        scene = posed.scene(unknowns)
        terms = terms_of(scene, plan, stage, unknowns.light, config, perceptual, number=number, step=step)
        return total_energy(code_terms(posed, unknowns, stage, config) | terms, config)

    return energy


def _fixed_terms(
    scene: ImplicitHand,
    plan: RayPlan,
    stage: PalmStage,
    light: Tensor,
    config: PersonaliseConfig,
    perceptual: PerceptualTerm,
    number: int,
    step: int,
    placed: Sequence[FixedSamples | None],
) -> dict[str, Tensor]:
    """What is rendered, at the samples that the encoded path takes."""
    batch, shell = plan.batch, placed[number]
    if shell is not None:
        samples = sample_shell(scene, plan, shell.intervals, config.render.weight_cutoff)
    else:
        samples = surface_samples(scene, batch.origins, batch.directions, batch.hand, config.render)
    looks = scene.appearance(samples.surface, batch.directions[samples.ray], materials=False)
    picture = _picture(composite(samples, looks, len(batch.hand), ("radiance",)))
    terms = picture_terms(picture, batch, perceptual)
    if shell is not None:
        points, hand = shell.canonical.points[shell.curved], batch.hand[shell.intervals.ray[shell.curved]]
        terms["curvature"] = curvature_term(scene, points, hand, shell.tangents)
    if stage.physical:
        color = physical_color(scene, samples, plan, light, config)
        terms["physical"] = physical_term(color, picture.opacity[plan.physical], plan)
    return terms


def _renewed_terms(
    scene: ImplicitHand,
    plan: RayPlan,
    stage: PalmStage,
    light: Tensor,
    config: PersonaliseConfig,
    perceptual: PerceptualTerm,
    number: int,
    step: int,
) -> dict[str, Tensor]:
    """What is rendered, as priors are trained: samples, tangents and light directions drawn for this step."""
    batch, hands = plan.batch, range(len(scene.root))
    generators = tuple(generator_for(config.seed, step, RENDER_SLOT + hand) for hand in hands)
    source = PerHand(generators, batch.hand)
    render = render_rays(
        scene, batch.origins, batch.directions, batch.hand, config.render, source, want=("radiance", "normals")
    )
    terms = picture_terms(_picture(render), batch, perceptual)
    if stage.shape:
        surface = render.samples.surface
        rows = some_of_each(surface.hand, len(generators), config.curvature_samples, generators)
        assert surface.gradient_c is not None
        normals = normalize(surface.gradient_c[rows], dim=-1, eps=1e-6)
        hand = surface.hand[rows]
        shift = tangent_shift(normals, PerHand(generators, hand))
        terms["curvature"] = curvature_term(scene, surface.points_c[rows], hand, shift)
    if stage.physical:
        of = plan.physical
        lit = render_rays_pbr(
            scene,
            batch.origins[of],
            batch.directions[of],
            batch.hand[of],
            sg_light_lobes(light),
            config.render,
            source.rows(of),
        )
        terms["physical"] = physical_term(lit.color, lit.rays.opacity, plan)
    return terms


def _picture(render: RayRender) -> Picture:
    assert render.radiance is not None
    return Picture(render.opacity, render.radiance)


def curvature_term(scene: ImplicitHand, points: Tensor, hand: Tensor, shift: Tensor) -> Tensor:
    """() mean of the curvature term at canonical points [C,3] of hands [C] and a hair aside, by shift [C,3]."""
    if not len(points):
        return scene.conditions.shape.sum() * 0
    pairs = torch.cat([points, points + shift]).detach()
    found = scene.fields.geometry(pairs, hand.repeat(2), scene.conditions, scene.bands, with_gradient=True)
    assert found.gradient is not None
    return curvature(*normalize(found.gradient, dim=-1, eps=1e-6).chunk(2)).mean()


def physical_color(
    scene: ImplicitHand, samples: PackedSamples, plan: RayPlan, light: Tensor, config: PersonaliseConfig
) -> Tensor:
    """[P,3] linear, premultiplied: the plan's physical rays under its directions. light [L,7].

    The integral over light directions is a sum over all of them at each of a ray's points (the published renderer pairs
    each direction with one random point of the ray). Gradients reach materials and the light.
    """
    directions, count = plan.directions, len(plan.directions)
    points = shading_points(samples, plan, config.physical_points)
    if not len(samples.ray):
        return light.new_zeros(len(plan.physical), 3)
    assert samples.surface.normals_w is not None
    normals = samples.surface.normals_w[points.sample]
    shadows = trace_shadows(scene, points, normals, plan, config.render)
    visibility = dense_visibility(shadows, len(normals), count)
    arriving = sg_radiance(light, directions) * visibility[..., None]
    if config.render.bounce and len(shadows.blockers.ray):
        places, along, hand = blocker_points(scene, points, shadows, plan)
        arriving = arriving + dense_bounce(shadows, _skin_radiance(scene, places, along, hand), len(normals), count)
    looks = scene.appearance(samples.surface, None, materials=True).materials
    assert looks is not None
    here = Materials(*(values[points.sample] for values in looks))
    to_camera = -plan.batch.directions[plan.physical]
    reflection = palm_brdf(
        normals[:, :, None],
        to_camera[:, None, None],
        directions,
        here.albedo[:, :, None],
        here.roughness[:, :, None],
        here.metallic[:, :, None],
    )
    reflected = outgoing(reflection, here.albedo[:, :, None], here.metallic[:, :, None])
    seen = (arriving[:, None] * reflected).sum(2) * solid_angle(count)
    return (seen * points.share[..., None]).sum(1)


@torch.no_grad()
def _skin_radiance(scene: ImplicitHand, points_s: Tensor, along_w: Tensor, hand: Tensor) -> Tensor:
    """[H,3] the radiance field at root-space points that shadow rays have hit. No gradient, as published."""
    canonical = scene.query_sdf(points_s, hand)
    surface = scene.evaluate(points_s, canonical, hand)
    radiance = scene.appearance(surface, along_w, materials=False).radiance
    assert radiance is not None
    return radiance * canonical.valid[:, None]
