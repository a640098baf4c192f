"""A learned hand's surface at sampled poses, and the coarser mesh that an avatar folder gets of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ..avatar.field_mesh import joint_shapes, ten_shapes
from ..avatar.folder import AvatarMesh
from ..hand.mano import joint_transforms, pose_features, shape_hand, skin
from ..hand.model import HandModel
from ..hand.rotations import axis_angle_to_matrix
from ..hand.subdivide import subdivide_model
from ..progress import Progress
from ..rendering.mesh import MeshTopology, mesh_topology


class PoseFeatures(Protocol):
    @property
    def displacement(self) -> Tensor:
        """[V,3] metres in the rest frame, on top of the hand model's own correctives."""
        ...

    @property
    def skinning_weights(self) -> Tensor:
        """[V,16]"""
        ...

    @property
    def albedo(self) -> Tensor:
        """[V,3] linear."""
        ...


class PoseDependentHand(Protocol):
    """What the export asks of a method: a fine mesh whose features depend on the pose (`XHandModel`)."""

    @property
    def template(self) -> HandModel: ...
    @property
    def topology(self) -> MeshTopology: ...
    @property
    def betas(self) -> Tensor: ...
    def features(self, hand_pose: Tensor) -> PoseFeatures: ...


class CoarseHand(NamedTuple):
    """The mesh that is exported; its vertices are the fine mesh's first ones."""

    topology: MeshTopology
    cap_faces: Tensor
    """[F] bool"""
    vertices: int


class Samples(NamedTuple):
    """A hand at N poses without global rotation, on the CPU."""

    poses: Tensor
    """[N,45]"""
    posed: Tensor
    """[N,V,3] metres, as skinned with the pose's own weights."""
    unposed: Tensor
    """[N,C,3] metres: offsets in the rest frame beyond the hand model's correctives that, skinned with `weights`, take the coarse
    mesh's vertices there."""
    albedo: Tensor
    """[N,V,3] linear, half precision."""
    weights: Tensor
    """[V,16] the mean of the poses' skinning weights."""


def coarse_hand(base: HandModel, fine: HandModel, levels: int) -> CoarseHand:
    """The hand model quartered `levels` times, with the places and texture coordinates that the fine one gives its vertices."""
    split = subdivide_model(base, levels)
    uv = fine.uv[: len(split.uv)].detach().cpu()
    return CoarseHand(
        mesh_topology(split.faces.cpu(), uv, split.uv_faces.cpu()), split.cap_faces.cpu(), len(split.v_template)
    )


@torch.no_grad()
def sample_hand(
    hand: PoseDependentHand, poses: Tensor, coarse: int, progress: Progress, weights: Tensor | None = None
) -> Samples:
    """Look at the hand in poses [N,45]. weights [V,16]: those to unpose with, the poses' mean where None."""
    template = hand.template
    like = template.v_template
    rest, joints = (values.detach().cpu() for values in shape_hand(template, hand.betas.to(like)))
    posedirs = template.posedirs.detach().cpu().reshape(-1, 135)
    seen = []
    for number, pose in enumerate(poses):
        progress(number / len(poses), f"looking at pose {number + 1} of {len(poses)}")
        one = hand.features(pose.to(like))
        seen.append([value.detach().cpu() for value in (one.displacement, one.skinning_weights, one.albedo.half())])
    mean = torch.stack([one[1] for one in seen]).mean(0) if weights is None else weights
    posed, unposed = [], []
    for pose, (displacement, own, _) in zip(poses, seen, strict=True):
        rotations = axis_angle_to_matrix(torch.cat([pose.new_zeros(3), pose]).reshape(16, 3))
        corrected = rest + (posedirs @ pose_features(rotations)).reshape(-1, 3)
        transforms = joint_transforms(rotations, joints, template.parents)
        points = skin(corrected + displacement, transforms, own)
        posed.append(points)
        # not smoothed to the coarse mesh's spacing: that doubled distances, and the maps made normals no better for it
        unposed.append(unskin(points[:coarse], transforms, mean[:coarse]) - corrected[:coarse])
    return Samples(poses, torch.stack(posed), torch.stack(unposed), torch.stack([one[2] for one in seen]), mean)


def unskin(points: Tensor, transforms: Tensor, weights: Tensor) -> Tensor:
    """The inverse of linear blend skinning: points [V,3], transforms [16,4,4], weights [V,16] → rest points [V,3]."""
    blended = torch.einsum("vj,jrc->vrc", weights, transforms[:, :3])
    return torch.linalg.solve(blended[..., :3], (points - blended[..., 3])[..., None])[..., 0]


def avatar_mesh(
    hand: PoseDependentHand, coarse: CoarseHand, mean_offset: Tensor, weights: Tensor, pose_basis: np.ndarray
) -> AvatarMesh:
    """The exported mesh. mean_offset [C,3] metres at zero pose; pose_basis [135,C,3] the hand model's included."""
    template, count, topology = hand.template, coarse.vertices, coarse.topology
    rest, joints = shape_hand(template, hand.betas.to(template.v_template))
    chosen = weights[:count].clamp_min(0)
    chosen = torch.where(chosen < 1e-4, torch.zeros_like(chosen), chosen)
    return AvatarMesh(
        vertices=_numpy(rest[:count].cpu() + mean_offset),
        faces=_numpy(topology.faces),
        uv=_numpy(topology.uv[topology.uv_faces]),
        skinning_weights=_numpy(chosen / chosen.sum(1, keepdim=True)),
        joints=_numpy(joints),
        pose_basis=np.asarray(pose_basis, dtype=np.float32),
        shape_basis=ten_shapes(_numpy(template.shapedirs[:count].permute(2, 0, 1))),
        joint_shape_basis=ten_shapes(joint_shapes(template)),
        cap_faces=_numpy(coarse.cap_faces),
    )


def posed_meshes(mesh: AvatarMesh, poses: Tensor) -> Sequence[Tensor]:
    """The exported mesh in poses [N,45], as Blender shows it: [C,3] metres each, without global rotation."""
    from .rerender import Pose, pose_mesh

    still = np.zeros(3)
    return [pose_mesh(mesh, Pose(still, pose.numpy(), still)).vertices for pose in poses]


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
