"""A first guess of the light from one photo, with skin of one colour per region as the unknown reflector."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..avatar.skin_color import split_light_from_skin
from ..lighting.color import luminance
from ..lighting.lamp import LampLight
from ..lighting.sphere_sampling import fibonacci_sphere

MIN_AMBIENT_SHARE = 0.25
"""Of the light on a surface that faces the lamp: rooms and skies throw light back."""
SHADOW_CANDIDATES = 40
"""Directions that are compared again with shadows."""


KEPT_SHARE = 0.96
"""Of the points that judge a direction: nails, dirt and edges may disagree, a false shadow may not."""
GRAZING_COST = 0.05
"""Added to a direction's log error per unit that it turns from the camera's side: photos are taken with the light behind
or above the photographer, and grazing light makes every small error of the shape count."""


class LightEstimate(NamedTuple):
    light: LampLight
    albedo: Tensor
    """[3] linear mean albedo of the back of the hand."""
    fit_error: Tensor
    """() root mean square of the relative error of luminance, over the points that fit best (KEPT_SHARE)."""


def estimate_light(
    observed: Tensor,
    normals: Tensor,
    openness: Tensor,
    relative_albedo: Tensor,
    weight: Tensor,
    visibility: Callable[[Tensor], Tensor] | None = None,
) -> LightEstimate:
    """Ambient and lamp that explain a photo's shading best.

    observed [P,3] linear colours; normals [P,3] unit, camera frame; openness [P] ambient visibility; relative_albedo
    [P,3] expected albedo of each point over that of the back of the hand; weight [P] ≥ 0; visibility: shadow test, from
    a direction [3] to [P] in [0,1].

    For each of a set of lamp directions the two intensities follow from weighted least squares; the direction with the
    least trimmed error wins, the best few being compared again with the shadows that they would cast. What they
    multiply is split into skin and light by what is known of both (`split_light_from_skin`).
    """
    base = observed / relative_albedo
    brightness = luminance(base)
    directions = fibonacci_sphere(256, normals)
    directions = directions[directions[:, 2] < 0.35]  # a lamp far behind the hand lights nothing that the camera sees
    cosine = (normals @ directions.T).clamp_min(0)
    score = _trimmed_error(openness, cosine, brightness, weight)
    if visibility is not None:
        best_few = score.argsort()[:SHADOW_CANDIDATES]
        directions = directions[best_few]
        shadowed = [cosine[:, k] * visibility(directions[i]) for i, k in enumerate(best_few.tolist())]
        cosine = torch.stack(shadowed, dim=1)
        score = _trimmed_error(openness, cosine, brightness, weight)
    best = int((score + GRAZING_COST * directions[:, 2]).argmin())
    per_channel = [
        _two_intensities(openness[:, None], cosine[:, best : best + 1], base[:, c : c + 1], weight[:, None])
        for c in range(3)
    ]
    ambient_color = torch.cat([pair[0] for pair in per_channel])
    lamp_color = torch.cat([pair[1] for pair in per_channel])
    # Colours of lamp and ambient are hard to tell apart on one hand: keep half of what the channels say.
    lamp_share = luminance(lamp_color) / luminance(ambient_color + lamp_color).clamp_min(1e-6)
    total = ambient_color + lamp_color
    lamp_color = (lamp_color * lamp_share * total).clamp_min(1e-8).sqrt()
    ambient_color = (total - lamp_color).clamp_min(0.1 * total)
    mean_shading = (
        weight[:, None] * (ambient_color * openness[:, None] + lamp_color * cosine[:, best : best + 1])
    ).sum(0)
    mean_shading = mean_shading / weight.sum().clamp_min(1e-6)
    albedo, light = split_light_from_skin(mean_shading)
    to_light = light / mean_shading
    return LightEstimate(
        LampLight(ambient_color * to_light, lamp_color * to_light, directions[best].clone()), albedo, score[best]
    )


def _trimmed_error(openness: Tensor, cosine: Tensor, brightness: Tensor, weight: Tensor) -> Tensor:
    """[D] root mean square of the log error of luminance per direction, over the points that fit best (KEPT_SHARE)."""
    ambient, lamp = _two_intensities(openness[:, None], cosine, brightness[:, None], weight[:, None])
    prediction = ambient * openness[:, None] + lamp * cosine
    relative = (prediction / brightness[:, None].clamp_min(1e-4)).clamp_min(1e-4).log().abs()
    errors = torch.where(weight[:, None] > 0, relative, torch.full_like(relative, torch.inf))
    keep = max(1, int(KEPT_SHARE * int((weight > 0).sum())))
    return torch.sqrt((errors.sort(0).values[:keep] ** 2).mean(0))


def _two_intensities(a: Tensor, b: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Non-negative (x, y) minimising Σ weight (x a + y b − target)² per column; [P,1 or D] each → two [D].

    The ambient part x is held at MIN_AMBIENT_SHARE of x + y or more.
    """
    aa, ab, bb = (weight * a * a).sum(0), (weight * a * b).sum(0), (weight * b * b).sum(0)
    at, bt = (weight * a * target).sum(0), (weight * b * target).sum(0)
    determinant = (aa * bb - ab * ab).clamp_min(1e-12)
    x, y = (at * bb - bt * ab) / determinant, (bt * aa - at * ab) / determinant
    y = torch.where(y < 0, torch.zeros_like(y), y)
    x = torch.where(y == 0, at / aa.clamp_min(1e-12), x)
    # at the bound, x = k y with one unknown left
    k = MIN_AMBIENT_SHARE / (1 - MIN_AMBIENT_SHARE)
    mixed = k * a + b
    bound = (weight * mixed * target).sum(0) / (weight * mixed * mixed).sum(0).clamp_min(1e-12)
    at_bound = x < k * y
    return torch.where(at_bound, k * bound, x), torch.where(at_bound, bound, y)
