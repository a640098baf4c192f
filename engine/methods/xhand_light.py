"""The first light: what explains the pictures best if all skin were alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..lighting.color import srgb_to_linear
from ..lighting.spherical_harmonics import radiance_from_irradiance, sh_basis
from ..rendering.mesh import surface_values
from .xhand_model import FIRST_ALBEDO, XHandModel
from .xhand_pictures import HandPictures

SHRINK = 4
RIDGE = 1e-2
"""Of the mean diagonal: directions that no normal tells of stay dim."""
LEAST_PX = 32


@torch.no_grad()
def start_light(model: XHandModel, pictures: HandPictures, moments: Sequence[int]) -> None:
    """Fit the model's lights to the pictures of some moments (indices) by least squares, on the undisplaced hand.

    Without it shading is learned as paint, long before the light has found its way. A light whose camera shows too little stays.
    """
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for number in moments:
        posed = model.posed(*pictures.moments[number][1:], features=model.mean_features())
        for camera, picture in pictures.views[number].items():
            target = picture.target(SHRINK, posed.vertices)
            view = model.view(posed, target.camera)
            pixels = view.fragments.pixels
            inner = (target.mask.reshape(-1)[pixels] > 0.99) & (target.weight.reshape(-1)[pixels] > 0)
            normals = surface_values(view, posed.normals, model.topology.faces)[inner]
            colors = srgb_to_linear(target.color.reshape(-1, 3)[pixels][inner])
            name = camera if camera in model.cameras else model.cameras[0]
            found.setdefault(name, []).append((normals, colors))
    plain = model.rest_vertices.new_tensor(FIRST_ALBEDO)
    for name, parts in found.items():
        normals, colors = (torch.cat(column) for column in zip(*parts, strict=True))
        if len(normals) >= LEAST_PX:
            model.light[model.cameras.index(name)] = _fit(normals, colors / plain)


def _fit(normals: Tensor, received: Tensor) -> Tensor:
    """[9,3] radiance whose irradiance / π on unit normals [N,3] is nearest to `received` [N,3]."""
    basis = sh_basis(torch.nn.functional.normalize(normals, dim=1)).double()
    square = basis.T @ basis
    ridge = RIDGE * square.diagonal().mean() * torch.eye(9).to(square)
    ridge[0, 0] = 0
    coefficients = torch.linalg.solve(square + ridge, basis.T @ received.double())
    return radiance_from_irradiance(torch.pi * coefficients).to(normals)
