from __future__ import annotations

import torch
import trimesh

from engine.avatar.template_projection import ProjectionConfig, project_template
from engine.hand.mano import shape_hand
from engine.hand.model import open_hand_model
from engine.hand.signed_distance import signed_distance


def icosphere(radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    mesh = trimesh.creation.icosphere(3, radius=radius)
    return torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(mesh.faces, dtype=torch.int64)


def ball(radius: float):
    def field(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        length = points.norm(dim=1)
        # not a true distance: its slope is 1.7
        return 1.7 * (length - radius), 1.7 * points / length[:, None]

    return field


def mesh_field(vertices: torch.Tensor, faces: torch.Tensor, step: float = 2e-4):
    """Signed distance to a mesh and its gradient, from a tetrahedron of four points."""

    corner = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])

    def field(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked = (points[None] + step * corner[:, None]).reshape(-1, 3)
        values = signed_distance(vertices, faces, asked).reshape(4, -1)
        return values.mean(0), (values.T @ corner) / (4 * step)

    return field


def normals_of(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    corners = vertices[faces]
    return torch.nn.functional.normalize(
        torch.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=1), dim=1
    )


def test_a_sphere_grows_to_its_field() -> None:
    vertices, faces = icosphere(0.05)
    result = project_template(vertices, faces, ball(0.058))
    assert torch.allclose(result.vertices.norm(dim=1), torch.full((len(vertices),), 0.058), atol=1e-5)
    assert result.facing.all() and result.distance.max() < 1e-5


def test_held_vertices_stay() -> None:
    vertices, faces = icosphere(0.05)
    held = vertices[:, 0] > 0.04
    result = project_template(vertices, faces, ball(0.054), held=held)
    assert torch.equal(result.vertices[held], vertices[held])
    assert (result.vertices[~held].norm(dim=1) - 0.054).abs().max() < 1e-4


def test_no_vertex_goes_farther_than_the_limit() -> None:
    vertices, faces = icosphere(0.05)
    result = project_template(vertices, faces, ball(0.09), ProjectionConfig(limit_m=0.004))
    assert ((result.vertices - vertices).norm(dim=1) <= 0.004 + 1e-6).all()


def test_vertices_that_see_the_inside_of_skin_follow_their_neighbours() -> None:
    """A field turned inside out: nothing faces its way, so nothing moves."""
    vertices, faces = icosphere(0.05)
    outward = ball(0.054)

    def inward(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value, gradient = outward(points)
        return -value, -gradient

    result = project_template(vertices, faces, inward)
    assert not result.facing.any() and torch.equal(result.vertices, vertices)


def test_the_hand_takes_another_persons_shape() -> None:
    model = open_hand_model()
    betas = torch.tensor([1.5, -1.0, 1.0, 0.5, -0.5, 0.5, 0.0, 0.5, 0.0, 0.0])
    other, _ = shape_hand(model, betas)
    result = project_template(model.v_template, model.faces, mesh_field(other, model.faces))
    far_apart = (other - model.v_template).norm(dim=1)
    assert far_apart.median() > 0.002, "the test should ask for something"
    assert (result.distance[result.facing] < 5e-5).float().mean() > 0.98
    assert result.facing.float().mean() > 0.97
    # no face is turned over: fingers neither cross nor crumple
    turned = (normals_of(result.vertices, model.faces) * normals_of(other, model.faces)).sum(1) < 0
    assert turned.float().mean() < 0.01
