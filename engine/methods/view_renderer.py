"""The neural renderer at many pixels: what a vertex tells it at every pose is worked out once and interpolated.

The encoding of places in the rest hand is interpolated between vertices in place of encoding interpolated places: its shortest
wave is 5 cm long and a fine mesh's edges 2 mm, so pictures differ by less than an 8-bit step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..fields.neural_renderer import CLEAREST, PLACE_RATE
from ..rendering.mesh import SurfaceView
from ..rendering.rasterize import interpolate
from .view_hand import ViewMesh
from .xhand_model import Camera, XHandModel, eye_of

PIXELS = 8192
"""That go through all layers before the next ones: their numbers stay in the processor's cache."""


class FastRenderer:
    """`XHandModel.neural_points` without gradient."""

    def __init__(self, model: XHandModel):
        renderer, self.faces = model.renderer, model.topology.faces
        self.skip, self.width = renderer.skip, renderer.config.width
        self.encoded, self.directions = renderer.config.encoded, renderer.directions
        self.octaves, self.mirrored = renderer.config.octaves, renderer.config.mirrored
        with torch.no_grad():
            constant = torch.cat(
                [
                    model.displacement.latent,
                    model.albedo.latent,
                    renderer.codes,
                    renderer.encode(PLACE_RATE * model.rest_vertices),
                ],
                dim=1,
            )
            code = constant.shape[1]
            own = renderer.first.in_features - model.condition(model.pose_range.mean).numel()
            self.layers: list[tuple[Tensor, Tensor]] = []
            shares = []
            for number, layer in enumerate([renderer.first, *renderer.hidden]):
                assert isinstance(layer, nn.Linear)
                weight = layer.weight.detach()
                values = 0 if number == 0 else self.width
                if number in (0, self.skip):
                    shares.append(weight[:, values + 9 : values + 9 + code])
                    changing = [
                        weight[:, :values],
                        weight[:, values : values + 9],
                        weight[:, values + 9 + code : values + own],
                    ]
                    weight = torch.cat(changing, dim=1)
                self.layers.append((weight.T.contiguous(), layer.bias.detach()))
            self.condition = renderer.first.weight.detach()[:, own:].T.contiguous()
            self.last = (renderer.out.weight.detach().T.contiguous(), renderer.out.bias.detach())
            # either what the vertices add to the two layers, or what they would be asked for: whichever is smaller
            narrow = len(shares) * self.width < code
            self.at_vertices = constant @ torch.cat(shares).T if narrow else constant.clone()
            self.shares = None if narrow else torch.cat(shares).T.contiguous()

    def __call__(self, view: SurfaceView, mesh: ViewMesh, camera: Camera, shaded: Tensor) -> Tensor:
        """sRGB-encoded colours [P,3] in [0,1] of the visible points, from those of inverse rendering."""
        assert mesh.albedo is not None and mesh.condition is not None
        eye = eye_of(camera, mesh.vertices)
        changing = torch.cat([mesh.vertices, mesh.normals, mesh.albedo], dim=1)
        bias = torch.addmv(self.layers[0][1], self.condition.T, mesh.condition)
        colours = torch.empty_like(shaded)
        size = PIXELS if shaded.device.type == "cpu" else max(len(shaded), 1)
        for first in range(0, len(shaded), size):
            part = slice(first, first + size)
            corners, weights = self.faces[view.fragments.faces[part]], view.fragments.barycentric[part]
            points, normals, albedo = interpolate(changing, corners, weights).split(3, dim=1)
            told = interpolate(self.at_vertices, corners, weights)
            told = told if self.shares is None else told @ self.shares
            normals, rays = normalize(normals, dim=1), normalize(points - eye, dim=1)
            parts = [shaded[part], normals, albedo, self._encode(rays)]
            if self.mirrored:
                parts.append(self._encode(rays - 2 * (rays * normals).sum(1, keepdim=True) * normals))
            inputs = torch.cat(parts, dim=1)
            colours[part] = self._through(inputs, told, shaded[part], bias)
        return colours

    def _through(self, inputs: Tensor, told: Tensor, shaded: Tensor, bias: Tensor) -> Tensor:
        """The layers. told [P,2·width]: the vertices' share of the first one and of the one with the skip."""
        values = torch.addmm(told[:, : self.width] + bias, inputs, self.layers[0][0])
        for number, (weight, own_bias) in enumerate(self.layers[1:], start=1):
            values.relu_()
            if number == self.skip:
                values = torch.addmm(told[:, self.width :] + own_bias, torch.cat([values, inputs], dim=1), weight)
            else:
                values = torch.addmm(own_bias, values, weight)
        start = torch.logit(shaded.clamp(CLEAREST, 1 - CLEAREST))
        return torch.sigmoid(start + torch.addmm(self.last[1], values.relu_(), self.last[0]))

    def _encode(self, rays: Tensor) -> Tensor:
        """`NeuralRenderer.encode`, with further octaves from the first one's sines and cosines."""
        if not self.encoded:
            return rays
        along = rays @ self.directions.T
        sine, cosine = torch.sin(along), torch.cos(along)
        parts = [rays, sine, cosine]
        for _ in range(self.octaves - 1):
            sine, cosine = 2 * sine * cosine, 1 - 2 * sine * sine
            parts += [sine, cosine]
        return torch.cat(parts, dim=1)
