"""Equation 16 of PALM: the terms of a personalisation, from what either path has rendered, and when which is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..training.batch import RayBatch
from ..training.energy import SMALLEST_OPACITY, over_background, patch_term, per_image_mean
from ..training.losses import latent_energy, mask_cross_entropy, rgb_l1, weighted_sum
from ..training.perceptual import PerceptualTerm
from .palm_beliefs import light_belief, skin_belief
from .palm_config import PersonaliseConfig
from .palm_hands import PosedPrior, Unknowns, code_of
from .palm_rays import RayPlan


class PalmStage(NamedTuple):
    """What is on at one step."""

    shape: bool
    """The shape code moves."""
    physical: bool
    """Pictures are also rendered physically, and the light moves."""

    @property
    def title(self) -> str:
        """For the progress bar."""
        if self.physical:
            return "skin and light"
        return "shape and skin" if self.shape else "skin"


class Picture(NamedTuple):
    """The radiance field's view of a batch's R rays, before any background."""

    opacity: Tensor
    """[R] in [0,1]."""
    radiance: Tensor
    """[R,3] linear, premultiplied."""


class Energy(NamedTuple):
    """What a step minimises."""

    total: Tensor
    """()"""
    terms: dict[str, Tensor]
    """() each, unweighted, detached."""


Evaluator = Callable[[Unknowns, int], Energy]
"""(unknowns, step) → the energy of that step's batch; made anew for each stage."""


def stage_at(step: int, config: PersonaliseConfig) -> PalmStage:
    """The stage of a step, counted from 0."""
    return PalmStage(shape=step < config.shape_until, physical=step >= config.physical_from)


def enter_stage(unknowns: Unknowns, stage: PalmStage) -> None:
    """Let gradients reach what this stage moves, and nothing else."""
    unknowns.shape.requires_grad_(stage.shape)
    unknowns.appearance.requires_grad_(True)
    unknowns.light.requires_grad_(stage.physical)


def picture_terms(picture: Picture, batch: RayBatch, perceptual: PerceptualTerm) -> dict[str, Tensor]:
    """Colour, mask and patches: means over each photo's rays, then over the photos."""
    shown = over_background(picture.radiance, picture.opacity, batch.background)
    target = batch.target_srgb()
    visible = torch.nonzero(picture.opacity.detach() > SMALLEST_OPACITY)[:, 0]
    photos = len(batch.places)
    of_color = per_image_mean(batch.hand[visible], 0, photos)
    of_mask = per_image_mean(batch.hand, 0, photos)
    terms = {
        "radiance": weighted_sum(rgb_l1(shown[visible], target[visible]), of_color),
        "mask": weighted_sum(mask_cross_entropy(picture.opacity, batch.inside), of_mask),
    }
    if batch.patches:
        values = [patch_term(perceptual, shown, target, patch) for patch in batch.patches]
        terms["perceptual"] = torch.stack(values).mean()
    return terms


def code_terms(posed: PosedPrior, unknowns: Unknowns, stage: PalmStage, config: PersonaliseConfig) -> dict[str, Tensor]:
    """Squared lengths of the whole codes, as published: not of their coefficients; and what the prior's people say (ours).

    The latter only where it counts: skin and light are told apart only once both are there.
    """
    appearance = code_of(unknowns.appearance, posed.appearance_basis)
    terms = {
        "shape_code": latent_energy(code_of(unknowns.shape, posed.shape_basis)),
        "appearance_code": latent_energy(appearance),
    }
    if stage.physical and config.belief > 0:
        terms["belief"] = skin_belief(appearance, posed.beliefs) + light_belief(unknowns.light, posed.beliefs)
    return terms


def physical_term(color: Tensor, opacity: Tensor, plan: RayPlan) -> Tensor:
    """L1 of physically rendered rays: color [P,3] linear, premultiplied, and opacity [P] of the plan's physical rays."""
    batch = plan.batch
    shown = over_background(color, opacity, batch.background)
    weights = per_image_mean(batch.hand[plan.physical], 0, len(batch.places))
    return weighted_sum(rgb_l1(shown, batch.target_srgb()[plan.physical]), weights)


def total_energy(terms: dict[str, Tensor], config: PersonaliseConfig) -> Energy:
    """The weighted sum of equation 16 (weights: supplement, table 1).

    With `config.physical_alone` the physical picture takes the radiance field's place as soon as it is there.
    """
    weights = config.weights
    replaced = config.physical_alone and "physical" in terms
    factors = {
        "radiance": 0.0 if replaced else weights.radiance,
        "mask": weights.mask,
        "perceptual": 0.0 if replaced else weights.perceptual,
        "curvature": weights.curvature,
        "shape_code": weights.latent,
        "appearance_code": weights.latent,
        "physical": weights.radiance if replaced else weights.physical,
        "belief": config.belief,
    }
    total = torch.stack([factors[name] * value for name, value in terms.items()]).sum()
    return Energy(total, {name: value.detach() for name, value in terms.items()})
