from __future__ import annotations

import math

import pytest
import torch

from engine.avatar.marching import extract_surface, largest_component, marching_cubes
from engine.errors import AvatarError
from engine.hand.canonical import CanonicalBox

BOX = CanonicalBox((0.01, -0.02, 0.03), 0.15)
CENTRE = torch.tensor([0.02, 0.0, 0.01])
RADIUS = 0.05


def ball(points: torch.Tensor) -> torch.Tensor:
    return (points - CENTRE.to(points)).norm(dim=1) - RADIUS


def enclosed_volume(vertices: torch.Tensor, faces: torch.Tensor) -> float:
    a, b, c = (vertices[faces[:, k]].double() for k in range(3))
    return float((a * torch.cross(b, c, dim=1)).sum() / 6)


def test_a_ball_is_found_where_it_is() -> None:
    vertices, faces = extract_surface(ball, BOX, resolution=48, coarse=24)
    assert vertices.shape[1] == faces.shape[1] == 3 and faces.dtype == torch.int64
    assert ball(vertices).abs().max() < 1e-4
    # positive: faces look outward
    assert enclosed_volume(vertices, faces) == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=5e-3)


def test_the_surface_is_closed() -> None:
    _, faces = extract_surface(ball, BOX, resolution=32, coarse=16)
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed = {(int(a), int(b)) for a, b in edges}
    assert len(directed) == len(edges) and all((b, a) in directed for a, b in directed)


def test_coarse_to_fine_equals_asking_everywhere() -> None:
    def capsule(points: torch.Tensor) -> torch.Tensor:
        along = points[:, :1].clamp(-0.05, 0.07)
        axis = torch.cat([along, torch.zeros_like(along), torch.zeros_like(along)], dim=1)
        return (points - axis).norm(dim=1) - 0.012

    asked: list[int] = []

    def counted(points: torch.Tensor) -> torch.Tensor:
        asked.append(len(points))
        return capsule(points)

    vertices, faces = extract_surface(counted, BOX, resolution=96, coarse=32)
    everywhere = (torch.stack(torch.meshgrid(*[torch.linspace(-0.1, 0.1, 161)] * 3, indexing="ij"), -1)).reshape(-1, 3)
    dense, dense_faces = marching_cubes(capsule(everywhere).reshape(161, 161, 161), (-0.1,) * 3, (0.1,) * 3)
    assert capsule(vertices).abs().max() < 1e-4
    assert enclosed_volume(vertices, faces) == pytest.approx(enclosed_volume(dense, dense_faces), rel=0.01)
    assert sum(asked) < 0.2 * 10**6


def test_floaters_are_dropped() -> None:
    def two(points: torch.Tensor) -> torch.Tensor:
        return torch.minimum(ball(points), (points + 0.08).norm(dim=1) - 0.02)

    whole, faces = extract_surface(two, BOX, resolution=48, coarse=24, largest_only=False)
    kept, _ = largest_component(whole, faces)
    assert two(whole).abs().max() < 2e-4 and len(kept) < len(whole)
    assert ball(kept).abs().max() < 2e-4


def test_fields_without_a_surface_are_refused() -> None:
    with pytest.raises(AvatarError, match="no surface"):
        extract_surface(lambda x: torch.ones(len(x)), BOX, coarse=8)
    with pytest.raises(AvatarError, match="not finite"):
        extract_surface(lambda x: torch.full((len(x),), torch.nan), BOX, coarse=8)
