"""A stack of frames shows what its frames show one by one."""

from __future__ import annotations

import pytest
import torch

from engine.rendering.frame_stack import frame_of_pixels, frame_slices, see_stack, stack_topology
from engine.rendering.mesh import compose, mesh_topology, see, surface_values


@pytest.fixture
def two_balls(make_sphere, device):
    """One ball in two places, seen by two cameras."""
    vertices, faces = make_sphere(0.05, (0.0, 0.0, 0.0), 3)
    uv = vertices[:, :2] * 5 + 0.5
    shift = torch.tensor([[0.0, 0, 0.5], [0.02, -0.03, 0.7]], device=device)
    intrinsics = torch.tensor([[[90.0, 0, 16], [0, 90, 12], [0, 0, 1]]] * 2, device=device)
    intrinsics[1, :2, 2] += 1.5
    return vertices + shift[:, None], mesh_topology(faces, uv, faces), intrinsics


def test_a_stack_is_its_frames_below_one_another(two_balls):
    vertices, topology, intrinsics = two_balls
    stack = stack_topology(topology, 2)
    view = see_stack(vertices, stack, intrinsics, 24, 32)
    tall = compose(view, stack, surface_values(view, vertices.reshape(-1, 3), stack.faces), 0.25)
    for frame in range(2):
        own = see(vertices[frame], topology, intrinsics[frame], 24, 32)
        picture = compose(own, topology, surface_values(own, vertices[frame], topology.faces), 0.25)
        rows = slice(24 * frame, 24 * frame + 24)
        assert torch.allclose(tall.color[rows], picture.color, atol=1e-5)
        assert torch.allclose(tall.coverage[rows], picture.coverage, atol=1e-5)
        uv = surface_values(own, topology.uv, topology.uv_faces)
        mine = frame_slices(view.fragments.pixels, 2, 24, 32)[frame]
        assert torch.allclose(surface_values(view, stack.uv, stack.uv_faces)[mine], uv, atol=1e-5)


def test_what_leaves_a_frame_is_not_seen_in_the_next(two_balls):
    vertices, topology, intrinsics = two_balls
    moved = vertices + torch.tensor([[[0.0, 0.06, 0]], [[0.0, 0.5, 0]]], device=vertices.device)
    view = see_stack(moved, stack_topology(topology, 2), intrinsics, 24, 32)
    assert len(view.fragments.pixels) > 0
    assert (frame_of_pixels(view.fragments.pixels, 24, 32) == 0).all()


def test_gradients_reach_every_frame(two_balls):
    vertices, topology, intrinsics = two_balls
    moved = vertices.clone().requires_grad_(True)
    stack = stack_topology(topology, 2)
    view = see_stack(moved, stack, intrinsics, 24, 32)
    ones = torch.ones(len(view.fragments.pixels), 1, device=vertices.device)
    compose(view, stack, ones).coverage.sum().backward()
    assert (moved.grad.abs().sum((1, 2)) > 0).all() and torch.isfinite(moved.grad).all()


def test_one_frame_is_no_stack(two_balls):
    _, topology, _ = two_balls
    assert stack_topology(topology, 1) is topology
