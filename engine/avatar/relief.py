"""Fine skin relief and gloss that one photo does not show: height over the surface, normals from it, roughness."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .noise import cell_ridges, octaves
from .regions import HandPoints, fingertip_weight, flexion_creases, knuckle_weight, palm_creases

RELIEF_SPACING_M = 0.9e-3
"""Between the furrows of skin on the back of the hand."""


def crease_waviness(position: Tensor, seed: int) -> Tensor:
    """[N] metres by which lines wander from where they are drawn, so that they are not ruled. position [N,3]."""
    return octaves(position, (0.012, 0.004), (3.5e-4, 1.5e-4), seed)


def crease_map(points: HandPoints, waviness: Tensor) -> Tensor:
    """[N] in [0,1]: how much a point lies in a line of the fingers or the palm; waviness from `crease_waviness`."""
    return torch.maximum(0.8 * flexion_creases(points, waviness), palm_creases(points, waviness))


def skin_height(points: HandPoints, waviness: Tensor, seed: int, with_creases: Tensor | float = 1.0) -> Tensor:
    """Height [N] metres of the skin above the smooth surface: furrows of the back, finer ones of the palm, creases.

    waviness [N] from `crease_waviness`; with_creases: [N] or a number in [0,1] that scales the invented creases (0 where
    the photo shows the real ones).
    """
    furrowed = torch.nonzero((points.palm < 0.98) & (points.nail < 0.98))[:, 0]
    ridges = cell_ridges(points.position[furrowed], RELIEF_SPACING_M, seed) * (1 - points.palm[furrowed])
    furrows = torch.zeros_like(points.palm).index_copy(0, furrowed, 3.5e-5 * ridges)
    grain = octaves(points.position, (1.2e-3, 0.6e-3), (8e-6, 6e-6), seed + 31) * (0.5 + 0.5 * points.palm)
    creases = crease_map(points, waviness) * -1.6e-4 * with_creases
    return (furrows + grain) * (1 - points.nail) + creases


def normals_from_height(
    points: HandPoints, tangent: Tensor, bitangent: Tensor, waviness: Tensor, seed: int, creases: Tensor
) -> Tensor:
    """Tangent-space normals [N,3] (OpenGL) of `skin_height`, by differences along the surface's own frame.

    tangent, bitangent [N,3] unit vectors of the UV frame at the points, rest frame. Heights are evaluated in space, so the
    result has no seams where charts meet. The other arguments are `skin_height`'s.
    """
    step = 2e-4
    height = skin_height(points, waviness, seed, creases)
    slopes = []
    for direction in (tangent, bitangent):
        ahead = points._replace(position=points.position + step * direction)
        slopes.append((skin_height(ahead, waviness, seed, creases) - height) / step)
    return normalize(torch.stack([-slopes[0], -slopes[1], torch.ones_like(slopes[0])], dim=1), dim=1)


def roughness(points: HandPoints, seed: int) -> Tensor:
    """[N] Principled roughness in [0,1]: nails shine, fingertips and palms are satin, the back and knuckles are dull."""
    skin = 0.52 - 0.05 * points.palm + 0.05 * knuckle_weight(points) - 0.04 * fingertip_weight(points) * points.palm
    skin = skin + octaves(points.position, (6e-3, 1.5e-3), (0.012, 0.01), seed + 77)
    return torch.where(points.nail > 0, skin + (0.28 - skin) * points.nail, skin).clamp(0.2, 0.8)
