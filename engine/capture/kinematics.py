"""The hand as a function of the fit's unknowns: a few points instead of the whole mesh, so that fitting is fast.

Unknowns of one frame, [51]: 0-2 a rotation vector applied on the left of the current global rotation (zero at the
linearisation point), 3-47 the 15 joints' angles along their flexion, abduction and twist axes (radians), 48-50 the
position of the wrist joint in the camera (metres).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..hand.mano import pose_features
from ..hand.model import HandModel
from ..hand.rotations import axis_angle_to_matrix, matrix_to_axis_angle, skew

UNKNOWNS = 51
ROTATION, ANGLES, POSITION = slice(0, 3), slice(3, 48), slice(48, 51)


@dataclass(frozen=True)
class HandState:
    """Poses of T frames with shared betas. Tensors share device and dtype."""

    rotation: Tensor
    """[T,3,3] global rotation."""
    angles: Tensor
    """[T,45] along the joint axes, radians."""
    position: Tensor
    """[T,3] wrist joint in camera axes, metres."""
    betas: Tensor
    """[B]."""

    def moved(self, step: Tensor, betas_step: Tensor) -> HandState:
        """The state after a step of the unknowns [T,51] and of the betas [B]."""
        return HandState(
            axis_angle_to_matrix(step[:, ROTATION]) @ self.rotation,
            self.angles + step[:, ANGLES],
            self.position + step[:, POSITION],
            self.betas + betas_step,
        )


def hand_pose_from_angles(model: HandModel, angles: Tensor) -> Tensor:
    """Angles along the joint axes [*,45] → MANO's hand_pose [*,45]."""
    return torch.einsum("jkc,...jk->...jc", model.joint_axes, angles.unflatten(-1, (15, 3))).flatten(-2)


def angles_from_hand_pose(model: HandModel, hand_pose: Tensor) -> Tensor:
    """MANO's hand_pose [*,45] → angles along the joint axes [*,45]."""
    inverse = torch.linalg.inv(model.joint_axes)
    return torch.einsum("jck,...jc->...jk", inverse, hand_pose.unflatten(-1, (15, 3))).flatten(-2)


def rest_joints(model: HandModel, betas: Tensor) -> Tensor:
    """[16,3] for betas [B]."""
    basis = torch.einsum("jv,vcb->jcb", model.joint_regressor, model.shapedirs[..., : betas.shape[-1]])
    return model.joint_regressor @ model.v_template + basis @ betas


def mano_parameters(model: HandModel, state: HandState) -> dict[str, Tensor]:
    """global_orient [T,3], hand_pose [T,45], transl [T,3] and betas [B] as `hand_forward` takes them."""
    return {
        "betas": state.betas,
        "global_orient": matrix_to_axis_angle(state.rotation),
        "hand_pose": hand_pose_from_angles(model, state.angles),
        "transl": state.position - rest_joints(model, state.betas)[0],
    }


def state_from_mano(
    model: HandModel, betas: Tensor, global_orient: Tensor, hand_pose: Tensor, transl: Tensor
) -> HandState:
    """The inverse of `mano_parameters`."""
    return HandState(
        axis_angle_to_matrix(global_orient),
        angles_from_hand_pose(model, hand_pose),
        transl + rest_joints(model, betas)[0],
        betas,
    )


