"""Volume density from signed distance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST_WIDTH_M = 1e-4


def laplace_density(sdf: Tensor, width: Tensor) -> Tensor:
    """Volume density of a signed distance: the Laplace distribution function over its width (VolSDF, Yariv et al. 2021, eq. 2).

    sdf [*] metres, negative inside; width () metres, > 0. Returns [*] in 1/metre: 1/width deep inside, half of that on the
    surface, towards 0 outside.
    """
    return (0.5 + 0.5 * sdf.sign() * torch.expm1(-sdf.abs() / width)) / width


class LaplaceDensity(nn.Module):
    """Density with one learned width for the whole model."""

    def __init__(self, initial_width: float):
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(float(initial_width)))

    @property
    def width(self) -> Tensor:
        """() metres, ≥ 1e-4: |beta| + 1e-4."""
        return self.beta.abs() + SMALLEST_WIDTH_M

    def forward(self, sdf: Tensor) -> Tensor:
        """sdf [*] metres → density [*] 1/metre."""
        return laplace_density(sdf, self.width)
