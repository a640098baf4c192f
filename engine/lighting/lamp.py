"""HARP's light: ambient plus one lamp, Lambertian skin (Karunratanakul et al. 2023, eq. 3).

All intensities are irradiance over pi: the factor that a surface's albedo is multiplied with.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize


class LampLight(NamedTuple):
    """Ambient light from all around and one lamp far away. Directions are in the photo camera's OpenCV axes."""

    ambient: Tensor
    """[3] linear RGB, irradiance / pi of an unoccluded point."""
    lamp: Tensor
    """[3] linear RGB, irradiance / pi of a surface that faces the lamp."""
    to_lamp: Tensor
    """[3] towards the lamp; only its direction counts."""


def shade(
    light: LampLight,
    normals: Tensor,
    lamp_visibility: Tensor | None = None,
    ambient_visibility: Tensor | None = None,
    bounced: Tensor | None = None,
) -> Tensor:
    """ambient · A + lamp · (V · max(n·l, 0) + B): [P,3], to be multiplied with albedo.

    normals [P,3] unit; lamp_visibility V [P] in [0,1]; ambient_visibility A [P], [P,1] or [P,3] in [0,1]; bounced B [P,3]:
    share of the lamp's light that arrives from other skin.
    """
    cosine = (normals @ normalize(light.to_lamp, dim=0)).clamp_min(0)
    if lamp_visibility is not None:
        cosine = cosine * lamp_visibility
    ambient = light.ambient.expand(len(normals), 3)
    if ambient_visibility is not None:
        ambient = ambient * (ambient_visibility[:, None] if ambient_visibility.dim() == 1 else ambient_visibility)
    direct = cosine[:, None] if bounced is None else cosine[:, None] + bounced
    return ambient + direct * light.lamp


def harp_light(ambient_ratio: Tensor, to_lamp: Tensor) -> LampLight:
    """HARP's white light of unit strength: ambient a, lamp 1 − a. ambient_ratio () in [0,1]."""
    white = torch.ones(3, dtype=ambient_ratio.dtype, device=ambient_ratio.device)
    return LampLight(ambient_ratio * white, (1 - ambient_ratio) * white, to_lamp)