class PointEvaluator:
    """Joints and chosen vertices of posed hands, with their derivatives in closed form.

    A joint's rotation turns everything below it on the chain about the joint's place, which gives each derivative as one
    cross product. The derivative of the pose correctives (tenths of a millimetre a radian at the points used) is left
    out: the fit then takes Gauss-Newton steps that are off by as little, towards a cost that is evaluated in full.
    """

    def __init__(self, model: HandModel):
        self.model = model
        self._joints = model.joint_regressor @ model.v_template
        self._joint_basis = torch.einsum("jv,vcb->jcb", model.joint_regressor, model.shapedirs)
        above = torch.zeros(16, 16)
        for joint in range(16):
            ancestor = joint
            while ancestor >= 0:
                above[joint, ancestor] = 1
                ancestor = model.parents[ancestor]
        self._below = above.to(model.v_template)
        """[16,16] 1 where the column's joint is the row's or above it."""
        self._parents = list(model.parents)

    def points(self, state: HandState, chosen: Tensor) -> Tensor:
        """Joints and chosen vertices. chosen [T,N] int64 → [T,16+N,3] metres, camera axes."""
        rotations, places, joints, _ = self._chain(state)
        return torch.cat([places, self._vertices(state, chosen, rotations, places, joints)[0]], dim=1)

    def points_and_jacobians(self, state: HandState, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `points`, with derivatives by the unknowns [T,16+N,3,51] and by the betas [T,16+N,3,B]."""
        rotations, places, joints, axes = self._chain(state)
        vertices, by_joint = self._vertices(state, chosen, rotations, places, joints)
        weights = self.model.skinning_weights[chosen]
        frames, count = chosen.shape
        # of each point: the weight that lies below joint j, and the weighted place of the parts below it
        vertex_say = weights @ self._below
        vertex_place = torch.einsum("tnk,tnkc,kj->tnjc", weights, by_joint, self._below)
        # a joint is moved by those above it; the root's own rotation turns about itself
        joint_say = (self._below - torch.eye(16).to(self._below)).expand(frames, 16, 16)
        say = torch.cat([joint_say, vertex_say], dim=1)
        place = torch.cat([joint_say[..., None] * places[:, :, None], vertex_place], dim=1)
        arms = place - say[..., None] * places[:, None]
        turns = torch.cat([torch.eye(3).to(axes).expand(frames, 1, 3, 3), axes], dim=1)
        # [T,16+N,16,3 axes,3]: axis × arm
        moved = torch.linalg.cross(
            turns[:, None].expand(-1, 16 + count, -1, -1, -1), arms[:, :, :, None].expand(-1, -1, -1, 3, -1), dim=-1
        )
        by_unknowns = torch.zeros(frames, 16 + count, 3, UNKNOWNS).to(places)
        by_unknowns[..., :48] = moved.flatten(2, 3).mT
        by_unknowns[..., POSITION] = torch.eye(3).to(places)
        by_betas = self._by_betas(state, chosen, rotations, weights)
        return torch.cat([places, vertices], dim=1), by_unknowns, by_betas

    def _chain(self, state: HandState) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """World rotations [T,16,3,3], joint places [T,16,3], rest joints [16,3] and, in camera axes, the turn that each
        joint angle gives [T,15,3 angles,3]."""
        vectors = hand_pose_from_angles(self.model, state.angles).unflatten(-1, (15, 3))
        local = axis_angle_to_matrix(vectors)
        joints = self._joints + self._joint_basis[..., : len(state.betas)] @ state.betas
        world, places = [state.rotation], [state.position]
        for joint in range(1, 16):
            parent = self._parents[joint]
            places.append(places[parent] + world[parent] @ (joints[joint] - joints[parent]))
            world.append(world[parent] @ local[:, joint - 1])
        rotations = torch.stack(world, dim=1)
        turns = rotations[:, self._parents[1:]] @ left_jacobian(vectors) @ self.model.joint_axes.mT
        return rotations, torch.stack(places, dim=1), joints, turns.mT

    def _vertices(
        self, state: HandState, chosen: Tensor, rotations: Tensor, places: Tensor, joints: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Posed vertices [T,N,3], and where each joint alone would carry them [T,N,16,3]."""
        model = self.model
        local = torch.cat([torch.eye(3).to(rotations).expand(len(rotations), 1, 3, 3), self._local(rotations)], dim=1)
        rest = (
            model.v_template[chosen]
            + model.shapedirs[chosen][..., : len(state.betas)] @ state.betas
            + torch.einsum("tncp,tp->tnc", model.posedirs[chosen], pose_features(local))
        )
        by_joint = torch.einsum("tkcd,tnkd->tnkc", rotations, rest[:, :, None] - joints) + places[:, None]
        return torch.einsum("tnk,tnkc->tnc", model.skinning_weights[chosen], by_joint), by_joint

    def _local(self, rotations: Tensor) -> Tensor:
        return rotations[:, self._parents[1:]].mT @ rotations[:, 1:]

    def _by_betas(self, state: HandState, chosen: Tensor, rotations: Tensor, weights: Tensor) -> Tensor:
        basis = self._joint_basis[..., : len(state.betas)]
        places = [torch.zeros_like(basis[0]).expand(len(rotations), -1, -1)]
        for joint in range(1, 16):
            parent = self._parents[joint]
            places.append(places[parent] + rotations[:, parent] @ (basis[joint] - basis[parent]))
        joint_part = torch.stack(places, dim=1)
        shift = joint_part - rotations @ basis
        blended = torch.einsum("tnk,tkcd->tncd", weights, rotations)
        vertex_part = blended @ self.model.shapedirs[chosen][..., : len(state.betas)]
        return torch.cat([joint_part, vertex_part + torch.einsum("tnk,tkcb->tncb", weights, shift)], dim=1)


def left_jacobian(vector: Tensor) -> Tensor:
    """[*,3,3] with exp(v + d) ≈ exp(J d) exp(v) for axis-angle vectors v [*,3] and small d (Solà et al. 2018, eq. 145)."""
    squared = vector.square().sum(-1)[..., None, None]
    small = squared < 1e-6
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    second = torch.where(small, 1 / 6 - squared / 120, (angle - angle.sin()) / (safe * angle))
    cross = skew(vector)
    return torch.eye(3).to(vector) + first * cross + second * (cross @ cross)
