"""What is known about skin colour before looking: used to split light from albedo and to guess skin that no photo shows.

Colours are natural logarithms of linear Rec.709 reflectance. The values are round figures of published spectrophotometry of
volar and dorsal skin over Fitzpatrick types I to VI (L* 35..67, a* 8..14, b* 12..20 at D65).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .regions import HandPoints, fingertip_weight, knuckle_weight

MEAN_LOG_LUMINANCE, STD_LOG_LUMINANCE = -1.45, 0.45
MEAN_LOG_RED_GREEN, STD_LOG_RED_GREEN = 0.54, 0.10
MEAN_LOG_GREEN_BLUE, STD_LOG_GREEN_BLUE = 0.40, 0.12
LIGHT_MEAN_LOG_LUMINANCE, LIGHT_STD_LOG_LUMINANCE = -0.1, 0.35
LIGHT_STD_WARMTH, LIGHT_STD_TINT = 0.22, 0.06
"""Light varies along the black-body locus, where red over green and green over blue move together, far more than across it."""

REGION_NAMES = ("palm", "nail", "knuckle", "fingertip")
REGION_OFFSETS = (
    (0.20, 0.12, 0.13),
    (0.16, 0.09, 0.24),
    (-0.05, -0.12, -0.10),
    (0.03, -0.07, -0.04),
)
"""Log colour of each region relative to the back of a light-skinned hand."""
REGION_STDS = (0.05, 0.12, 0.10, 0.08)
MELANIN_LOSS = (0.50, 0.55, 0.58)
"""Palms and nail beds hold little melanin: share of the logarithmic darkening below LIGHT_SKIN_LUMINANCE that they lack."""
LIGHT_SKIN_LUMINANCE = 0.26


def _axes(log_color: Tensor) -> Tensor:
    """Log RGB [3] → [3]: weighted mean, red over green, green over blue."""
    r, g, b = log_color.unbind(-1)
    return torch.stack([0.25 * r + 0.65 * g + 0.10 * b, r - g, g - b], dim=-1)


def _from_axes(axes: Tensor) -> Tensor:
    mean, red_green, green_blue = axes.unbind(-1)
    g = mean - 0.25 * red_green + 0.10 * green_blue
    return torch.stack([g + red_green, g, g - green_blue], dim=-1)


def split_light_from_skin(observed: Tensor) -> tuple[Tensor, Tensor]:
    """Most probable (skin albedo, light) whose product is an observed mean colour.

    observed [3] linear. The product leaves one degree of freedom per channel; skin's known range and light's known range
    (near the black-body locus, exposed for a white surface near 0.9) divide it by their variances. Returns two [3] linear
    colours.
    """
    axes = _axes(torch.log(observed.clamp_min(1e-4)))
    skin_mean = axes.new_tensor([MEAN_LOG_LUMINANCE, MEAN_LOG_RED_GREEN, MEAN_LOG_GREEN_BLUE])
    skin_covariance = torch.diag(axes.new_tensor([STD_LOG_LUMINANCE, STD_LOG_RED_GREEN, STD_LOG_GREEN_BLUE]) ** 2)
    light_mean = axes.new_tensor([LIGHT_MEAN_LOG_LUMINANCE, 0.0, 0.0])
    warmth, tint = LIGHT_STD_WARMTH**2, LIGHT_STD_TINT**2
    light_covariance = torch.zeros_like(skin_covariance)
    light_covariance[0, 0] = LIGHT_STD_LOG_LUMINANCE**2
    light_covariance[1:, 1:] = axes.new_tensor(
        [[(warmth + tint) / 2, (warmth - tint) / 2], [(warmth - tint) / 2, (warmth + tint) / 2]]
    )
    surprise = axes - skin_mean - light_mean
    skin = skin_mean + skin_covariance @ torch.linalg.solve(skin_covariance + light_covariance, surprise)
    return torch.exp(_from_axes(skin)), torch.exp(_from_axes(axes - skin))


class RegionModel(NamedTuple):
    """Mean log colour of a hand's regions."""

    back: Tensor
    """[3] log albedo of the back of the hand."""
    offsets: Tensor
    """[4,3] of REGION_NAMES relative to it."""

    def colors(self, features: Tensor) -> Tensor:
        """[N,3] log albedo of points with region features [N,4]."""
        return self.back + features @ self.offsets


def region_features(points: HandPoints) -> Tensor:
    """[N,4] membership in REGION_NAMES."""
    skin = 1 - points.nail
    return torch.stack(
        [points.palm * skin, points.nail, knuckle_weight(points) * skin, fingertip_weight(points) * points.palm], dim=1
    )


def fit_regions(log_albedo: Tensor, features: Tensor, weight: Tensor) -> RegionModel:
    """Region colours from what was observed; regions that were not seen keep their usual relation to those that were.

    log_albedo [N,3]; features [N,4]; weight [N] ≥ 0, its sum counts observations in units of independent skin patches.
    Ridge regression with Gaussian priors on the offsets, and a very wide one on the back's colour.
    """
    stds = log_albedo.new_tensor(REGION_STDS)
    design = torch.cat([torch.ones_like(features[:, :1]), features], dim=1)
    # 40 patches of skin that vary by 15 % are worth about this many independent measurements
    scaled = weight / weight.sum().clamp_min(1e-9) * 40.0
    gram = design.T @ (scaled[:, None] * design) / 0.15**2
    right = design.T @ (scaled[:, None] * log_albedo) / 0.15**2
    precision = torch.cat([stds.new_tensor([1e-2]), 1 / stds**2])
    prior = torch.zeros(5, 3).to(log_albedo)
    prior[0] = _from_axes(stds.new_tensor([MEAN_LOG_LUMINANCE, MEAN_LOG_RED_GREEN, MEAN_LOG_GREEN_BLUE]))
    for _ in range(3):
        # The palm's usual lead over the back depends on how dark the back is, which is being estimated.
        solution = torch.linalg.solve(gram + torch.diag(precision), right + precision[:, None] * prior)
        luminance = torch.exp(solution[0]) @ solution.new_tensor([0.2126, 0.7152, 0.0722])
        darkening = torch.log(LIGHT_SKIN_LUMINANCE / luminance).clamp_min(0)
        prior[1:] = log_albedo.new_tensor(REGION_OFFSETS)
        prior[1:3] += darkening * log_albedo.new_tensor(MELANIN_LOSS)
    return RegionModel(solution[0], solution[1:])


def limit_shading_leftovers(log_residual: Tensor, lightness: float | Tensor = 0.16, chroma: float = 0.10) -> Tensor:
    """Deviations [N,3] of broad skin colour from its region, held within what skin itself does.

    Over centimetres, skin of one region varies by some 15 %; a stronger deviation is light that the model of the light did
    not explain. Small deviations pass unchanged, large ones saturate at `lightness` (mean of the channels; a number or
    [N,1]) and `chroma`.
    """
    mean = log_residual.mean(1, keepdim=True)
    return lightness * torch.tanh(mean / lightness) + chroma * torch.tanh((log_residual - mean) / chroma)
