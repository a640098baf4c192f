"""PALM's implicit hands: posed space by inverse skinning, geometry and looks by the fields."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..fields.bands import Bands
from ..fields.model import Conditions, PalmFields
from ..hand.deformer import Canonical, Deformer, attach_pose_gradient, canonicalise, forward_skinning
from .occupancy import Occupancy
from .ray_sets import rotate_to_world
from .scene import Appearance, SurfaceSample


class ImplicitHand(NamedTuple):
    """B posed hands of one set of fields; an `ImplicitScene`."""

    fields: PalmFields
    deformer: Deformer
    conditions: Conditions
    """Of the B hands."""
    bands: Bands
    root: Tensor
    """[B,4,4] root space → world, rigid."""
    occupancy: Occupancy

    def query_sdf(self, points_s: Tensor, hand: Tensor) -> Canonical:
        """Canonical points of least signed distance for root-space points [N,3] of hands [N]. No gradient."""

        def distance(points_c: Tensor, owner: Tensor) -> Tensor:
            return self.fields.geometry(points_c, owner, self.conditions, self.bands, with_gradient=False).sdf

        with torch.no_grad():
            return canonicalise(self.deformer, points_s, hand, distance)

    def evaluate(
        self, points_s: Tensor, canonical: Canonical, hand: Tensor, gradient: bool = True, pose_gradient: bool = False
    ) -> SurfaceSample:
        """Geometry at points that `query_sdf` has placed.

        With pose_gradient, canonical points and the turn of gradients follow the deformer's bone transforms, the root and the
        points themselves (a root that moves under a fixed ray).
        """
        points_c, linear, root = canonical.points, canonical.linear, self.root
        if not pose_gradient:
            root = root.detach()
        else:
            points_c = attach_pose_gradient(self.deformer, points_c, canonical.inverse_jacobian, hand)
            moved = points_s - points_s.detach()
            points_c = points_c + (canonical.inverse_jacobian @ moved[..., None])[..., 0]
            linear = forward_skinning(self.deformer, points_c, hand)[1]
        sample = self.fields.geometry(points_c, hand, self.conditions, self.bands, with_gradient=gradient)
        if sample.gradient is None:
            return SurfaceSample(points_c, hand, canonical.valid, sample.sdf, sample.feature, None, None, None)
        gradient_s = (linear @ sample.gradient[..., None])[..., 0]
        normals = normalize(rotate_to_world(root, hand, gradient_s), dim=1, eps=1e-6)
        return SurfaceSample(
            points_c, hand, canonical.valid, sample.sdf, sample.feature, sample.gradient, gradient_s, normals
        )

    def density(self, sdf: Tensor) -> Tensor:
        """1/m, of signed distances in metres."""
        return self.fields.density(sdf)

    def appearance(self, sample: SurfaceSample, directions_w: Tensor | None, materials: bool) -> Appearance:
        """Radiance along viewing directions [N,3], and materials, of samples that have normals."""
        if directions_w is None and not materials:
            return Appearance(None, None)
        encoding = self.fields.appearance_encoding(sample.points_c, self.bands)
        radiance, looks = None, None
        if directions_w is not None:
            if sample.normals_w is None:
                raise ValueError("radiance needs samples with normals: evaluate them with gradient=True")
            radiance = self.fields.radiance(
                encoding, sample.feature, directions_w, sample.normals_w, sample.hand, self.conditions, self.bands
            )
        if materials:
            looks = self.fields.material(encoding, sample.feature, sample.hand, self.conditions)
        return Appearance(radiance, looks)
