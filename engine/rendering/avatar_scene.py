"""An avatar folder as a scene for `render_mesh`: what Blender builds of it, less the subsurface scattering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar
from ..avatar.texture_files import read_png
from ..errors import AvatarError
from ..hand.joints import MANO_PARENTS
from ..hand.mano import joint_transforms, pose_features, skin
from ..hand.rotations import axis_angle_to_matrix
from .mesh_pbr import MeshScene
from .pose_textures import posed_textures

GLOSS_IN_ALBEDO = {"harp": 0.03}
"""As Blender's material takes it off: HARP explains a photo by diffuse skin alone, so its albedo holds the mean gloss."""


def avatar_scene(
    avatar: Avatar,
    global_orient: np.ndarray,
    hand_pose: np.ndarray,
    transl: np.ndarray,
    gloss_in_albedo: float = 0.0,
    device: torch.device | str = "cpu",
) -> MeshScene:
    """A posed avatar with its textures, float32.

    global_orient [3], hand_pose [45] axis-angle, transl [3] metres; gloss_in_albedo: reflectance that Blender's material takes
    off the albedo of this method, but never more than half of it. The edge between the wrist's lid and the skin is
    sharp, as in Blender. Raises AvatarError for an avatar that was not read from a folder or whose textures cannot be read.
    """
    if avatar.folder is None:
        raise AvatarError("an avatar that was not read from a folder has no textures: write it first")
    vertices = _posed(avatar, global_orient, hand_pose, transl)
    faces, kept = _split_lid(avatar.mesh.faces, avatar.mesh.cap_faces)
    corners = np.concatenate([faces.reshape(-1, 1), avatar.mesh.uv.reshape(-1, 2).round(6)], axis=1)
    welded, index = np.unique(corners, axis=0, return_inverse=True)
    textures = posed_textures(avatar, hand_pose)
    albedo = textures.albedo
    albedo = torch.maximum(albedo - gloss_in_albedo, albedo / 2)
    roughness = _texture(avatar.folder / "roughness.png")
    roughness = roughness[..., None] if roughness.dim() == 2 else roughness.mean(2, keepdim=True)
    return MeshScene(
        vertices[torch.as_tensor(kept)].to(device),
        torch.as_tensor(faces, device=device),
        torch.as_tensor(welded[:, 1:], dtype=torch.float32, device=device),
        torch.as_tensor(index.reshape(-1, 3), device=device),
        albedo.to(device),
        roughness.to(device),
        textures.normal.to(device),
    )


def _texture(path: Path) -> Tensor:
    return torch.as_tensor(read_png(path))


def _posed(avatar: Avatar, global_orient: np.ndarray, hand_pose: np.ndarray, transl: np.ndarray) -> Tensor:
    mesh = avatar.mesh

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32))

    rotations = axis_angle_to_matrix(torch.cat([tensor(global_orient).reshape(1, 3), tensor(hand_pose).reshape(15, 3)]))
    correctives = torch.einsum("pvc,p->vc", tensor(mesh.pose_basis), pose_features(rotations))
    if mesh.extra is not None:
        correctives = correctives + tensor(mesh.extra.offsets(hand_pose))
    transforms = joint_transforms(rotations, tensor(mesh.joints), MANO_PARENTS)
    return skin(tensor(mesh.vertices) + correctives, transforms, tensor(mesh.skinning_weights)) + tensor(transl)


def _split_lid(faces: np.ndarray, lid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces [F,3] whose lid has vertices of its own, and the old index of every new vertex."""
    faces, lid = np.asarray(faces, dtype=np.int64), np.asarray(lid, dtype=bool)
    count = int(faces.max()) + 1
    shared = np.intersect1d(faces[lid], faces[~lid])
    renamed = np.arange(count)
    renamed[shared] = count + np.arange(len(shared))
    split = np.where(lid[:, None], renamed[faces], faces)
    return split, np.concatenate([np.arange(count), shared])
