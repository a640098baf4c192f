"""A prior posed as the photos show it: everything of a personalisation that no step changes, and what the steps change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import PriorError
from ..fields.bands import Bands, all_bands
from ..fields.codes import CodeBasis
from ..fields.conditions import Conditions
from ..fields.config import FieldsConfig
from ..fields.model import PalmFields
from ..hand.deformer import Deformer, make_deformer
from ..hand.model import HandModel
from ..hand.posed_body import pose_body
from ..hand.skinning_grid import skinning_grids
from ..hand.subdivide import smooth_template, subdivide_model
from ..lighting.sg_light import fibonacci_sg_light
from ..rendering.implicit_hand import ImplicitHand
from ..rendering.occupancy import Occupancy, occupancy_grid
from ..training.prior_file import CODE_KINDS, Prior, check_hand_model
from .palm_beliefs import Beliefs, beliefs_of
from .palm_photo import PalmPhoto, check_photos

LARGEST_SUBDIVISION = 3


class Unknowns(NamedTuple):
    """What equation 16 is minimised over. Leaves."""

    shape: Tensor
    """[K] coefficients on the shape basis."""
    appearance: Tensor
    """[K'] coefficients on the appearance basis."""
    light: Tensor
    """[L,7] spherical-Gaussian parameters, shared by all photos, in their common world."""


class PosedPrior(NamedTuple):
    """Frozen fields and the hands of B photos."""

    fields: PalmFields
    """Its parameters want no gradient."""
    bands: Bands
    shape_basis: CodeBasis
    appearance_basis: CodeBasis
    deformer: Deformer
    root: Tensor
    """[B,4,4] root space → world."""
    occupancy: Occupancy
    pose: Tensor
    """[B,32] encoded finger poses."""
    beliefs: Beliefs

    def conditions(self, unknowns: Unknowns) -> Conditions:
        """Of the B hands, all with the same codes."""
        shape = code_of(unknowns.shape, self.shape_basis)
        appearance = code_of(unknowns.appearance, self.appearance_basis)
        hands = len(self.pose)
        return Conditions(self.pose, shape.expand(hands, -1), appearance.expand(hands, -1))

    def scene(self, unknowns: Unknowns) -> ImplicitHand:
        """The hands as the unknowns have them now, for `engine.rendering`."""
        return ImplicitHand(
            self.fields, self.deformer, self.conditions(unknowns), self.bands, self.root, self.occupancy
        )


def code_of(coefficients: Tensor, basis: CodeBasis) -> Tensor:
    """[K] coefficients on a basis → [C] code."""
    return basis.mean + coefficients @ basis.components


def with_raw_codes(posed: PosedPrior) -> PosedPrior:
    """The posed prior whose unknowns are the codes themselves: every axis of code space, none of it principal (an ablation).

    Mean, start and beliefs stay the same places in code space, so that the parametrisation is all that differs.
    """
    shape, appearance = (
        CodeBasis(basis.mean, torch.eye(len(basis.mean)).to(basis.mean))
        for basis in (posed.shape_basis, posed.appearance_basis)
    )
    start = posed.beliefs.shape
    start = None if start is None else start @ posed.shape_basis.components
    return posed._replace(shape_basis=shape, appearance_basis=appearance, beliefs=posed.beliefs._replace(shape=start))


def check_prior_fits(prior: Prior, model: HandModel, config: FieldsConfig | None = None) -> None:
    """Raise PriorError for a prior of another hand model or configuration, or without principal axes of its codes.

    model: right, not subdivided; config: what the prior must have been made for, where that is known.
    """
    if config is not None and prior.config != config:
        raise PriorError(
            f"the prior has the configuration {prior.config.name!r}, not {config.name!r} as here: give one of that"
        )
    check_hand_model(prior, model, "the prior")
    missing = [kind for kind in CODE_KINDS if kind not in prior.bases]
    if missing:
        raise PriorError(
            f"the prior has no principal axes of its {' and '.join(missing)} codes: use one trained on two subjects or more"
        )


def pose_prior(
    prior: Prior, model: HandModel, photos: Sequence[PalmPhoto], band_m: float = 0.015, dtype: torch.dtype | None = None
) -> PosedPrior:
    """The prior in the photos' poses, on their device.

    model: the right hand, not subdivided, that photos and prior were made with; band_m: metres around the posed hand in which
    rays look for it; dtype: of the fields, float32 unless float64 is wanted for a check. About a second a hand shape.
    Raises PriorError, CaptureError.
    """
    check_photos(photos)
    check_prior_fits(prior, model)
    device = photos[0].intrinsics.device
    fine = posing_model(model, prior.provenance).to(device)
    fields = prior.fields().to(device, dtype)
    fields.requires_grad_(False)

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(photo, name) for photo in photos])

    with torch.no_grad():
        hand_pose = stacked("hand_pose")
        body = pose_body(fine, stacked("betas"), stacked("global_orient"), hand_pose, stacked("transl"))
        shapes, of_hand = torch.unique(stacked("betas"), dim=0, return_inverse=True)
        rest = [body.rest_vertices[int((of_hand == shape).nonzero()[0])] for shape in range(len(shapes))]
        grids = skinning_grids(torch.stack(rest), fine.skinning_weights, prior.config.box)
        like = fields.beta
        shape_basis, appearance_basis = (
            CodeBasis(*(values.to(like) for values in prior.bases[kind])) for kind in CODE_KINDS
        )
        return PosedPrior(
            fields,
            all_bands(prior.config, device),
            shape_basis,
            appearance_basis,
            make_deformer(prior.config.box, body.bone_transforms, grids, of_hand.cpu()),
            body.root.to(like),
            occupancy_grid(body.vertices, band_m),
            fields.pose_encoder(hand_pose.to(like)),
            beliefs_of(prior, photos[0].betas, like),
        )


def posing_model(model: HandModel, provenance: Mapping[str, Any]) -> HandModel:
    """The hand model as finely subdivided as the prior was trained with; as published where it does not say.

    Raises PriorError for a provenance that says nonsense.
    """
    said = provenance.get("configuration")
    said = said if isinstance(said, dict) else {}
    rounds, smooth = said.get("subdivision", 2), said.get("smooth_template", True)
    if type(rounds) is not int or not 0 <= rounds <= LARGEST_SUBDIVISION or not isinstance(smooth, bool):
        raise PriorError("the prior's description of its hand's subdivision makes no sense: copy it again")
    fine = subdivide_model(model, rounds)
    return smooth_template(fine) if smooth else fine


def first_unknowns(posed: PosedPrior, light: Tensor | None, shape: Tensor | None = None) -> Unknowns:
    """Codes at the prior's mean, and its light [L,7] (an even grey one where it has none). Leaves.

    shape: [K] coefficients to start from instead (`palm_beliefs`).
    """
    like = posed.root
    start = fibonacci_sg_light() if light is None else light
    values = (
        like.new_zeros(len(posed.shape_basis.components)) if shape is None else shape.to(like).clone(),
        like.new_zeros(len(posed.appearance_basis.components)),
        start.detach().to(like).clone(),
    )
    return Unknowns(*(value.requires_grad_(True) for value in values))
