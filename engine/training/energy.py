"""One step's energy: render a batch of rays, compare, add what keeps the geometry sane (PALM, supplement, eqs. 1-2).

Every term is a sum with the whole batch's weights, so the processes that share a batch can add their gradients.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from ..lighting.color import linear_to_srgb
from ..lighting.sg_light import sg_light_lobes
from ..randomness import PerHand
from ..rendering.implicit_hand import ImplicitHand
from ..rendering.physical import render_rays_pbr
from ..rendering.scene import SurfaceSample
from ..rendering.volume import RayRender, render_rays
from .batch import Patch, RayBatch
from .config import TrainConfig
from .known_surface import KnownSurface, surface_energy, surface_terms
from .losses import (
    curvature,
    eikonal,
    latent_energy,
    mask_cross_entropy,
    normal_l1,
    rgb_l1,
    tangent_shift,
    weighted_sum,
)
from .lpips import LpipsTerm
from .perceptual import PerceptualTerm, Vgg16Term
from .pretrain import PretrainPool, anchor_loss
from .sampling import generator_for
from .schedules import Stage, normal_weight

SMALLEST_OPACITY = 1e-4
"""Rays with less show nothing whose colour could be compared."""
CURVATURE_SAMPLES = 512
"""Of each image's samples, at most, at which the curvature term looks."""
ANCHOR_SLOT, KNOWN_SLOT = 300_007, 400_009
RENDER_SLOT = 200_003
"""Places of the generators that the renderer draws from begin here."""


class Energy(NamedTuple):
    """What a step minimises."""

    total: Tensor
    """()"""
    terms: dict[str, float]
    """Each unweighted, this process's share of the whole batch's."""


def step_energy(
    scene: ImplicitHand,
    batch: RayBatch,
    light: Tensor,
    stage: Stage,
    step: int,
    config: TrainConfig,
    perceptual: PerceptualTerm,
    pool: PretrainPool,
    known: KnownSurface | None = None,
) -> Energy:
    """Energy of this process's rays. light [K,7] spherical-Gaussian parameters."""
    source = PerHand(tuple(generator_for(config.seed, step, RENDER_SLOT + place) for place in batch.places), batch.hand)
    render_config = config.render if stage.importance else replace(config.render, importance_rounds=0)
    rays = (batch.origins, batch.directions, batch.hand)
    render = render_rays(scene, *rays, render_config, source, want=("radiance", "normals"))
    terms = radiance_terms(render, batch, perceptual, config.images_per_step)
    terms |= code_terms(scene, batch, config.images_per_step)
    if stage.geometry:
        terms |= anchor_terms(scene, batch, pool, config, step)
        terms |= geometry_terms(scene, render.samples.surface, source, config.images_per_step)
    if stage.physical:
        terms["physical"] = physical_term(scene, batch, light, config, source)
    if known is not None:
        terms["known"] = known_term(scene, batch, known, config, step)
    factors = term_factors(config, stage, step)
    total = torch.stack([factors[name] * value for name, value in terms.items()]).sum()
    return Energy(total, {name: float(value.detach()) for name, value in terms.items()})


def term_factors(config: TrainConfig, stage: Stage, step: int) -> dict[str, float]:
    """The weight of each term at a step."""
    weights = config.weights
    return {
        "radiance": weights.radiance,
        "mask": weights.mask,
        "perceptual": weights.perceptual,
        # while the geometry is fixed, normals would only move the density's width
        "normal": normal_weight(step, config.schedule, weights.normal_start, weights.normal_end) * stage.geometry,
        "eikonal": weights.eikonal,
        "curvature": weights.curvature,
        "shape_code": weights.latent if stage.geometry else 0.0,
        "appearance_code": weights.latent,
        "physical": weights.physical,
        "anchor": weights.anchor,
        "known": config.known.held_weight,
    }


def term_names(config: TrainConfig, stage: Stage) -> tuple[str, ...]:
    """What a step's terms are called, whichever of its images a process has."""
    names = ["radiance", "mask", "normal", "shape_code", "appearance_code", "total"]
    names += ["perceptual"] if config.pixels.patch_px > 0 else []
    names += ["known"] if config.known.steps else []
    if stage.geometry:
        names += ["eikonal", "curvature"] + (["anchor"] if config.weights.anchor else [])
    return (*names, "physical") if stage.physical else tuple(names)


def over_background(color: Tensor, opacity: Tensor, background: Tensor) -> Tensor:
    """Linear premultiplied colour [R,3] with opacity [R] over a linear background [3] → sRGB [R,3], clipped to [0,1]."""
    return linear_to_srgb(color + background * (1 - opacity)[:, None]).clamp(0, 1)


def radiance_terms(render: RayRender, batch: RayBatch, perceptual: PerceptualTerm, images: int) -> dict[str, Tensor]:
    """Colour, mask, patches and normals of the radiance picture; `images` of the whole batch."""
    assert render.radiance is not None and render.normal_w is not None
    shown = over_background(render.radiance, render.opacity, batch.background)
    target = batch.target_srgb()
    visible = render.opacity.detach() > SMALLEST_OPACITY
    known = torch.isfinite(batch.normals_w).all(-1)

    def mean(values: Tensor, counted: Tensor) -> Tensor:
        return weighted_sum(values[counted], per_image_mean(batch.hand[counted], len(batch.places), images))

    terms = {
        "radiance": mean(rgb_l1(shown, target), visible),
        "mask": mean(mask_cross_entropy(render.opacity, batch.inside), torch.ones_like(visible)),
        "normal": mean(normal_l1(render.normal_w, batch.normals_w), known),
    }
    if batch.patches:
        values = [patch_term(perceptual, shown, target, patch) for patch in batch.patches]
        terms["perceptual"] = torch.stack(values).sum() / batch.patch_count
    return terms


