"""Light fitted to one picture with everything else known: how an avatar would look if its light had been found."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..lighting.color import srgb_to_linear
from ..lighting.environment import blender_world, equirect_grid, irradiance
from ..lighting.spherical_harmonics import radiance_from_irradiance, sh_basis, sh_radiance
from .avatar_picture import AvatarPicture
from .true_frame import TrueFrame

ROWS = 32
RIDGE = 1e-3
"""Of the mean diagonal: directions that no normal tells of stay dim."""
LEAST_PX = 64
WHOLE = 0.999


def fitted_environment(picture: AvatarPicture, truth: TrueFrame) -> Tensor | None:
    """[32,64,3] radiance ≥ 0 that explains a true picture on the avatar's albedo and normals; None where too little is shared.

    Matt skin sees a light's first nine harmonics (Ramamoorthi and Hanrahan 2001); they are fitted by least squares to linear
    colours, in the world's axes, without shadows. What is negative of their radiance is cut off, and each channel scaled so
    that it fits best again. The picture's pixels are used, and so this is a fit to the test picture: an upper bound, no result.
    """
    shared = truth.mask & (picture.coverage > WHOLE) & (picture.mapped_normals.abs().amax(-1) > 0)
    if int(shared.sum()) < LEAST_PX:
        return None
    observed = srgb_to_linear(truth.image_srgb[shared]).double()
    albedo = srgb_to_linear(picture.albedo_srgb[shared]).double().clamp_min(1e-3)
    turn = truth.world_to_camera[:3, :3].double()
    normals = blender_world(normalize(picture.mapped_normals[shared].double(), dim=1) @ turn)
    basis = sh_basis(normals)
    received = torch.stack([_least_squares(basis * albedo[:, c : c + 1], observed[:, c]) for c in range(3)], dim=1)
    directions, _ = equirect_grid(ROWS, basis)
    radiance = sh_radiance(radiance_from_irradiance(math.pi * received), directions.reshape(-1, 3))
    environment = radiance.reshape(ROWS, 2 * ROWS, 3).clamp_min(0)
    shown = albedo * irradiance(environment, normals) / math.pi
    scale = (shown * observed).sum(0) / (shown * shown).sum(0).clamp_min(1e-12)
    return (environment * scale).float()


def _least_squares(matrix: Tensor, target: Tensor) -> Tensor:
    """[9] of matrix [P,9] and target [P], with a ridge that leaves the mean light free."""
    normal = matrix.T @ matrix
    ridge = RIDGE * normal.diagonal().mean() * torch.ones(matrix.shape[1]).to(normal)
    ridge[0] = 0
    return torch.linalg.solve(normal + torch.diag(ridge), matrix.T @ target)
