"""Directly seen colour: what leaves a canonical point towards the viewer under the training light."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from .bands import Bands
from .conditions import Conditions
from .config import FieldsConfig
from .direction_encoding import SH_COUNT, reflect, spherical_harmonics
from .encoding import PositionEncoding
from .linear import conditioned_linear


class Radiance(nn.Module):
    """[encoding | feature | harmonics of the mirror direction | normal | pose | appearance] → 64 → 64 → linear RGB in [0,1]."""

    def __init__(self, config: FieldsConfig):
        super().__init__()
        self.encoding = PositionEncoding(config.radiance_grid, config.box)
        inputs = self.encoding.width + config.feature_width + SH_COUNT + 3 + config.pose_width + config.code_width
        widths = [inputs, config.hidden_width, config.hidden_width, 3]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))

    def forward(
        self,
        encoding: Tensor,
        feature: Tensor,
        directions: Tensor,
        normals: Tensor,
        hand: Tensor,
        conditions: Conditions,
        bands: Bands,
    ) -> Tensor:
        """Linear RGB [N,3] in [0,1].

        encoding [N,3+2L] of the point; feature [N,13] of the geometry; directions [N,3] unit, world, along the ray; normals [N,3]
        unit, world; hand [N] int64 into the conditions.
        """
        view = spherical_harmonics(reflect(directions, normals)) * bands.sh
        own = torch.cat([encoding, feature, view, normals], dim=1)
        shared = torch.cat([conditions.pose, conditions.appearance], dim=1)
        first, second, last = cast("list[nn.Linear]", list(self.layers))
        hidden = relu(conditioned_linear(own, shared, hand, first.weight, first.bias))
        hidden = relu(linear(hidden, second.weight, second.bias))
        return torch.sigmoid(linear(hidden, last.weight, last.bias))
