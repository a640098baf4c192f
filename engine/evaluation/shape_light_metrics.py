"""How well surface and light were found: angles between normals, and an environment against the true one. Pure functions."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..lighting.color import luminance
from ..lighting.environment import equirect_grid, irradiance

COMPARED_ROWS = 32
"""Of environments when they are compared: 5.6° a texel, finer than what a hand's shading tells."""


def normal_angle_deg(prediction: Tensor, target: Tensor, visible: Tensor) -> float:
    """Mean angle in degrees between unit normals [H,W,3] over visible [H,W] bool."""
    cosine = (normalize(prediction[visible], dim=-1) * normalize(target[visible], dim=-1)).sum(-1)
    return float(torch.rad2deg(torch.acos(cosine.double().clamp(-1, 1))).mean())


class LightError(NamedTuple):
    """An estimated environment against the true one."""

    irradiance_error: float
    """Relative L2 of the irradiance on all directions after the best common factor: what matt skin would see. 0 is right, 1 is
    as good as black."""
    radiance_error: float
    """The same of the radiance itself, at `COMPARED_ROWS` rows."""
    direction_cosine: float
    """Of the directions from which most light comes (the mean direction, weighted by luminance). 1 is right."""
    brightness: float
    """Mean luminance over the true one. A skin that is too dark goes with a light that is too bright."""


def light_error(estimate: Tensor, truth: Tensor) -> LightError:
    """Both [H,2H,3] linear radiance ≥ 0 in the same world axes; sizes may differ."""
    found, wanted = (averaged(image, COMPARED_ROWS).double() for image in (estimate, truth))
    directions, solid_angles = equirect_grid(COMPARED_ROWS, found)
    normals, weight = directions.reshape(-1, 3), solid_angles.reshape(-1, 1)
    received = (irradiance(found, normals), irradiance(wanted, normals))
    sums = [(luminance(image).reshape(-1, 1) * weight) for image in (found, wanted)]
    towards = [normalize((total * normals).sum(0), dim=0) for total in sums]
    return LightError(
        _relative_l2(received[0], received[1], weight),
        _relative_l2(found.reshape(-1, 3), wanted.reshape(-1, 3), weight),
        float((towards[0] * towards[1]).sum()),
        float(sums[0].sum() / sums[1].sum().clamp_min(1e-12)),
    )


def _relative_l2(found: Tensor, wanted: Tensor, weight: Tensor) -> float:
    factor = (weight * found * wanted).sum() / (weight * found * found).sum().clamp_min(1e-30)
    left = (weight * (factor * found - wanted) ** 2).sum()
    return math.sqrt(float(left / (weight * wanted**2).sum().clamp_min(1e-30)))


def averaged(environment: Tensor, rows: int) -> Tensor:
    """[rows,2·rows,3] means over the texels of an environment [H,W,3], which is enlarged where it has fewer."""
    planes = environment.permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(planes, size=(rows, 2 * rows), mode="area")
    return small[0].permute(1, 2, 0).contiguous()
