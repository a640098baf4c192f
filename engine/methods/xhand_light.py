"""The first light: what explains the pictures best if all skin were alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..lighting.color import srgb_to_linear
from ..lighting.spherical_harmonics import radiance_from_irradiance, sh_basis
from ..rendering.mesh import surface_values
from .xhand_model import FIRST_ALBEDO, Posed, XHandModel
from .xhand_pictures import HandPictures, Target

SHRINK = 4
RIDGE = 1e-2
"""Of the mean diagonal: of directions that no pixel tells of, harmonics stay dim, and a sky is even."""
LEAST_PX = 32
MOST_PX = 400
"""Of a picture, evenly chosen: a sky's fit keeps a number for each of its directions a pixel."""
ROUNDS = 300
FAINTEST = 1e-3
"""Of the mean radiance: a direction darker than this could not be found again, as its logarithm is learned."""
DARK = 0.05
"""Linear, of skin: what is darker does not count more, though its sRGB code is steeper."""


@torch.no_grad()
def start_light(model: XHandModel, pictures: HandPictures, moments: Sequence[int]) -> None:
    """Fit the model's lights to the pictures of some moments (indices) by least squares, on the undisplaced hand.

    Without it shading is learned as paint, long before the light has found its way. A light whose camera shows too little stays.
    """
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for number in moments:
        posed = model.posed(*pictures.moments[number][1:], features=model.mean_features())
        for camera, picture in pictures.views[number].items():
            name = camera if camera in model.cameras else model.cameras[0]
            found.setdefault(name, []).append(_told(model, posed, picture.target(SHRINK, posed.vertices)))
    plain = model.rest_vertices.new_tensor(FIRST_ALBEDO)
    for name, parts in found.items():
        shares, colors = (torch.cat(column) for column in zip(*parts, strict=True))
        if len(shares) >= LEAST_PX:
            fit = harmonics_of if model.sky is None else log_sky_of
            model.light[model.cameras.index(name)] = fit(shares, colors / plain)


def _told(model: XHandModel, posed: Posed, target: Target) -> tuple[Tensor, Tensor]:
    """Of pixels inside the hand: what each of a light's numbers adds to white skin [P,K], and their colours [P,3], linear."""
    view = model.view(posed, target.camera)
    pixels = view.fragments.pixels
    inner = (target.mask.reshape(-1)[pixels] > 0.99) & (target.weight.reshape(-1)[pixels] > 0)
    inner &= torch.arange(len(pixels), device=pixels.device) % max(1, -(-len(pixels) // MOST_PX)) == 0
    colors = srgb_to_linear(target.color.reshape(-1, 3)[pixels][inner])
    normals = normalize(surface_values(view, posed.normals, model.topology.faces)[inner], dim=1)
    if model.sky is None:
        return sh_basis(normals), colors
    shares = (normals @ model.sky.directions.T).clamp_min(0) * (4 / len(model.sky.directions))
    if posed.visibility is not None:
        shares = shares * surface_values(view, posed.visibility, model.topology.faces)[inner]
    return shares, colors


def harmonics_of(basis: Tensor, received: Tensor) -> Tensor:
    """[9,3] radiance whose irradiance / π, of normals' basis [N,9], is nearest to `received` [N,3]."""
    basis = basis.double()
    square = basis.T @ basis
    ridge = RIDGE * square.diagonal().mean() * torch.eye(9).to(square)
    ridge[0, 0] = 0
    coefficients = torch.linalg.solve(square + ridge, basis.T @ received.double())
    return radiance_from_irradiance(torch.pi * coefficients).to(received)


def log_sky_of(shares: Tensor, received: Tensor) -> Tensor:
    """[D,3] logarithms of the radiance ≥ 0 that explains what points received [N,3], each direction's share [N,D] of it.

    By multiplicative steps (Lee and Seung 2001, eq. 4), which keep their sign; bright points weigh less, as in sRGB code.
    Directions that no point saw get the even radiance that explains them best: dark ones would leave a hand's back black.
    """
    weight = 1 / (received.mean(1, keepdim=True) + DARK)
    matrix, wanted = (shares * weight).double(), (received * weight).double()
    even = matrix.sum(1, keepdim=True)
    usual = (even * wanted).sum(0) / even.square().sum().clamp_min(1e-12)
    square, told = matrix.T @ matrix, matrix.T @ wanted
    ridge = RIDGE * float(square.diagonal().mean())
    radiance = usual.expand_as(told)
    for _ in range(ROUNDS):
        radiance = radiance * (told + ridge * usual) / (square @ radiance + ridge * radiance).clamp_min(1e-12)
    return radiance.clamp_min(FAINTEST * float(radiance.mean())).log().to(received)
