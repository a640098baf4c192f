"""Visibility and interpolation against closed forms."""

from __future__ import annotations

import pytest
import torch

from engine.rendering.mesh import compose, mesh_topology, see, surface_values
from engine.rendering.rasterize import barycentric_at, face_buffer, pixel_centres, project_vertices, rasterize
from engine.rendering.texture import sample_texture

HEIGHT, WIDTH = 96, 128


def test_depth_and_attributes_of_a_slanted_plane_are_exact(quad, camera):
    vertices, faces, uv = quad
    view = see(vertices, mesh_topology(faces, uv, faces), camera, HEIGHT, WIDTH)
    fragments = view.fragments
    centres = pixel_centres(fragments.pixels, WIDTH, vertices)
    rays = torch.cat([centres, torch.ones_like(centres[:, :1])], 1) @ torch.linalg.inv(camera).T
    # the plane through the corners: depth = 0.35 + (0.2 / 0.06) x
    depth = 0.35 / (1 - 0.2 / 0.06 * rays[:, 0])
    assert len(depth) > 2000
    assert (fragments.depth - depth).abs().max() < 1e-5
    points = surface_values(view, vertices, faces)
    assert (points - rays * depth[:, None]).abs().max() < 1e-5


def test_pixel_centres_lie_at_half(device):
    screen = torch.tensor([[3.4, 2.4, 1], [3.6, 2.4, 1], [3.5, 2.7, 1]], device=device)
    buffer = face_buffer(screen, torch.tensor([[0, 1, 2]], device=device), 6, 8)
    assert torch.nonzero(buffer >= 0).tolist() == [[2, 3]]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_nearer_face_wins_whatever_the_order(device, order):
    vertices = torch.tensor([[-1.0, -1, 2], [1, -1, 2], [0, 1, 2], [-1, -1, 3], [1, -1, 3], [0, 1, 3]], device=device)
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]], device=device)[order]
    intrinsics = torch.tensor([[10.0, 0, 8], [0, 10, 8], [0, 0, 1]], device=device)
    fragments = rasterize(project_vertices(vertices, intrinsics), faces, 16, 16)
    near = order.index(0)
    overlap = fragments.depth < 2.5
    assert overlap.any()
    assert (fragments.faces[overlap] == near).all()


def test_either_winding_is_seen(quad, camera):
    vertices, faces, _ = quad
    screen = project_vertices(vertices, camera)
    there = rasterize(screen, faces, HEIGHT, WIDTH).pixels
    assert torch.equal(there, rasterize(screen, faces.flip(1), HEIGHT, WIDTH).pixels)


def test_faces_behind_the_camera_and_broken_vertices_are_left_out(device, camera):
    vertices = torch.tensor(
        [[0.0, 0, -1], [1, 0, 1], [0, 1, 1], [float("nan"), 0, 1], [1, 0, 1], [0, 1, 1]], device=device
    )
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]], device=device)
    assert len(rasterize(project_vertices(vertices, camera), faces, HEIGHT, WIDTH).pixels) == 0
    assert len(rasterize(project_vertices(vertices, camera), faces[:0], HEIGHT, WIDTH).pixels) == 0


def test_a_picture_needs_pixels(quad, camera):
    with pytest.raises(ValueError, match="0×4"):
        face_buffer(project_vertices(quad[0], camera), quad[1], 4, 0)


def test_barycentric_gradients():
    generator = torch.Generator().manual_seed(0)
    screen = torch.rand(6, 3, generator=generator, dtype=torch.float64) * torch.tensor([40.0, 30, 0.3]) + torch.tensor(
        [0, 0, 0.3]
    )
    screen.requires_grad_(True)
    corners = torch.tensor([[0, 1, 2], [3, 4, 5]])
    points = screen.detach()[corners].mean(1)[:, :2] + 0.3
    assert torch.autograd.gradcheck(lambda s: barycentric_at(s, corners, points), (screen,))


def test_picture_gradients_to_vertices_and_texture_match_finite_differences(quad, camera):
    vertices, faces, uv = quad
    topology = mesh_topology(faces, uv, faces)
    ramp = torch.linspace(0, 6.28, 32, device=vertices.device)
    texture = (torch.sin(ramp)[:, None] * torch.cos(ramp)[None] * 0.5 + 0.5)[..., None].double()
    weight = torch.rand(HEIGHT, WIDTH, 1, generator=torch.Generator().manual_seed(1)).to(texture)
    weight[:34], weight[62:], weight[:, :25], weight[:, 85:] = 0, 0, 0, 0  # inside only: no outline

    def energy(vertices, texture):
        view = see(vertices, topology, camera.double(), HEIGHT, WIDTH)
        picture = compose(view, topology, sample_texture(texture, surface_values(view, uv.double(), faces)))
        return (picture.color * weight).sum()

    start = vertices.double().requires_grad_(True)
    texture.requires_grad_(True)
    energy(start, texture).backward()
    for index in [(0, 0), (1, 1), (2, 2), (3, 2)]:
        step = torch.zeros_like(start)
        step[index] = 1e-6
        with torch.no_grad():
            slope = (energy(start + step, texture) - energy(start - step, texture)) / 2e-6
        assert float(start.grad[index]) == pytest.approx(float(slope), rel=2e-2, abs=0.5)
    step = torch.zeros_like(texture)
    step[12, 9] = 1e-3
    with torch.no_grad():
        slope = (energy(start, texture + step) - energy(start, texture - step)) / 2e-3
    assert float(texture.grad[12, 9]) == pytest.approx(float(slope), rel=1e-6)


def test_same_picture_twice(make_sphere, camera):
    vertices, faces = make_sphere()
    screen = project_vertices(vertices, camera)
    assert torch.equal(rasterize(screen, faces, HEIGHT, WIDTH).faces, rasterize(screen, faces, HEIGHT, WIDTH).faces)
