"""Poses beyond those that a hand was learned from: what depends on the pose is asked no farther than it was taught.

Only the condition of learned features is held; bones turn as far as they are told.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..hand.joints import JOINT_NAMES

MARGIN_RAD = 0.2
"""How far beyond the poses seen features still follow, 11°."""


class PoseRange(NamedTuple):
    """Of the training's finger poses, absolute axis-angle radians, [45] each."""

    mean: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor


def pose_range(poses: Tensor) -> PoseRange:
    """The range of hand poses [T,45]."""
    deviation = poses.std(0, unbiased=False) if len(poses) > 1 else torch.zeros_like(poses[0])
    return PoseRange(poses.mean(0), deviation, poses.min(0).values, poses.max(0).values)


def clamp_pose(hand_pose: Tensor, seen: PoseRange, margin: float = MARGIN_RAD) -> Tensor:
    """[*,45] radians: the pose where it was seen, smoothly held back beyond.

    Identity between low and high; from there along a hyperbolic tangent to at most `margin` farther, with slope 1 where they
    meet.
    """
    above = (hand_pose - seen.high).clamp_min(0)
    below = (seen.low - hand_pose).clamp_min(0)
    inside = torch.minimum(torch.maximum(hand_pose, seen.low), seen.high)
    return inside + margin * (torch.tanh(above / margin) - torch.tanh(below / margin))


def joints_outside(hand_pose: Tensor, seen: PoseRange, margin: float = MARGIN_RAD) -> tuple[str, ...]:
    """Names of the joints that hand_pose [45] bends more than `margin` beyond the range, in MANO's order."""
    beyond = torch.maximum(hand_pose - seen.high, seen.low - hand_pose).reshape(15, 3)
    return tuple(JOINT_NAMES[1 + joint] for joint in torch.nonzero((beyond > margin).any(1))[:, 0].tolist())
