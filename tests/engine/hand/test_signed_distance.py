from __future__ import annotations

import pytest
import torch

from engine.errors import HandModelError
from engine.hand.model import open_hand_model
from engine.hand.signed_distance import pretraining_points, signed_distance, surface_points
from engine.hand.subdivide import split_faces


def sphere(radius: float = 0.1, levels: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """An octahedron split and pushed out to a sphere."""
    vertices = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    faces = torch.tensor([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
    for _ in range(levels):
        split = split_faces(faces, len(vertices))
        vertices = torch.cat([vertices, vertices[split.edges].mean(1)])
        vertices, faces = vertices / vertices.norm(dim=1, keepdim=True), split.faces
    return vertices * radius, faces


def test_distance_to_a_sphere(device: torch.device) -> None:
    vertices, faces = sphere()
    points = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)) * 0.1
    found = signed_distance(vertices.to(device), faces.to(device), points.to(device)).cpu()
    assert found.shape == (2000,)
    # the mesh of 2048 triangles stays within 0.3 % of its sphere
    assert torch.allclose(found, points.norm(dim=1) - 0.1, atol=5e-4)


def test_no_points_give_no_distances() -> None:
    vertices, faces = sphere(levels=1)
    assert signed_distance(vertices, faces, torch.zeros(0, 3)).shape == (0,)


def test_a_mesh_that_is_not_finite_is_refused() -> None:
    vertices, faces = sphere(levels=1)
    vertices[0, 0] = float("nan")
    with pytest.raises(HandModelError, match="finite"):
        signed_distance(vertices, faces, torch.zeros(1, 3))


def test_the_open_hand_has_an_inside() -> None:
    hand = open_hand_model()
    joints = hand.joint_regressor @ hand.v_template
    assert (signed_distance(hand.v_template, hand.faces, joints) < -0.003).all()
    on_surface = surface_points(hand.v_template, hand.faces, 500, torch.Generator().manual_seed(0))
    assert signed_distance(hand.v_template, hand.faces, on_surface).abs().max() < 1e-6


def test_surface_points_follow_area() -> None:
    # two triangles, one of three times the area
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 1, 5]])
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    points = surface_points(vertices, faces, 200000, torch.Generator().manual_seed(0))
    assert abs((points[:, 2] > 2).float().mean().item() - 0.75) < 4e-3
    assert torch.allclose(points[points[:, 2] < 2].mean(0), torch.tensor([1 / 3, 1 / 3, 0.0]), atol=0.01)


def test_pretraining_points_lie_around_the_surface() -> None:
    vertices, faces = sphere()
    points = pretraining_points(vertices, faces, 20000, torch.Generator().manual_seed(0))
    assert points.shape == (20000, 3)
    near = signed_distance(vertices, faces, points)[:18000]
    assert abs(near.std().item() - 0.005) < 2e-4
    again = pretraining_points(vertices, faces, 20000, torch.Generator().manual_seed(0))
    assert torch.equal(points, again)
