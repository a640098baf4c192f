"""The left hand as the right one's mirror image in X, and the same for poses.

With M = diag(-1, 1, 1) a rotation R becomes M R M, so an axis-angle vector (x, y, z) becomes (x, -y, -z).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .model import HandModel


def mirror_axis_angle(axis_angle: Tensor) -> Tensor:
    """Axis-angle vectors (*, 3n) of one hand → the mirrored rotations of the other."""
    flip = torch.tensor([1.0, -1.0, -1.0], dtype=axis_angle.dtype, device=axis_angle.device)
    return (axis_angle.unflatten(-1, (-1, 3)) * flip).flatten(-2)


def mirror_points(points: Tensor) -> Tensor:
    """Points (*, 3) mirrored in X."""
    return points * torch.tensor([-1.0, 1.0, 1.0], dtype=points.dtype, device=points.device)


def mirror_model(model: HandModel) -> HandModel:
    """The other hand: hand_forward of mirrored parameters gives the mirrored vertices.

    Faces are rewound so that normals stay outward; UVs, weights and betas keep their meaning.
    """
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=model.v_template.dtype, device=model.v_template.device)
    feature_sign = (flip[:, None] * flip[None, :]).flatten().repeat(15)
    return dataclasses.replace(
        model,
        v_template=model.v_template * flip,
        shapedirs=model.shapedirs * flip[:, None],
        posedirs=model.posedirs * flip[:, None] * feature_sign,
        faces=model.faces.flip(-1),
        uv_faces=model.uv_faces.flip(-1),
        hands_mean=mirror_axis_angle(model.hands_mean),
        # axes turn as rotation vectors do, so the limits along them stay what they are
        joint_axes=model.joint_axes * -flip,
        side="left" if model.side == "right" else "right",
        name=f"{model.name} (mirrored)",
    )
