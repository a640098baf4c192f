"""Meshes with closed forms, and the devices that this machine has."""

from __future__ import annotations

import pytest
import torch
import trimesh

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


@pytest.fixture(params=DEVICES)
def device(request) -> torch.device:
    return torch.device(request.param)


@pytest.fixture
def camera(device) -> torch.Tensor:
    return torch.tensor([[400.0, 0, 64], [0, 400.0, 48], [0, 0, 1]], device=device)


def sphere(
    radius: float, centre: tuple[float, float, float], subdivisions: int, device
) -> tuple[torch.Tensor, torch.Tensor]:
    mesh = trimesh.creation.icosphere(subdivisions, radius=radius)
    vertices = torch.tensor(mesh.vertices, dtype=torch.float32, device=device) + torch.tensor(centre, device=device)
    return vertices, torch.tensor(mesh.faces, dtype=torch.int64, device=device)


@pytest.fixture
def make_sphere(device):
    return lambda radius=0.02, centre=(0.0, 0.0, 0.3), subdivisions=4: sphere(radius, centre, subdivisions, device)


@pytest.fixture
def quad(device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A slanted rectangle before the camera: vertices, faces, uv (one per vertex)."""
    vertices = torch.tensor(
        [[-0.03, -0.02, 0.25], [0.03, -0.02, 0.45], [0.03, 0.02, 0.45], [-0.03, 0.02, 0.25]], device=device
    )
    faces = torch.tensor([[0, 2, 1], [0, 3, 2]], device=device)
    uv = torch.tensor([[0.0, 1], [1, 1], [1, 0], [0, 0]], device=device)
    return vertices, faces, uv