def patch_term(perceptual: PerceptualTerm, shown: Tensor, target: Tensor, patch: Patch) -> Tensor:
    """The perceptual difference of one patch; VGG sees it at twice its size, as published."""
    rays = slice(patch.start, patch.start + patch.side**2)
    pair = torch.stack([shown[rays], target[rays]]).reshape(2, patch.side, patch.side, 3)
    if isinstance(perceptual, (Vgg16Term, LpipsTerm)):
        grown = interpolate(pair.permute(0, 3, 1, 2), scale_factor=2, mode="bilinear", align_corners=False)
        pair = grown.permute(0, 2, 3, 1)
    return perceptual(pair[0], pair[1], torch.ones_like(pair[0, ..., 0]))


def code_terms(scene: ImplicitHand, batch: RayBatch, images: int) -> dict[str, Tensor]:
    """Mean over the whole batch's images of the codes' squared lengths."""
    return {
        "shape_code": latent_energy(scene.conditions.shape).sum() / images,
        "appearance_code": latent_energy(scene.conditions.appearance).sum() / images,
    }


def anchor_terms(
    scene: ImplicitHand, batch: RayBatch, pool: PretrainPool, config: TrainConfig, step: int
) -> dict[str, Tensor]:
    """Distances to the hand model, where they count: every image brings its share of the points."""
    if config.weights.anchor == 0:
        return {}
    each = max(config.anchor_points // config.images_per_step, 1)
    generators = [generator_for(config.seed, step, ANCHOR_SLOT + place) for place in batch.places]
    values = [anchor_loss(scene.fields, pool, scene.bands, each, generator) for generator in generators]
    return {"anchor": torch.stack(values).sum() / config.images_per_step}


def known_term(scene: ImplicitHand, batch: RayBatch, known: KnownSurface, config: TrainConfig, step: int) -> Tensor:
    """() of the skin at known points: every image brings its share of them."""
    each = max(config.known.held_points // config.images_per_step, 1)
    total = torch.zeros_like(known.roughness[0])
    for place in batch.places:
        generator = generator_for(config.seed, step, KNOWN_SLOT + place)
        terms = surface_terms(scene.fields, known, scene.bands, each, generator)
        total = total + surface_energy(terms, config.known)
    return total / config.images_per_step


def geometry_terms(scene: ImplicitHand, samples: SurfaceSample, source: PerHand, images: int) -> dict[str, Tensor]:
    """Eikonal and curvature terms over the shaded samples: a mean per image, then over the whole batch's images."""
    if len(samples.hand) == 0:
        zero = samples.sdf.sum()
        return {"eikonal": zero, "curvature": zero}
    gradients = samples.gradient_c
    assert gradients is not None
    share = per_image_mean(samples.hand, len(scene.root), images)
    terms = {"eikonal": weighted_sum(eikonal(gradients), share)}
    picked = some_of_each(samples.hand, len(scene.root), CURVATURE_SAMPLES, source.generators)
    normals = normalize(gradients[picked], dim=-1, eps=1e-6)
    hand = samples.hand[picked]
    points = samples.points_c[picked].detach() + tangent_shift(normals, PerHand(source.generators, hand))
    shifted = scene.fields.geometry(points, hand, scene.conditions, scene.bands, with_gradient=True).gradient
    assert shifted is not None
    values = curvature(normals, normalize(shifted, dim=-1, eps=1e-6))
    terms["curvature"] = weighted_sum(values, per_image_mean(hand, len(scene.root), images))
    return terms


def per_image_mean(hand: Tensor, hands: int, images: int) -> Tensor:
    """Weights [N] with which a sum over samples is a mean per image, averaged over all `images` of the whole batch."""
    count = torch.bincount(hand, minlength=hands).clamp_min(1)
    return 1.0 / (count[hand] * images)


def physical_term(scene: ImplicitHand, batch: RayBatch, light: Tensor, config: TrainConfig, source: PerHand) -> Tensor:
    """L1 of physically rendered pixels on the mask: as many a hand as the configuration says."""
    on_mask = torch.nonzero(batch.inside > 0)[:, 0]
    rays = on_mask[some_of_each(batch.hand[on_mask], len(scene.root), config.physical_rays, source.generators)]
    if len(rays) == 0:
        return light.sum() * 0
    chosen = (batch.origins[rays], batch.directions[rays], batch.hand[rays])
    render = render_rays_pbr(scene, *chosen, sg_light_lobes(light), config.render, source.rows(rays))
    shown = over_background(render.color, render.rays.opacity, batch.background)
    weight = per_image_mean(batch.hand[rays], len(scene.root), config.images_per_step)
    return weighted_sum(rgb_l1(shown, batch.target_srgb()[rays]), weight)


def some_of_each(hand: Tensor, hands: int, at_most: int, generators: tuple[torch.Generator, ...]) -> Tensor:
    """Indices of at most `at_most` random rows of each hand. hand [N] int64; one generator a hand."""
    chosen = []
    for owner in range(hands):
        rows = torch.nonzero(hand == owner)[:, 0]
        order = torch.randperm(len(rows), generator=generators[owner])[:at_most]
        chosen.append(rows[order.to(rows.device)])
    return torch.cat(chosen)
