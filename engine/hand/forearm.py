"""The forearm of a hand that has one: it follows the hand, or is bent at the wrist.

MANO's sixteen joints and parameters mean what they mean without it; the forearm adds three numbers, its rotation about the
wrist relative to the hand. So pose data made for hands plays as before, and the skin between bends from one to the other.
HARP's arm is posed the other way round, the hand relative to the arm (SMPL-X's wrist): its rotation is the inverse of this one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import HandModelError
from .model import HandModel
from .rotations import axis_angle_to_matrix


class BentForearm(NamedTuple):
    """What skinning takes in place of the sixteen joints' transforms and weights."""

    transforms: Tensor
    """[*,17,4,4]; the last one is the forearm's."""
    weights: Tensor
    """[V,17], rows sum to 1."""


def bend_forearm(model: HandModel, transforms: Tensor, rest_wrist: Tensor, forearm: Tensor) -> BentForearm:
    """The forearm as a seventeenth joint at the wrist.

    transforms [*,16,4,4] of `mano.joint_transforms`; rest_wrist [*,3] metres; forearm [*,3] axis-angle in radians, about the
    rest frame's axes: its rotation relative to the hand, 0 where it runs on straight. Raises HandModelError for a hand without
    forearm.
    """
    if model.forearm_weight is None:
        raise HandModelError(f"{model.name} ends at the wrist: load the open hand with template='forearm' to bend one")
    rotation = axis_angle_to_matrix(forearm)
    shift = rest_wrist - (rotation @ rest_wrist[..., None])[..., 0]
    about_wrist = torch.cat([rotation, shift.expand(*rotation.shape[:-2], 3)[..., None]], dim=-1)
    last = torch.zeros_like(about_wrist[..., :1, :])
    last[..., 3] = 1
    own = transforms[..., 0, :, :] @ torch.cat([about_wrist, last], dim=-2)
    share = model.forearm_weight[:, None]
    weights = torch.cat([model.skinning_weights[:, :1] - share, model.skinning_weights[:, 1:], share], dim=1)
    everything = torch.cat([transforms.expand(*own.shape[:-2], 16, 4, 4), own[..., None, :, :]], dim=-3)
    return BentForearm(everything, weights)


def posed_elbow(model: HandModel, rest_vertices: Tensor, forearm_transform: Tensor) -> Tensor | None:
    """[*,3], or None for a hand without forearm. rest_vertices [*,V,3] shaped, unposed; forearm_transform [*,4,4]."""
    if model.elbow_regressor is None:
        return None
    rest = torch.einsum("v,...vc->...c", model.elbow_regressor, rest_vertices)
    return (forearm_transform[..., :3, :3] @ rest[..., None])[..., 0] + forearm_transform[..., :3, 3]
