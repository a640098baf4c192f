"""A finished avatar as HARP's template: its own mesh, weights, correctives and joints, with no shape left to fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar, AvatarMesh
from ..errors import AvatarError
from ..hand.atlas import with_texture_charts
from ..hand.model import HandModel, open_hand_model
from ..lighting.color import linear_to_srgb
from ..rendering.mesh import MeshTopology, mesh_topology
from .config import HarpConfig
from .harp_model import AppearanceParameters, Template, build_template
from .rerender import load_avatar


def template_of(avatar: Avatar, model: HandModel, levels: int = HarpConfig.subdivision) -> Template:
    """The avatar's hand, posed by MANO's parameters with betas 0.

    model: the hand that it was made with, of its side. Raises AvatarError for an avatar on another mesh.
    """
    template = build_template(with_texture_charts(model), levels)
    mesh = avatar.mesh
    if not np.array_equal(np.asarray(mesh.faces), template.model.faces.cpu().numpy()):
        if len(mesh.faces) == len(open_hand_model(template="forearm").faces) * 4**levels:
            raise AvatarError(
                f"{avatar.folder}: refine-poses does not take avatars made with --template forearm: give one made without"
            )
        raise AvatarError(
            f"{avatar.folder}: its mesh is not the hand model's: give an avatar of --method harp, and --hand-model if it was "
            "made with one"
        )
    like = template.model.v_template
    vertices = torch.as_tensor(np.asarray(mesh.vertices)).to(like)
    fitted = dataclasses.replace(
        template.model,
        v_template=vertices,
        shapedirs=torch.zeros_like(template.model.shapedirs),
        posedirs=torch.as_tensor(np.asarray(mesh.pose_basis)).to(like).permute(1, 2, 0).contiguous(),
        joint_regressor=regressor_for(vertices, torch.as_tensor(np.asarray(mesh.joints)).to(like)),
        skinning_weights=torch.as_tensor(np.asarray(mesh.skinning_weights)).to(like),
    )
    # UVs are the avatar's own: its maps were painted on them
    return template._replace(model=fitted, topology=_charted(template, mesh))


def _charted(template: Template, mesh: AvatarMesh) -> MeshTopology:
    corners = np.asarray(mesh.uv).reshape(-1, 2).round(6)
    welded, index = np.unique(
        np.concatenate([np.asarray(mesh.faces).reshape(-1, 1), corners], axis=1), axis=0, return_inverse=True
    )
    uv = torch.as_tensor(welded[:, 1:]).to(template.model.v_template)
    return mesh_topology(template.model.faces, uv, torch.as_tensor(index.reshape(-1, 3), dtype=torch.int64))


def regressor_for(vertices: Tensor, joints: Tensor) -> Tensor:
    """The smallest weights [J,V] that sum to 1 and take vertices [V,3] to joints [J,3]."""
    exact = torch.cat([vertices, torch.ones_like(vertices[:, :1])], dim=1).double()
    wanted = torch.cat([joints, torch.ones_like(joints[:, :1])], dim=1).double()
    return (wanted @ torch.linalg.inv(exact.T @ exact) @ exact.T).to(vertices)


def appearance_of(avatar: Avatar) -> AppearanceParameters:
    """The avatar's maps in its estimated light. Raises AvatarError."""
    loaded = load_avatar(avatar)
    slopes = loaded.normal[..., :2] / loaded.normal[..., 2:3].clamp_min(0.05)
    light = loaded.light
    return AppearanceParameters(
        linear_to_srgb(loaded.albedo).clamp(0, 1),
        slopes,
        torch.log(light.ambient.clamp_min(1e-4)),
        torch.log(light.lamp.clamp_min(1e-4)),
        light.to_lamp,
    )
