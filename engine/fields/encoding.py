"""Canonical points as the networks see them: their place in the box and the features of a hash grid."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..hand.canonical import CanonicalBox
from .config import HashGridConfig
from .hash_grid import Backend, hash_encode, hash_encode_with_jacobian

INITIAL_TABLE = 1e-4
"""Features start uniformly in ± this."""


class EncodingJacobian(NamedTuple):
    """Derivative of an encoding by the canonical point, kept as its two parts: the place's is a constant."""

    place: float
    """d place / d point on each axis, 1/metre."""
    features: Tensor
    """[N,2L,3] d features / d unit coordinates."""
    to_unit: Tensor
    """[N,3] d unit coordinates / d point, 1/metre; 0 where the grid is clamped."""

    def pull_back(self, cotangent: Tensor) -> Tensor:
        """Gradient by the point of <cotangent, encoding>: [3+2L,N] → [N,3], 1/metre."""
        # points innermost, as the grid's kernels leave them, so that all runs along memory
        of_features = (cotangent[3:, None] * self.features.permute(1, 2, 0)).sum(0)
        return (self.place * cotangent[:3] + self.to_unit.T * of_features).T


class PositionEncoding(nn.Module):
    """[2u − 1 | hash features] with u in [0,1]³ over the canonical box."""

    def __init__(self, config: HashGridConfig, box: CanonicalBox):
        super().__init__()
        self.config = config
        self.box = box
        self.backend: Backend = "warp"
        """What works features out; with a Jacobian it is always our kernels: tiny-cuda-nn gives none."""
        self.table = nn.Parameter(torch.empty(config.parameter_count).uniform_(-INITIAL_TABLE, INITIAL_TABLE))

    @property
    def width(self) -> int:
        """Numbers of an encoded point: 3 + 2L."""
        return 3 + self.config.encoding_width

    def forward(self, points: Tensor, level_weights: Tensor) -> Tensor:
        """points [N,3] canonical metres; level_weights [L] → [N,3+2L]. Outside the box the grid repeats its border."""
        unit = self.box.to_unit(points)
        features = hash_encode(unit.clamp(0, 1), self.table, self.config, level_weights, self.backend)
        return _join(unit, features)

    def with_jacobian(self, points: Tensor, level_weights: Tensor) -> tuple[Tensor, EncodingJacobian]:
        """As `forward`, and the derivative by the points. Both are differentiable in points and table."""
        unit = self.box.to_unit(points)
        clamped = unit.clamp(0, 1)
        features, jacobian = hash_encode_with_jacobian(clamped, self.table, self.config, level_weights)
        per_metre = 0.5 / self.box.half_size
        inside = (unit == clamped).to(unit) * per_metre
        return _join(unit, features), EncodingJacobian(2 * per_metre, jacobian, inside)


def _join(unit: Tensor, features: Tensor) -> Tensor:
    """[2u − 1 | features] as [N,3+2L] that lies point-innermost in memory."""
    return torch.cat([2 * unit.T - 1, features.T]).T
