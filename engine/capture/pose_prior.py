"""What is known of a hand's joint angles before anything is seen: how far they spread, which go together, where they end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..hand.joints import JOINT_NAMES
from ..hand.model import HandModel
from .kinematics import ANGLES


@dataclass(frozen=True)
class PriorWeights:
    """Standard deviations of the angles, radians."""

    flexion: float = 0.9
    abduction: float = 0.16
    twist: float = 0.10
    thumb_root: float = 0.35
    """Of abduction and twist at the thumb's root, a saddle joint."""
    end_joints: float = 0.35
    """Of a finger's last flexion about 0.6 of its middle one: one tendon bends both."""
    limit: float = 0.03
    """Of the excess over a joint limit."""


class PosePrior:
    """The cost of angles along a model's joint axes and its derivatives."""

    def __init__(self, model: HandModel, weights: PriorWeights):
        like = model.v_template
        self._limit = weights.limit
        self._mean, self._spread = (torch.as_tensor(a).to(like) for a in _angle_prior(weights))
        self._coupling_rows = torch.as_tensor(_end_joint_rows(weights)).to(like)
        self._limits = model.joint_limits.reshape(45, 2)

    def cost(self, angles: Tensor) -> Tensor:
        """[T] of angles [T,45]."""
        prior = ((angles - self._mean) / self._spread).square().sum(-1)
        coupled = (angles @ self._coupling_rows.T).square().sum(-1)
        return prior + coupled + (self._excess(angles) / self._limit).square().sum(-1)

    def add(self, angles: Tensor, matrix: Tensor, vector: Tensor) -> None:
        """Add JᵀJ and Jᵀr to matrix [T,≥51,≥51] and vector [T,≥51] of the fit's unknowns."""
        excess = self._excess(angles)
        precision = self._spread**-2
        diagonal = precision + (excess != 0).to(angles) * self._limit**-2
        rows = self._coupling_rows
        matrix[:, ANGLES, ANGLES] += torch.diag_embed(diagonal) + rows.T @ rows
        vector[:, ANGLES] += (angles - self._mean) * precision + excess * self._limit**-2 + angles @ rows.T @ rows

    def _excess(self, angles: Tensor) -> Tensor:
        low, high = self._limits.unbind(-1)
        return (angles - high).clamp_min(0) + (angles - low).clamp_max(0)


def _angle_prior(weights: PriorWeights) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread [45] of the angles along (flexion, abduction, twist) of joints 1..15."""
    mean, spread = np.zeros((15, 3)), np.zeros((15, 3))
    spread[:] = (weights.flexion, weights.abduction, weights.twist)
    for joint, name in enumerate(JOINT_NAMES[1:]):
        if name == "thumb1":
            spread[joint] = (0.5, weights.thumb_root, weights.thumb_root)
        elif name.startswith("thumb"):
            mean[joint, 0], spread[joint, 0] = 0.1, 0.5
        else:
            mean[joint, 0] = 0.25
    return mean.reshape(45), spread.reshape(45)


def _end_joint_rows(weights: PriorWeights) -> np.ndarray:
    """[4,45] rows whose product with the angles is (last flexion - 0.6 middle flexion) over its expected size."""
    rows = np.zeros((4, 45))
    for row, finger in enumerate(("index", "middle", "ring", "pinky")):
        middle, last = (JOINT_NAMES.index(f"{finger}{k}") - 1 for k in (2, 3))
        rows[row, 3 * last] = 1 / weights.end_joints
        rows[row, 3 * middle] = -0.6 / weights.end_joints
    return rows
