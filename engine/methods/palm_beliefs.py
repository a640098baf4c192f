"""What a prior's own people say before any photo is looked at: which skins there are, how bright light is, whose shape this is.

A single photo shows skin times light; many pairs explain it. PALM (equation 16) leaves the choice to where the minimisation
starts. Here skins far from the prior's people, and light far from the light that they were pictured in, cost something (ours).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..fields.codes import CodeBasis
from ..lighting.sg_light import sg_irradiance
from ..training.prior_file import Prior

LEVEL_SPREAD, TINT_SPREAD = math.log(1.6), math.log(1.25)
"""Standard deviations of the logarithm of light: of its strength, from photo to photo as cameras expose; of one colour over the
others."""
DARKEST = 1e-6
TEN = 10
"""Betas of a person."""
LARGEST_BETA = 100.0
"""Beyond it, betas are nobody's."""
LEAST_PEOPLE = 30
"""Fewer do not tell how codes follow from betas: ten betas and a constant are fitted to each axis."""
FARTHEST = 2.5
"""Standard deviations of the people's codes, beyond which a shape does not start."""


class Beliefs(NamedTuple):
    """Of a prior, in its bases."""

    appearance_basis: CodeBasis
    """The people's principal axes, on which their skins are independent: a skin is judged there, however its code is found."""
    appearance_spread: Tensor
    """[K'] standard deviation of the people's coefficients on them; infinite where it is not known."""
    irradiance: Tensor | None
    """[3] of the light that the prior's people were pictured in; None where it has none."""
    shape: Tensor | None
    """[K] coefficients of people with the photos' betas; None where the prior does not tell."""
    exact_surfaces: bool
    """The prior learned the hand model's own surface for betas, and not scans of people."""


def beliefs_of(prior: Prior, betas: Tensor, like: Tensor) -> Beliefs:
    """Beliefs about a hand of these betas [10], with the dtype and device of `like`."""
    spread = coefficients(prior, "appearance").std(0)
    light = None if prior.light is None else sg_irradiance(prior.light).clamp_min(DARKEST).to(like)
    unknown = torch.full_like(spread, torch.inf)
    shape = shape_from_betas(prior, betas)
    return Beliefs(
        CodeBasis(*(values.to(like) for values in prior.bases["appearance"])),
        torch.where(spread > 0, spread, unknown).to(like),
        light,
        None if shape is None else shape.to(like),
        knows_surfaces(prior),
    )


def knows_surfaces(prior: Prior) -> bool:
    """Whether the prior's geometry was fitted to the hand model's surface at last (`training.known_geometry`)."""
    told: Any = prior.provenance.get("configuration")
    for name in ("last_geometry", "steps"):
        told = told.get(name) if isinstance(told, dict) else None
    return isinstance(told, int) and told > 0


def coefficients(prior: Prior, kind: str) -> Tensor:
    """[S,K] of the prior's people on its basis; kind: "shape" or "appearance"."""
    basis: CodeBasis = prior.bases[kind]
    codes = prior.weights[f"{kind}_code.codes"].float()
    return codes if prior.codes_on_bases else (codes - basis.mean) @ basis.components.T


def skin_belief(code: Tensor, beliefs: Beliefs) -> Tensor:
    """() sum of a skin's squared coefficients on the people's axes, in standard deviations. code [C]: the whole appearance code.

    The code is judged and not what it is parametrised by: on more axes, or on ones that go together, a sum over them would count
    the same skin several times. Of what lies off the people's axes they say nothing; the code's own length holds that.
    """
    basis = beliefs.appearance_basis
    return ((code - basis.mean) @ basis.components.T / beliefs.appearance_spread).square().sum()


def light_belief(light: Tensor, beliefs: Beliefs) -> Tensor:
    """() how unusual a light [L,7] is in strength and tint, in squared standard deviations; 0 where nothing is known."""
    if beliefs.irradiance is None:
        return light.new_zeros(())
    ratio = torch.log(sg_irradiance(light).clamp_min(DARKEST) / beliefs.irradiance)
    level = ratio.mean()
    return (level / LEVEL_SPREAD).square() + ((ratio - level) / TINT_SPREAD).square().sum()


def people_betas(prior: Prior) -> Tensor | None:
    """[S,10] float64 betas of the prior's people; None where it does not tell them all, or tells nonsense."""
    told = prior.provenance.get("subject_betas")
    try:
        rows = [told[name] for name in prior.subjects] if isinstance(told, dict) else []
        people = torch.tensor(rows, dtype=torch.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    sound = people.ndim == 2 and people.shape[1] == TEN and bool((people.abs() < LARGEST_BETA).all())
    return people if sound else None


def shape_from_betas(prior: Prior, betas: Tensor) -> Tensor | None:
    """[K] coefficients of the shape code that people of these betas [B] have, by linear regression over the prior's people.

    None where the prior does not tell its people's betas, or has too few people.
    """
    people = people_betas(prior)
    if people is None or len(people) < LEAST_PEOPLE or people.shape[1] != len(betas):
        return None
    codes = coefficients(prior, "shape").double()
    ones = torch.ones(len(people), 1, dtype=torch.float64)
    solution = torch.linalg.lstsq(torch.cat([people, ones], dim=1), codes).solution
    found = torch.cat([betas.detach().cpu().double(), ones[0]]) @ solution
    reach = FARTHEST * codes.std(0)
    return found.clamp(-reach, reach).to(betas)
