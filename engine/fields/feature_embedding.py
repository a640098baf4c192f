"""Features of a mesh's vertices as functions of the pose (XHand, Gan et al. 2024, eqs. 6-12).

    features = mean + Φ(pose, Q) · K

mean [V,n] is what the vertex has on average; Q [V,l] a learned code of it; Φ a perceptron from pose and code to m numbers; K
[m,n] maps them to features, each of its rows summing to one (eq. 8). The pose meets the codes in the first layer alone, so its
share of that layer is worked out once a pose and not once a vertex.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

POSE_NUMBERS = 45
JOINTS = 15
LATENT_RATE = 2 * math.pi / 0.05
"""1/metre: codes begin as waves over the rest hand of about 5 cm, so that neighbours begin alike."""
POSE_GAIN = 4.0
"""Of the first weights of the pose, whose numbers (some tenths of π at a few joints) are small beside the codes'."""


@dataclass(frozen=True)
class EmbeddingConfig:
    """Sizes of one embedding."""

    depth: int
    """Hidden layers of Φ."""
    width: int
    features: int = 10
    """m, the numbers that Φ gives a vertex."""
    latent: int = 10
    """l, of a vertex's code."""
    local: bool = False
    """Whether a vertex heeds each joint's pose by how near it is to that joint (`joint_relevance`); the paper: all alike."""
    mapped: bool = True
    """Whether there are mean and K. Without (the paper's "w/o feature embedding") Φ gives the features themselves."""


class FeatureEmbedding(nn.Module):
    """One of the paper's Ψ. Begins as the mean, whatever the pose."""

    mean: Tensor
    relevance: Tensor

    def __init__(self, mean: Tensor, points: Tensor, relevance: Tensor, config: EmbeddingConfig):
        """mean [V,n] to begin with; points [V,3] rest vertices, metres; relevance [V,15] from `joint_relevance`."""
        super().__init__()
        self.config = config
        outputs = mean.shape[1]
        self.mean = nn.Parameter(mean.clone(), requires_grad=config.mapped)
        self.latent = nn.Parameter(wave_codes(points, config.latent))
        self.register_buffer("relevance", relevance.clone() if config.local else torch.ones_like(relevance))
        self.of_latent = nn.Linear(config.latent, config.width)
        # one matrix a joint, so that a vertex can weigh the joints
        self.of_pose = nn.Parameter(POSE_GAIN * torch.randn(JOINTS, 3, config.width))
        self.hidden = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.depth - 1))
        # torch's own beginning halves what a layer passes on: of the pose nothing would reach the last
        for layer in (self.of_latent, *self.hidden):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.out = nn.Linear(config.width, config.features if config.mapped else outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.mapping_logits = nn.Parameter(torch.randn(config.features, outputs)) if config.mapped else None

    @property
    def mapping(self) -> Tensor | None:
        """K [m,n], positive rows that sum to 1; None where Φ gives the features themselves."""
        return None if self.mapping_logits is None else torch.softmax(self.mapping_logits, dim=1)

    def forward(self, condition: Tensor, mean: Tensor | None = None, pose_dependent: bool = True) -> Tensor:
        """Features [V,n] of a pose. condition [45]: axis-angle / π of joints 1..15; mean [V,n] to use in place of its own."""
        mean = self.mean if mean is None else mean
        return mean + self.offset(condition) if pose_dependent else mean

    def offset(self, condition: Tensor) -> Tensor:
        """What a pose adds to the mean [V,n]; condition [45]."""
        per_joint = (condition.reshape(JOINTS, 1, 3) @ self.of_pose)[:, 0]
        if self.config.local:
            values = self.of_latent(self.latent) + self.relevance @ per_joint
        else:
            values = nn.functional.linear(self.latent, self.of_latent.weight, self.of_latent.bias + per_joint.sum(0))
        for layer in self.hidden:
            values = layer(torch.relu(values))
        values = self.out(torch.relu(values))
        mapping = self.mapping
        return values if mapping is None else values @ mapping


def wave_codes(points: Tensor, count: int) -> Tensor:
    """[V,count] waves over rest points [V,3] in fixed directions, of 1.7 to 15 cm, in [-1,1]: codes that begin smooth.

    Codes drawn for every vertex apart, as the published ones are, would make every pose's first changes noise.
    """
    # draws of its own, so that other modules' random numbers stay what they are
    generator = torch.Generator().manual_seed(count)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    rates = LATENT_RATE * torch.logspace(math.log10(1 / 3), math.log10(3), count)
    phases = 2 * math.pi * torch.rand(count, generator=generator)
    return torch.sin(points @ (directions * rates[:, None]).to(points).T + phases.to(points))


def joint_relevance(skinning_weights: Tensor, parents: tuple[int, ...]) -> Tensor:
    """[V,15] in [0,1]: how much joints 1..15 have to do with a vertex.

    Fully with the skin of the joint's own bone and of the bone that it bends from, half with that of their neighbours along the
    finger. skinning_weights [V,16], rows sum to 1; parents [16], -1 for the root.
    """
    near = torch.eye(16, dtype=skinning_weights.dtype, device=skinning_weights.device)
    for joint, parent in enumerate(parents):
        if parent < 0:
            continue
        near[joint, parent], near[parent, joint] = 1.0, 0.5
        if parents[parent] >= 0:
            near[joint, parents[parent]] = 0.5
    return (skinning_weights @ near.T)[:, 1:].clamp(0, 1)
