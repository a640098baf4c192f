"""PALM without light modelling, for the ablation: what the radiance field shows is taken for the skin's albedo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..avatar.folder import Avatar
from ..avatar.texture_files import write_png8
from ..fields.bands import all_bands
from ..fields.conditions import Conditions
from ..hand.canonical import CanonicalBox
from ..hand.model import open_hand_model
from ..hand.rotations import axis_angle_to_matrix
from ..methods.palm import PersonalHand
from ..methods.palm_avatar import METHOD, capture_info, kept_template, personal_field
from ..methods.palm_hands import code_of
from ..methods.photo_input import CapturedPhoto
from ..methods.physical_rerender import physical_sheet, rerender_at_capture
from ..rendering.avatar_bake import BakeConfig, bake_avatar
from ..rendering.field_bake import CanonicalField

ENVIRONMENT_ROWS = 16
PREVIEW_PX = 320


def unlit_field(hand: PersonalHand, global_orient: Tensor) -> CanonicalField:
    """The found hand whose albedo is its radiance, each point seen head-on and turned as the photo's palm is.

    global_orient [3] axis-angle of the photo's hand: the radiance field knows the light by world normals. Roughness stays.
    """
    posed, unknowns = hand.posed, hand.unknowns
    lit = personal_field(hand)
    turn = axis_angle_to_matrix(global_orient.to(posed.root))
    with torch.no_grad():
        codes = [
            code_of(values, basis)[None]
            for values, basis in (
                (unknowns.shape, posed.shape_basis),
                (unknowns.appearance, posed.appearance_basis),
            )
        ]
        conditions = Conditions(posed.fields.pose_encoder(posed.pose.new_zeros(1, 45)), codes[0], codes[1])
    bands = all_bands(posed.fields.config, posed.root.device)

    def materials(points: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            owner = torch.zeros(len(points), dtype=torch.int64, device=points.device)
            sample = posed.fields.geometry(points, owner, conditions, bands, with_gradient=True)
            normals = normalize(sample.gradient, dim=1, eps=1e-6) @ turn.T
            encoding = posed.fields.appearance_encoding(points, bands)
            shown = posed.fields.radiance(encoding, sample.feature, -normals, normals, owner, conditions, bands)
            return shown, lit.materials(points)[1]

    return CanonicalField(lit.sdf_and_gradient, materials, lit.sdf)


def write_unlit_avatar(
    folder: Path,
    hand: PersonalHand,
    box: CanonicalBox,
    seen: CapturedPhoto,
    config: BakeConfig,
    prior: str,
    provenance: Mapping[str, Any],
    rest_vertices: Tensor | None = None,
) -> Avatar:
    """Write FOLDER, replacing what is there; its environment is even and white, because nothing was estimated.

    hand: fitted without the physical stage; seen: a right hand's photo; rest_vertices: as `bake_personal` takes them: the mesh
    is the one that the other avatars have. Raises AvatarError, OutputError.
    """
    capture = seen.capture
    betas = torch.as_tensor(capture.betas).float()
    model = open_hand_model("right")

    def write_pictures(temporary: Path, avatar: Avatar) -> dict[str, Any]:
        write_png8(temporary / "photo.png", seen.image)
        write_png8(temporary / "mask.png", (seen.mask * 255).astype("uint8"))
        shown = rerender_at_capture(avatar, PREVIEW_PX)
        write_png8(temporary / "preview.png", physical_sheet(avatar, shown))
        return dict(shown.score.as_metrics())

    return bake_avatar(
        folder,
        unlit_field(hand, torch.as_tensor(capture.global_orient).float()),
        model,
        betas,
        box,
        capture_info(capture),
        # every albedo a shows a under it
        torch.full((ENVIRONMENT_ROWS, 2 * ENVIRONMENT_ROWS, 3), 1.0),
        write_pictures,
        method=METHOD,
        prior=prior,
        provenance=provenance,
        config=config,
        force=True,
        kept=kept_template(hand, model, betas, config, rest_vertices),
    )
