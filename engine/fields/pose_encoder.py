"""The pose as the networks see it: one affine map of the fingers' rotations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..hand.joints import MANO_PARENTS


def shortest_axis_angle(axis_angle: Tensor) -> Tensor:
    """The same rotations with angles in [0, π]: [*,3] radians → [*,3]. What a way through rotation matrices gives."""
    squared = axis_angle.square().sum(-1, keepdim=True)
    small = squared < 1.0
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    turns = torch.round(angle / (2 * math.pi))
    return torch.where(small, axis_angle, axis_angle * (1 - 2 * math.pi * turns / angle))


class PoseEncoder(nn.Module):
    """Absolute finger pose to the networks' pose input; the hand's own rotation is left out."""

    def __init__(self, width: int):
        super().__init__()
        self.lin1 = nn.Linear(3 * len(MANO_PARENTS), width)

    def forward(self, hand_pose: Tensor) -> Tensor:
        """hand_pose [B,45] absolute axis-angle radians (flat hand = 0) → [B,width]."""
        fingers = shortest_axis_angle(hand_pose.unflatten(-1, (-1, 3))).flatten(-2)
        root = torch.zeros_like(fingers[..., :3])
        return self.lin1(torch.cat([root, fingers], dim=-1))
