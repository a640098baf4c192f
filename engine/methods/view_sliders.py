"""A hand pose from a few numbers, as sliders give them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FINGER_JOINTS = {"thumb": 12, "index": 0, "middle": 3, "ring": 9, "pinky": 6}
"""First of the three joints, of 1..15 from 0, in the order in which people name them."""
SPREAD_SHARES = {"index": 1.0, "middle": 0.15, "ring": -0.55, "pinky": -1.0}
"""How far each finger goes of its range towards the thumb's side, or away from it."""


@dataclass(frozen=True)
class Sliders:
    """Shares of the joints' ranges: 0 flat, 1 as far as they go, negative the other way."""

    thumb: float = 0.0
    index: float = 0.0
    middle: float = 0.0
    ring: float = 0.0
    pinky: float = 0.0
    spread: float = 0.0
    """Of the four fingers."""
    aside: float = 0.0
    """Of the thumb, away from the palm."""


def slider_pose(sliders: Sliders, joint_axes: Tensor, joint_limits: Tensor) -> Tensor:
    """[45] axis-angle radians. joint_axes [15,3,3] flexion, abduction, twist; joint_limits [15,3,2] radians along them."""
    angles = joint_axes.new_zeros(15, 3)
    for finger, first in FINGER_JOINTS.items():
        for joint in range(first, first + 3):
            angles[joint, 0] = _within(getattr(sliders, finger), joint_limits[joint, 0])
    for finger, share in SPREAD_SHARES.items():
        first = FINGER_JOINTS[finger]
        angles[first, 1] = sliders.spread * abs(share) * _within(1.0 if share > 0 else -1.0, joint_limits[first, 1])
    angles[FINGER_JOINTS["thumb"], 1] = _within(sliders.aside, joint_limits[FINGER_JOINTS["thumb"], 1])
    return torch.einsum("ja,jax->jx", angles, joint_axes).reshape(45)


def _within(share: float, limits: Tensor) -> float:
    """Radians at a share of a range: of its upper part where positive, of its lower where negative."""
    low, high = limits.tolist()
    return share * (high if share >= 0 else -low)
