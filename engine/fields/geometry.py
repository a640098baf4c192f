"""The canonical signed distance and its gradient."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .bands import Bands
from .conditions import Conditions
from .config import FieldsConfig
from .encoding import PositionEncoding
from .linear import WeightNormLinear, conditioned_linear

SOFTPLUS_BETA = 100.0
INITIAL_RADIUS = 0.5
"""Of the sphere that fresh geometry is, in half sizes of the box."""


class GeometrySample(NamedTuple):
    """Geometry at N canonical points."""

    sdf: Tensor
    """[N] metres, negative inside."""
    feature: Tensor
    """[N,13] outputs of the network, the signed distance first."""
    gradient: Tensor | None
    """[N,3] d sdf / d canonical metres; None where it was not asked for."""


class Geometry(nn.Module):
    """Signed distance and features: [encoding | pose | shape] → 64, Softplus(β = 100) → 13, weights normalised.

    A fresh network is the distance to a sphere around the box's centre (geometric initialisation, Atzmon & Lipman 2020).
    """

    def __init__(self, config: FieldsConfig):
        super().__init__()
        self.encoding = PositionEncoding(config.geometry_grid, config.box)
        inputs = self.encoding.width + config.pose_width + config.code_width
        self.lin0 = WeightNormLinear(inputs, config.hidden_width)
        self.lin1 = WeightNormLinear(config.hidden_width, config.feature_width)
        self._start_as_sphere(config.box.half_size)

    @torch.no_grad()
    def _start_as_sphere(self, half_size: float) -> None:
        hidden, inputs = self.lin0.weight_v.shape
        # The mean over evenly spread directions of max(n·p, 0) is |p| / 4.
        length = math.sqrt(3) * math.sqrt(2 / hidden)
        place = torch.zeros(hidden, inputs)
        place[:, :3] = length * _spread_directions(hidden)
        self.lin0.set_weight(place)
        distance = torch.full((1, hidden), 4 * half_size / (hidden * length))
        features = torch.randn(len(self.lin1.bias) - 1, hidden) / math.sqrt(hidden)
        self.lin1.set_weight(torch.cat([distance, features]))
        self.lin1.bias.zero_()
        self.lin1.bias[0] = -INITIAL_RADIUS * half_size

    def forward(
        self, points: Tensor, hand: Tensor, conditions: Conditions, bands: Bands, with_gradient: bool
    ) -> GeometrySample:
        """points [N,3] canonical metres; hand [N] int64 into the conditions."""
        level_weights = bands.geometry_levels
        jacobian = None
        if with_gradient:
            encoding, jacobian = self.encoding.with_jacobian(points, level_weights)
        else:
            encoding = self.encoding(points, level_weights)
        shared = torch.cat([conditions.pose, conditions.shape], dim=1)
        first, last = self.lin0.weight, self.lin1.weight
        hidden = conditioned_linear(encoding, shared, hand, first, self.lin0.bias)
        feature = torch.addmm(self.lin1.bias, softplus(hidden, SOFTPLUS_BETA), last.T)
        if jacobian is None:
            return GeometrySample(feature[:, 0], feature, None)
        # Written out, the gradient is an ordinary output: one backward pass gives the second-order terms of losses on it.
        slope = torch.sigmoid(SOFTPLUS_BETA * hidden) * last[0]
        gradient = jacobian.pull_back(first[:, : encoding.shape[1]].T @ slope.T)
        return GeometrySample(feature[:, 0], feature, gradient)


def _spread_directions(count: int) -> Tensor:
    """[count,3] unit vectors spread evenly over the sphere (Fibonacci lattice)."""
    index = torch.arange(count) + 0.5
    z = 1 - 2 * index / count
    azimuth = math.pi * (1 + math.sqrt(5)) * index
    radius = torch.sqrt(1 - z**2)
    return torch.stack([radius * torch.cos(azimuth), radius * torch.sin(azimuth), z], dim=1)
