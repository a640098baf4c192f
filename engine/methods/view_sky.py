"""A learned sky in real time: its brightest directions cast shadows, the dim rest lights as if nothing were hidden."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..hand.mano import skin
from ..lighting.spherical_harmonics import project_radiance, sh_irradiance
from ..rendering.sky_visibility import sky_visibility
from .view_hand import ViewMesh
from .xhand_model import Camera, XHandModel, eye_of

BRIGHT_SHARE = 0.9
"""Of the light, whose directions are looked for behind fingers. With a quarter as many rays, a learned hand loses 0.01 dB."""


def harmonics(model: XHandModel) -> Tensor:
    """[9,3] radiance coefficients of the mean of a model's lights."""
    light = model.light_of().detach()
    if model.sky is None:
        return light
    directions = model.sky.directions
    return project_radiance(light, directions, directions.new_full((len(light),), 4 * math.pi / len(light)))


class FastSky:
    """`XHandModel.shade` and `gloss` without gradient, of the mean of a model's lights."""

    def __init__(self, model: XHandModel):
        assert model.sky is not None and model.between is not None
        self.sky, self.between, self.faces = model.sky, model.between, model.coarse_faces
        self.weights = model.template.skinning_weights[: self.between.shape[1]]
        light = model.light_of().detach()
        order = light.sum(1).argsort(descending=True)
        share = light.sum(1)[order].cumsum(0) / light.sum()
        bright = order[: int((share < BRIGHT_SHARE).sum()) + 1]
        self.directions, self.radiance = model.sky.directions[bright], light[bright]
        dim = torch.ones(len(light), dtype=torch.bool, device=light.device)
        dim[bright] = False
        area = model.sky.directions.new_full((int(dim.sum()),), 4 * math.pi / len(light))
        self.dim = project_radiance(light[dim], model.sky.directions[dim], area)
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def coarse(self, corrected: Tensor, transforms: Tensor) -> Tensor:
        """[C,3] metres, world: the hand model's own shape at rest [C,3] under the joints' transforms [16,4,4]."""
        return skin(corrected, transforms, self.weights)

    def __call__(self, mesh: ViewMesh, camera: Camera, turn: Tensor) -> Tensor:
        """[V,3] linear colours of the vertices; turn [3,3] of the light's directions."""
        assert mesh.albedo is not None and mesh.coarse is not None
        directions = self.directions @ turn.T
        seen = self._seen(mesh.coarse, directions)
        matt = self.sky.matt(self.radiance, mesh.normals, mesh.albedo, seen, directions)
        dim = (sh_irradiance(self.dim, mesh.normals @ turn) / math.pi).clamp_min(0)
        rays = normalize(mesh.vertices - eye_of(camera, mesh.vertices), dim=1)
        gloss = self.sky.gloss(self.radiance, mesh.normals, rays, seen, directions)
        return matt + mesh.albedo * dim + gloss

    def _seen(self, coarse: Tensor, directions: Tensor) -> Tensor:
        """[V,B] in [0,1]; of the same hand under the same light, what was found last."""
        if self._last is None or self._last[0] is not coarse or not torch.equal(self._last[1], directions):
            found = self.between @ sky_visibility(coarse, self.faces, directions).to(coarse)
            self._last = (coarse, directions, found)
        return self._last[2]
