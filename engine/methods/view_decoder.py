"""An embedding's perceptron for many poses of one hand: what the pose does not change is worked out once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..fields.feature_embedding import JOINTS, FeatureEmbedding

ROWS = 4096
"""Vertices that go through all layers before the next ones: their numbers stay in the processor's cache."""


class FastEmbedding:
    """`FeatureEmbedding.offset` without gradient, at all vertices or at the first ones only."""

    def __init__(self, embedding: FeatureEmbedding):
        with torch.no_grad():
            self.start = embedding.of_latent(embedding.latent).contiguous()
            self.relevance = embedding.relevance if embedding.config.local else None
            self.of_pose = embedding.of_pose.detach()
            linear = [layer for layer in embedding.hidden if isinstance(layer, nn.Linear)]
            self.hidden = [(layer.weight.detach().T, layer.bias.detach()) for layer in linear]
            weight, bias, mapping = embedding.out.weight.detach(), embedding.out.bias.detach(), embedding.mapping
            self.outputs = len(weight) if mapping is None else mapping.shape[1]
            # the last layer and K are one matrix where that is smaller
            if mapping is not None and mapping.shape[1] <= len(weight):
                weight, bias, mapping = mapping.T @ weight, bias @ mapping, None
            self.last = (weight.T.contiguous(), bias)
            self.mapping = None if mapping is None else mapping.detach()

    def offset(self, condition: Tensor, count: int | None = None) -> Tensor:
        """[count,n] what a pose adds to the mean of the first `count` vertices (all: None). condition [45]."""
        per_joint = (condition.reshape(JOINTS, 1, 3) @ self.of_pose)[:, 0]
        shared = per_joint.sum(0)
        count = len(self.start) if count is None else count
        result = self.start.new_empty(count, self.outputs)
        rows = ROWS if self.start.device.type == "cpu" else count
        for first in range(0, count, rows):
            part = slice(first, min(first + rows, count))
            if self.relevance is None:
                values = self.start[part] + shared
            else:
                values = torch.addmm(self.start[part], self.relevance[part], per_joint)
            for weight, bias in self.hidden:
                values = torch.addmm(bias, values.relu_(), weight)
            values = torch.addmm(self.last[1], values.relu_(), self.last[0])
            result[part] = values if self.mapping is None else values @ self.mapping
        return result
