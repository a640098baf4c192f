"""Normals, tangent frames, texture look-up, crops, baking."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.rendering.bake import chart_padding, pad_map, project_points, texel_map
from engine.rendering.crop import Crop, crop_around, resample
from engine.rendering.mesh import mesh_topology, see
from engine.rendering.surface import corner_tangents, perturb_normal, vertex_normals
from engine.rendering.texture import sample_image, sample_texture, texel_positions


def test_sphere_normals_point_outwards(make_sphere):
    vertices, faces = make_sphere(0.05, (0.0, 0.0, 0.0), 3)
    normals = vertex_normals(vertices, faces)
    assert (normals * vertices).sum(1).min() > 0.05 * 0.999


def test_normals_do_not_depend_on_how_faces_are_cut(device):
    """A cube's corner, its sides cut along either diagonal: the mean of three sides that meet at right angles."""
    sides = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 0, 1]], [[0, 0, 1], [1, 0, 0]]], device=device)
    for through_corner in (True, False):
        corners, faces = [], []
        for u, v in sides:
            first = len(corners)
            corners += [torch.zeros(3, device=device), u, u + v, v]
            cut = [(0, 1, 2), (0, 2, 3)] if through_corner else [(0, 1, 3), (1, 2, 3)]
            faces += [[first + k for k in face] for face in cut]
        points, same = torch.unique(torch.stack(corners), dim=0, return_inverse=True)
        normals = vertex_normals(points, same[torch.tensor(faces, device=device)])
        place = int((points == 0).all(1).nonzero())
        assert torch.allclose(normals[place], torch.full((3,), 3**-0.5, device=device), atol=1e-6)


def test_normals_have_gradients_even_beside_empty_faces():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [1, 4, 2]])
    assert torch.autograd.gradcheck(lambda p: vertex_normals(p, faces), points)
    with_empty = torch.cat([faces, torch.tensor([[3, 3, 4]])])
    (slope,) = torch.autograd.grad(vertex_normals(points, with_empty).sum(), points)
    assert slope.isfinite().all()


def test_tangents_follow_u_and_mirrored_charts_turn_the_bitangent(device):
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], device=device)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], device=device)
    normals = torch.tensor([[0.0, 0, 1]], device=device).expand(4, 3)
    uv = vertices[:, :2].clone()
    tangents = corner_tangents(vertices, normals, faces, uv, faces)
    assert torch.allclose(tangents, torch.tensor([1.0, 0, 0, 1], device=device).expand(4, 4), atol=1e-6)
    mirrored = corner_tangents(vertices, normals, faces, uv * torch.tensor([-1.0, 1], device=device), faces)
    assert torch.allclose(mirrored, torch.tensor([-1.0, 0, 0, -1], device=device).expand(4, 4), atol=1e-6)
    # +Y of the map leads along +V in both, which is what OpenGL's convention means
    index, weights = torch.tensor([0], device=device), torch.tensor([[0.2, 0.3, 0.5]], device=device)
    for frame in (tangents, mirrored):
        tilted = perturb_normal(
            normals, frame, faces, faces, index, weights, torch.tensor([[0.0, 0.6, 0.8]], device=device)
        )
        assert torch.allclose(tilted, torch.tensor([[0.0, 0.6, 0.8]], device=device), atol=1e-6)


def test_texture_rows_run_down_while_v_runs_up(device):
    texture = torch.arange(12.0, device=device).reshape(3, 4, 1)
    uv = texel_positions(3, 4, texture)
    assert torch.allclose(sample_texture(texture, uv)[:, 0], torch.arange(12.0, device=device), atol=1e-5)
    assert float(sample_texture(texture, torch.tensor([[0.125, 1 / 6]], device=device))) == pytest.approx(8)
    between = sample_texture(texture, torch.tensor([[0.25, 5 / 6]], device=device))
    assert float(between) == pytest.approx(0.5)


def test_picture_lookup_counts_centres_from_half(device):
    picture = torch.arange(12.0, device=device).reshape(3, 4, 1)
    assert float(sample_image(picture, torch.tensor([[2.5, 1.5]], device=device))) == pytest.approx(6)
    assert float(sample_image(picture, torch.tensor([[3.0, 1.0]], device=device))) == pytest.approx(4.5)


