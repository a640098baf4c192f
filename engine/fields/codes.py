"""Latent codes: one per subject of a prior, or a few coefficients on the principal axes of a prior's codes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class CodeBasis(NamedTuple):
    """Principal axes of a prior's codes."""

    mean: Tensor
    """[C]; zero in published bases, which have none."""
    components: Tensor
    """[K,C] orthonormal rows, of falling variance."""


def fit_pca(codes: Tensor, components: int = 5) -> tuple[CodeBasis, Tensor]:
    """Principal axes of codes [S,C] (S > 1 subjects) and the share of variance that each explains [K].

    components: K ≤ min(S − 1, C), fewer where codes are fewer. Each axis is turned so that its largest entry is positive.
    """
    if codes.ndim != 2 or len(codes) < 2:
        raise ValueError(f"principal axes need the codes [S,C] of two subjects or more, not {list(codes.shape)}")
    codes = codes.detach()
    mean = codes.mean(0)
    _, singular, axes = torch.linalg.svd((codes - mean).double(), full_matrices=False)
    count = min(components, len(codes) - 1, codes.shape[1])
    axes = axes[:count]
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    share = singular.square() / singular.square().sum().clamp_min(torch.finfo(torch.float64).tiny)
    return CodeBasis(mean, (axes * largest.sign()).to(codes)), share[:count].to(codes)


class SubjectCodes(nn.Module):
    """A free code per subject."""

    def __init__(self, subjects: int, width: int):
        super().__init__()
        # nearly 0, so that every subject starts as the same hand
        self.codes = nn.Parameter(1e-8 * torch.randn(subjects, width))

    def forward(self, subject: Tensor) -> Tensor:
        """subject [B] int64 → codes [B,C]."""
        return self.codes[subject]


class PrincipalCodes(nn.Module):
    """Codes on a prior's principal axes: mean + coefficients · components. They start at the mean."""

    mean: Tensor
    components: Tensor

    def __init__(self, subjects: int, basis: CodeBasis):
        super().__init__()
        self.codes = nn.Parameter(basis.components.new_zeros(subjects, len(basis.components)))
        self.register_buffer("mean", basis.mean.detach().clone())
        self.register_buffer("components", basis.components.detach().clone())

    def forward(self, subject: Tensor) -> Tensor:
        """subject [B] int64 → codes [B,C]."""
        return self.mean + self.codes[subject] @ self.components
