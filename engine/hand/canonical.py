"""The canonical cube: the fixed, subject-independent volume in which the fields and the skinning grid live."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CanonicalBox:
    """An axis-aligned cube of canonical space (zero pose, betas applied); its unit coordinates run from 0 to 1."""

    centre: tuple[float, float, float]
    """Metres."""
    half_size: float
    """Metres, > 0."""

    def to_unit(self, points: Tensor) -> Tensor:
        """[*,3] metres → [*,3] with the cube at [0,1]³; points outside map outside."""
        return (points - self._centre(points)) / (2 * self.half_size) + 0.5

    def from_unit(self, unit: Tensor) -> Tensor:
        """Inverse of `to_unit`: [*,3] → [*,3] metres."""
        return (unit - 0.5) * (2 * self.half_size) + self._centre(unit)

    def contains(self, points: Tensor) -> Tensor:
        """[*,3] metres → [*] bool, faces included."""
        return ((points - self._centre(points)).abs() <= self.half_size).all(-1)

    def _centre(self, like: Tensor) -> Tensor:
        return torch.tensor(self.centre, dtype=like.dtype, device=like.device)


OFFICIAL_BOX = CanonicalBox(centre=(0.02155, 0.0026, 0.01495), half_size=0.13806)
"""The published prior's cube: its weights mean nothing in another. It holds MANO's shapes of that data set."""

OPEN_BOX = CanonicalBox(centre=(-0.005, 0.005, 0.025), half_size=0.15)
"""Holds the open hand with every beta at 3 standard deviations at once, in any signs, and 15 mm around it."""