def test_a_crop_keeps_points_on_their_pixels():
    crop = Crop(left=12.0, top=-3.0, scale=0.5, width=30, height=20)
    intrinsics = torch.tensor([[500.0, 0, 33], [0, 510, 21], [0, 0, 1]], dtype=torch.float64)
    point = torch.tensor([0.02, -0.01, 0.4], dtype=torch.float64)
    full, small = intrinsics @ point, crop.intrinsics(intrinsics) @ point
    assert torch.allclose(crop.points(full[:2] / full[2]), small[:2] / small[2])


@pytest.mark.parametrize("scale", [0.25, 0.7, 1.0, 2.0])
def test_resampling_keeps_a_ramp(scale):
    x, y = torch.meshgrid(torch.arange(60.0) + 0.5, torch.arange(50.0) + 0.5, indexing="xy")
    crop = Crop(left=8.0, top=6.0, scale=scale, width=int(30 * scale), height=int(24 * scale))
    small = resample(torch.stack([x, y], -1), crop)
    column, row = crop.width // 2, crop.height // 3
    expected = torch.tensor([8 + (column + 0.5) / scale, 6 + (row + 0.5) / scale])
    assert torch.allclose(small[row, column], expected, atol=1e-4)


def test_resampling_fills_what_lies_outside():
    small = resample(torch.zeros(10, 10, 1), Crop(left=-20.0, top=0.0, scale=1.0, width=30, height=10), outside=1.0)
    assert (small[:, :19] == 1).all() and (small[1:-1, 21:29] == 0).all()


def test_crop_around_holds_the_points():
    points = np.array([[100.0, 50.0], [300.0, 90.0]])
    crop = crop_around(points, 0.1, 128)
    inside = crop.points(torch.as_tensor(points))
    assert (inside >= 0).all() and (inside <= torch.tensor([crop.width, crop.height])).all()
    assert max(crop.width, crop.height) in (128, 129)
    assert crop_around(points, 0.1, 5000).scale == 1.0


def test_texel_map_covers_the_charts_and_knows_where(quad, device):
    _, faces, _ = quad
    uv = torch.tensor([[0.25, 0.75], [0.75, 0.75], [0.75, 0.25], [0.25, 0.25]], device=device)
    texels = texel_map(mesh_topology(faces, uv, faces), 64)
    assert int(texels.inside().sum()) == 32 * 32
    found = texels.gather(uv, faces)
    rows, columns = texels.texels // 64, texels.texels % 64
    assert torch.allclose(found, torch.stack([(columns + 0.5) / 64, 1 - (rows + 0.5) / 64], 1), atol=1e-5)


def test_hidden_points_are_not_visible(make_sphere, camera):
    near, faces = make_sphere(0.01, (0.0, 0.0, 0.25), 3)
    far, _ = make_sphere(0.01, (0.0, 0.0, 0.35), 3)
    vertices, both = torch.cat([near, far]), torch.cat([faces, faces + len(near)])
    normals = vertex_normals(vertices, both)
    view = see(vertices, mesh_topology(both, torch.zeros(len(vertices), 2).to(vertices), both), camera, 96, 128)
    projection = project_points(vertices, normals, camera, view)
    front = projection.facing > 0.3
    assert (projection.visible[: len(near)][front[: len(near)]] == 1).all()
    assert (projection.visible[len(near) :] == 0).sum() > 0.95 * len(near)
    assert (projection.visible[projection.facing < 0] == 0).all()


def test_padding_repeats_the_nearest_texel():
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[3:5, 2:4] = True
    texture = torch.zeros(8, 8, 1)
    texture[3:5, 2], texture[3:5, 3] = 1.0, 3.0
    padded = pad_map(texture, chart_padding(inside, 2.0), inside)
    assert float(padded[3, 1]) == 1 and float(padded[3, 5]) == 3 and float(padded[1, 3]) == 3
    assert float(padded[7, 7]) == 2  # the mean, far out
