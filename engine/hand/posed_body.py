"""The posed hand in root space: what the deformer, the empty-space grid and the renderer need of a hand model."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .mano import hand_forward
from .model import HandModel
from .rotations import axis_angle_to_matrix


class PosedBody(NamedTuple):
    """B posed hands of V vertices. Root space: the world with the root's rotation and translation undone."""

    root: Tensor
    """[B,4,4] root space → world, metres."""
    bone_transforms: Tensor
    """[B,16,4,4] canonical → root space, rigid; the root's own is the identity."""
    vertices: Tensor
    """[B,V,3] posed, pose correctives included, root space, metres."""
    rest_vertices: Tensor
    """[B,V,3] canonical (zero pose, betas applied), without pose correctives, metres."""


def pose_body(model: HandModel, betas: Tensor, global_orient: Tensor, hand_pose: Tensor, transl: Tensor) -> PosedBody:
    """The hands at given parameters, differentiable in all of them.

    betas [B,≤10]; global_orient [B,3] and hand_pose [B,45] axis-angle radians, absolute; transl [B,3] metres. The root turns
    about the rest wrist J0 and transl is added after it: x_world = R (x_root − J0) + J0 + transl.
    """
    body = hand_forward(model, betas, torch.zeros_like(global_orient), hand_pose)
    rotation = axis_angle_to_matrix(global_orient)
    wrist = body.rest_joints[..., 0, :].expand_as(transl)
    translation = wrist - (rotation @ wrist[..., None])[..., 0] + transl
    root = torch.nn.functional.pad(torch.cat([rotation, translation[..., None]], dim=-1), (0, 0, 0, 1))
    last_entry = torch.zeros_like(root)
    last_entry[..., 3, 3] = 1
    rest = body.rest_vertices.expand_as(body.vertices)
    return PosedBody(root + last_entry, body.joint_transforms, body.vertices, rest)
