"""Surface material by a network of bounded slope."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu, softplus

from .conditions import Conditions
from .config import FieldsConfig
from .linear import conditioned_linear

ALBEDO_RANGE = (0.03, 0.80)
ROUGHNESS_RANGE = (0.09, 0.99)


class Materials(NamedTuple):
    """Material at N points."""

    albedo: Tensor
    """[N,3] linear, in [0.03, 0.80]."""
    roughness: Tensor
    """[N] in [0.09, 0.99]."""
    metallic: Tensor
    """[N] in [0, 1]."""


class LipschitzLinear(nn.Module):
    """A linear layer with a learned bound on its infinity norm (Liu et al. 2022, eq. 6)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        drawn = nn.Linear(inputs, outputs)
        self.weight, self.bias = drawn.weight, drawn.bias
        # twice the norm: inactive until training lowers it
        self.bound = nn.Parameter(2 * drawn.weight.detach().abs().sum(1).max().reshape(1))

    @property
    def bounded_weight(self) -> Tensor:
        """[outputs, inputs]: rows scaled down to an absolute sum of at most softplus(bound)."""
        scale = softplus(self.bound) / self.weight.abs().sum(1, keepdim=True)
        return self.weight * scale.clamp_max(1.0)


class Material(nn.Module):
    """[encoding | feature | pose | appearance] → 64 → 64 → albedo, roughness, metallic. The encoding is the radiance's."""

    def __init__(self, config: FieldsConfig):
        super().__init__()
        inputs = 3 + config.radiance_grid.encoding_width + config.feature_width + config.pose_width + config.code_width
        widths = [inputs, config.hidden_width, config.hidden_width, 5]
        self.layers = nn.ModuleList(LipschitzLinear(before, after) for before, after in pairwise(widths))

    def forward(self, encoding: Tensor, feature: Tensor, hand: Tensor, conditions: Conditions) -> Materials:
        """encoding [N,3+2L] of the radiance grid; feature [N,13] of the geometry; hand [N] int64 into the conditions."""
        own = torch.cat([encoding, feature], dim=1)
        shared = torch.cat([conditions.pose, conditions.appearance], dim=1)
        first, second, last = cast("list[LipschitzLinear]", list(self.layers))
        hidden = relu(conditioned_linear(own, shared, hand, first.bounded_weight, first.bias))
        hidden = relu(linear(hidden, second.bounded_weight, second.bias))
        values = torch.sigmoid(linear(hidden, last.bounded_weight, last.bias))
        return Materials(_to_range(values[:, :3], ALBEDO_RANGE), _to_range(values[:, 3], ROUGHNESS_RANGE), values[:, 4])


def _to_range(values: Tensor, bounds: tuple[float, float]) -> Tensor:
    low, high = bounds
    return low + (high - low) * values
