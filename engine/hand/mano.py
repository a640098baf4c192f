"""MANO's function: shape, pose correctives, linear blend skinning (Romero et al. 2017, eqs. 1-5; SMPL, eqs. 2-10)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .forearm import bend_forearm, posed_elbow
from .model import HandModel
from .rotations import axis_angle_to_matrix


class HandOutput(NamedTuple):
    """A posed hand; * are the batch dimensions."""

    vertices: Tensor
    """[*,V,3] metres."""
    joints: Tensor
    """[*,16,3] metres."""
    keypoints: Tensor
    """[*,21,3] joints and fingertips in the project's order."""
    joint_transforms: Tensor
    """[*,16,4,4] rest frame to posed frame of each joint, global rotation and translation included."""
    rest_vertices: Tensor
    """[*,V,3] shaped, unposed, without correctives."""
    rest_joints: Tensor
    """[*,16,3]."""
    elbow: Tensor | None = None
    """[*,3], of a hand with forearm."""


def shape_hand(model: HandModel, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Rest vertices [*,V,3] and joints [*,16,3] for betas [*,≤B]; missing betas count as 0."""
    shapedirs = model.shapedirs[..., : betas.shape[-1]]
    vertices = model.v_template + torch.einsum("vcb,...b->...vc", shapedirs, betas)
    return vertices, torch.einsum("jv,...vc->...jc", model.joint_regressor, vertices)


def pose_features(rotations: Tensor) -> Tensor:
    """[*,135] entries of R_j - I of joints 1..15, row-major. rotations: [*,16,3,3], the root's first."""
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[..., 1:, :, :] - identity).flatten(-3)


def joint_transforms(rotations: Tensor, rest_joints: Tensor, parents: tuple[int, ...]) -> Tensor:
    """Forward kinematics: [*,16,4,4] that carry rest-frame points rigidly along with each joint.

    rotations [*,16,3,3] relative to the parent, about rest-frame axes; rest_joints [*,16,3] metres.
    """
    world_rotations: list[Tensor] = []
    positions: list[Tensor] = []
    for joint, parent in enumerate(parents):
        rest = rest_joints[..., joint, :]
        if parent < 0:
            world_rotations.append(rotations[..., joint, :, :])
            positions.append(rest)
            continue
        offset = (rest - rest_joints[..., parent, :])[..., None]
        positions.append(positions[parent] + (world_rotations[parent] @ offset)[..., 0])
        world_rotations.append(world_rotations[parent] @ rotations[..., joint, :, :])
    rotation = torch.stack(world_rotations, dim=-3)
    translation = torch.stack(positions, dim=-2) - (rotation @ rest_joints[..., None])[..., 0]
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], dim=-2)


def skin(vertices: Tensor, transforms: Tensor, weights: Tensor) -> Tensor:
    """Linear blend skinning. vertices [*,V,3], transforms [*,J,4,4], weights [V,J] → [*,V,3]."""
    blended = torch.einsum("vj,...jrc->...vrc", weights, transforms[..., :3, :])
    return (blended[..., :3] @ vertices[..., None])[..., 0] + blended[..., 3]


def hand_forward(
    model: HandModel,
    betas: Tensor,
    global_orient: Tensor,
    hand_pose: Tensor,
    transl: Tensor | None = None,
    forearm: Tensor | None = None,
) -> HandOutput:
    """The posed hand.

    betas [*,≤10]; global_orient [*,3] and hand_pose [*,45] axis-angle radians, absolute (flat hand = 0);
    transl [*,3] metres; forearm [*,3] its rotation about the wrist, relative to the hand (`bend_forearm`; None: straight).
    Batch dimensions broadcast. As in smplx, the global rotation turns about the rest wrist and transl is added after it.
    """
    transl = torch.zeros_like(global_orient) if transl is None else transl
    given = (betas, global_orient, hand_pose, transl, *(() if forearm is None else (forearm,)))
    batch = torch.broadcast_shapes(*(value.shape[:-1] for value in given))
    axis_angles = torch.cat([global_orient.expand(*batch, 3), hand_pose.expand(*batch, 45)], dim=-1)
    rotations = axis_angle_to_matrix(axis_angles.unflatten(-1, (16, 3)))
    rest_vertices, rest_joints = shape_hand(model, betas)
    corrected = rest_vertices + torch.einsum("vcp,...p->...vc", model.posedirs, pose_features(rotations))
    transforms = joint_transforms(rotations, rest_joints.expand(*batch, 16, 3), model.parents)
    shift = torch.nn.functional.pad(transl.expand(*batch, 3)[..., None, :, None], (3, 0, 0, 1))
    transforms = transforms + shift
    weights, arm = model.skinning_weights, transforms[..., 0, :, :]
    bent = transforms
    if forearm is not None:
        bent, weights = bend_forearm(model, transforms, rest_joints[..., 0, :], forearm.expand(*batch, 3))
        arm = bent[..., -1, :, :]
    vertices = skin(corrected, bent, weights)
    joints = (transforms[..., :3, :3] @ rest_joints[..., None])[..., 0] + transforms[..., :3, 3]
    keypoints = torch.cat([joints, vertices[..., model.tip_vertices, :]], dim=-2)
    return HandOutput(
        vertices, joints, keypoints, transforms, rest_vertices, rest_joints, posed_elbow(model, rest_vertices, arm)
    )
