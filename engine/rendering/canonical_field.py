"""A trained prior's hand as the plain functions of canonical points that meshing and baking ask."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import AvatarError
from ..fields.bands import Bands
from ..fields.conditions import Conditions
from ..fields.model import PalmFields
from ..lighting.brdf import BRDFS
from .field_bake import CanonicalField


def canonical_field(
    fields: PalmFields, conditions: Conditions, bands: Bands, brdf: str = "palm", hand: int = 0
) -> CanonicalField:
    """The field of one hand of the conditions, without gradient to the weights.

    conditions: of B hands, `hand` among them at zero pose, for the avatar's own correctives add the pose; brdf: the name of the
    one that the materials were fitted with. The textures are for the principled shader: its GGX width is the roughness
    squared, PALM's the roughness itself, so PALM's is stored as its root; what is metallic has no diffuse part, and skin's
    textures have no metallic map, so albedo is the diffuse share, (1 − metallic) · albedo. Raises AvatarError.
    """
    if brdf not in BRDFS:
        raise AvatarError(f"unknown reflectance {brdf!r}: choose one of {', '.join(sorted(BRDFS))}")

    def owner(points: Tensor) -> Tensor:
        return torch.full((len(points),), hand, dtype=torch.int64, device=points.device)

    def sdf_and_gradient(points: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            sample = fields.geometry(points, owner(points), conditions, bands, with_gradient=True)
        return sample.sdf, sample.gradient

    def sdf(points: Tensor) -> Tensor:
        with torch.no_grad():
            return fields.geometry(points, owner(points), conditions, bands, with_gradient=False).sdf

    def materials(points: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            feature = fields.geometry(points, owner(points), conditions, bands, with_gradient=False).feature
            encoding = fields.appearance_encoding(points, bands)
            found = fields.material(encoding, feature, owner(points), conditions)
            albedo = (1 - found.metallic)[:, None] * found.albedo
            return albedo, found.roughness.sqrt() if brdf == "palm" else found.roughness

    return CanonicalField(sdf_and_gradient, materials, sdf)
