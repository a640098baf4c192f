"""How bright a light must be for a finished avatar to match its photo's brightness as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from ..lighting.color import linear_to_srgb
from ..rendering.rasterize import to_image
from ..rendering.surface import vertex_normals
from .detail import HandInPhoto, expected_color, light_on_hand
from .detail_photo import depth_of_confidence, photo_surface

LIMITS = (0.5, 2.0)
"""A light that were further off would not be a matter of its strength."""
PHOTO_PX = 320
RIM_M = 0.001
"""Metres from outlines, within which photo and mesh may disagree about what a pixel shows."""


def exposure_gain(hands: Sequence[HandInPhoto]) -> float:
    """Factor in `LIMITS` on the light of all photos; 1 where they show nothing of the hand.

    hands: the same finished hand in each photo. The fit's light suits the fit's own renderer, points and rays; what is left
    over when the mesh with its textures stands in that light is here taken as strength.
    """
    pairs = [_compared(hand) for hand in hands]
    return gain_between(*(torch.cat(part) for part in zip(*pairs, strict=True)))


def gain_between(expected: Tensor, observed: Tensor) -> float:
    """Factor g on expected [P,3] linear ≥ 0 with the least squared sRGB error against observed [P,3] sRGB; 1 for P = 0."""
    if not len(expected):
        return 1.0

    def error(gain: float) -> float:
        return float((linear_to_srgb((gain * expected).clamp(0, 1)) - observed).square().mean())

    return float(minimize_scalar(error, bounds=LIMITS, method="bounded").x)


@torch.no_grad()
def _compared(hand: HandInPhoto) -> tuple[Tensor, Tensor]:
    """Expected linear and observed sRGB colours [P,3] of one photo's pixels."""
    topology = hand.topology
    normals = vertex_normals(hand.vertices, topology.faces)
    surface = photo_surface(
        *(hand.color, hand.mask, hand.intrinsics, hand.world_to_camera), *(hand.vertices, normals, topology, PHOTO_PX)
    )
    expected = to_image(surface.view.fragments, expected_color(hand, surface, light_on_hand(hand, normals)), 0.0)
    inside = depth_of_confidence(surface) > RIM_M
    return expected[inside], surface.photo.color[inside]
