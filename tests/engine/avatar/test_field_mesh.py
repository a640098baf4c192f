from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.avatar.field_mesh import carried_mesh, template_mesh
from engine.avatar.marching import extract_surface
from engine.errors import AvatarError
from engine.hand.canonical import OPEN_BOX
from engine.hand.mano import hand_forward, joint_transforms, pose_features, shape_hand, skin
from engine.hand.model import open_hand_model
from engine.hand.rotations import axis_angle_to_matrix
from engine.hand.signed_distance import signed_distance

BETAS = torch.tensor([0.5, -0.5, 0.3, 0.0, 0.2, 0.0, 0.0, 0.1, 0.0, 0.0])


def fist() -> torch.Tensor:
    """Every finger bent by 0.8 rad a joint."""
    model = open_hand_model()
    angles = torch.zeros(15, 3)
    angles[:12, 0] = 0.8
    return torch.einsum("jkc,jk->jc", model.joint_axes, angles).flatten()


def posed(mesh, hand_pose: torch.Tensor) -> torch.Tensor:
    """A mesh moved by its own bases and weights alone."""
    rotations = axis_angle_to_matrix(torch.cat([torch.zeros(3), hand_pose]).reshape(16, 3))
    correctives = torch.einsum("pvc,p->vc", torch.as_tensor(mesh.pose_basis).float(), pose_features(rotations))
    transforms = joint_transforms(rotations, torch.as_tensor(mesh.joints), open_hand_model().parents)
    vertices = torch.as_tensor(mesh.vertices) + correctives
    return skin(vertices, transforms, torch.as_tensor(mesh.skinning_weights).float())


def test_the_models_own_surface_keeps_everything() -> None:
    model = open_hand_model()
    rest, _ = shape_hand(model, BETAS)
    mesh = template_mesh(model, BETAS, rest)
    wanted = hand_forward(model, BETAS, torch.zeros(3), fist()).vertices
    assert torch.allclose(posed(mesh, fist()), wanted, atol=1e-6)
    assert mesh.uv.shape == (len(model.faces), 3, 2) and mesh.shapes()["pose_basis"] == mesh.pose_basis.shape


def test_the_same_vertices_carry_the_same_values() -> None:
    model = open_hand_model()
    rest, _ = shape_hand(model, BETAS)
    mesh = carried_mesh(model, BETAS, rest, model.faces)
    assert np.allclose(mesh.skinning_weights, model.skinning_weights, atol=2e-3)
    assert np.allclose(mesh.pose_basis, model.posedirs.permute(2, 0, 1), atol=2e-5)
    assert mesh.cap_faces.sum() > 0.5 * int(model.cap_faces.sum())
    assert (mesh.uv >= 0).all() and (mesh.uv <= 1).all()


def test_a_marched_hand_bends_as_the_model_does() -> None:
    model = open_hand_model()
    rest, _ = shape_hand(model, BETAS)
    vertices, faces = extract_surface(
        lambda x: signed_distance(rest, model.faces, x), OPEN_BOX, resolution=64, coarse=32
    )
    mesh = carried_mesh(model, BETAS, vertices, faces)
    wanted = hand_forward(model, BETAS, torch.zeros(3), fist()).vertices
    error = signed_distance(wanted, model.faces, posed(mesh, fist())).abs()
    assert error.mean() < 4e-4 and error.quantile(0.99) < 2.5e-3


def test_an_empty_surface_is_refused() -> None:
    model = open_hand_model()
    with pytest.raises(AvatarError, match="empty"):
        carried_mesh(model, BETAS, torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
