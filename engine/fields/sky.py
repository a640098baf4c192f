"""Skin under light from many directions, each of which a point of the hand sees or does not.

Nine harmonics (XHand, Gan et al. 2024, eq. 11) know no shadows and no gloss. Here light comes from D directions spread evenly
over the sphere, world axes, with a radiance each, and a point receives what its neighbours do not hide from it:

    matt     albedo · Σ_d (4/D) L_d V_d max(n·d, 0)                the visible irradiance over π
    bounced  albedo² · b · Σ_d (4/D) L_d (1 − V_d) max(n·d, 0)     what is hidden falls on skin, which throws some of it back
    gloss    F(n·v) · Σ_d (4π/D) L_d V_d lobe(r·d)                 r: the ray mirrored at the surface

The lobe is a von Mises-Fisher density of learned sharpness, F = f + g (1 − n·v)^e after Schlick, with learned numbers: roughness
takes away from what a smooth surface would mirror at a slant.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from ..lighting.sphere_sampling import fibonacci_sphere

SHARPNESS, BOUNCE = 15.0, 0.2
"""To begin with: of skin's gloss, and of the light that neighbouring skin throws back."""
REFLECTANCE, RIM, EXPONENT = 0.03, 0.3, 5.0
"""To begin with: of skin seen from straight ahead, what is added where it is seen at a slant, and Schlick's exponent."""
GLOSSY_DIRECTIONS = 48
"""The brightest ones alone are looked for in the gloss."""
BLOCK = 1024
"""Points at a time on the CPU: their numbers stay in the processor's cache."""


class Sky(nn.Module):
    """How skin shows the light of D directions. Light itself is given: radiance [D,3] linear, ≥ 0."""

    directions: Tensor

    def __init__(self, directions: int):
        super().__init__()
        self.register_buffer("directions", fibonacci_sphere(directions, torch.zeros(())), persistent=False)
        # below the limit of `sharpness`, at which there would be no gradient
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(min(SHARPNESS, directions / 5))))
        self.log_bounce = nn.Parameter(torch.tensor(math.log(BOUNCE)))
        self.log_reflectance = nn.Parameter(torch.tensor(math.log(REFLECTANCE)))
        self.log_rim = nn.Parameter(torch.tensor(math.log(RIM)))
        self.log_exponent = nn.Parameter(torch.tensor(math.log(EXPONENT)))

    @property
    def sharpness(self) -> Tensor:
        """() of the gloss's lobe, at most what the directions' spacing resolves."""
        return self.log_sharpness.exp().clamp_max(len(self.directions) / 4)

    @property
    def roughness(self) -> float:
        """Of a GGX surface whose lobe about the mirrored ray is as wide: α² = 2 / (4κ + 2), roughness √α."""
        return float((2 / (4 * self.sharpness.detach() + 2)) ** 0.25)

    def matt(
        self,
        radiance: Tensor,
        normals: Tensor,
        albedo: Tensor,
        visibility: Tensor | None,
        directions: Tensor | None = None,
    ) -> Tensor:
        """[V,3] linear: what skin of an albedo [V,3] with unit normals [V,3] scatters, bounced light included.

        radiance [D,3]; visibility [V,D] in [0,1], None: nothing is hidden; directions [K,3]: in place of the sky's own, for K of
        them, with radiance and visibility of K, each of the solid angle that a direction of the whole sky has.
        """
        toward = (self.directions if directions is None else directions) * (4 / len(self.directions))
        size = BLOCK if normals.device.type == "cpu" else max(len(normals), 1)
        shown = itertools.repeat(None) if visibility is None else visibility.split(size)
        parts = [
            _received(radiance, toward, some, seen) for some, seen in zip(normals.split(size), shown, strict=False)
        ]
        arriving, hidden = (torch.cat(column) for column in zip(*parts, strict=True))
        return albedo * (arriving + albedo * self.log_bounce.exp() * hidden)

    def gloss(
        self,
        radiance: Tensor,
        normals: Tensor,
        rays: Tensor,
        visibility: Tensor | None,
        directions: Tensor | None = None,
    ) -> Tensor:
        """[V,3] linear: what surfaces of unit normals [V,3] mirror towards rays [V,3], unit, from the eye. See `matt`.

        No gradient reaches normals or rays: shape is not to be bent for a highlight.
        """
        normals, rays = normals.detach(), rays.detach()
        along = (rays * normals).sum(1, keepdim=True)
        mirrored = rays - 2 * along * normals
        bright = radiance.detach().sum(1).topk(min(GLOSSY_DIRECTIONS, len(radiance))).indices
        toward = (self.directions if directions is None else directions)[bright]
        sharpness = self.sharpness
        lobe = torch.exp(sharpness * (mirrored @ toward.T - 1))
        if visibility is not None:
            lobe = lobe * visibility[:, bright]
        density = sharpness / (2 * torch.pi * (1 - torch.exp(-2 * sharpness)))
        arriving = (4 * torch.pi / len(self.directions)) * density * (lobe @ radiance[bright])
        slant = (1 - (-along).clamp(0, 1)).clamp_min(1e-6)
        return (self.log_reflectance.exp() + self.log_rim.exp() * slant ** self.log_exponent.exp()) * arriving


def _received(radiance: Tensor, toward: Tensor, normals: Tensor, visibility: Tensor | None) -> tuple[Tensor, Tensor]:
    """[V,3] irradiance over π that arrives, and that neighbours hide; toward [D,3]: directions, scaled by their share."""
    received = torch.relu(normals @ toward.T)
    everything = received @ radiance
    if visibility is None:
        return everything, torch.zeros_like(everything)
    arriving = (received * visibility) @ radiance
    return arriving, everything - arriving


def radiance_along(radiance: Tensor, sources: Tensor, directions: Tensor) -> Tensor:
    """[*,3] a sky's radiance [D,3] from unit sources [D,3] along any unit directions [*,3], blended between neighbours.

    Lobes about as wide as the sources' spacing, whose weights sum to 1.
    """
    sharpness = 0.5 * len(sources)
    weights = torch.softmax(sharpness * (directions @ sources.T), dim=-1)
    return weights @ radiance
