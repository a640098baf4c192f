"""Ray-cast pictures of meshes against closed forms. That they are Cycles' is tested under tests/blender."""

from __future__ import annotations

import math

import pytest
import torch

from engine.errors import InputError
from engine.lighting.environment import equirect_grid
from engine.lighting.image_light import ImageLight, image_light
from engine.rendering.mesh_pbr import MeshRenderConfig, MeshScene, render_mesh
from engine.rendering.ray_casting import any_hit, nearest_hits, ray_mesh


def scene(vertices, faces, albedo=(1.0, 1.0, 1.0), roughness=0.5, normal=None) -> MeshScene:
    device = vertices.device
    colour = torch.tensor(albedo, device=device).expand(2, 2, 3)
    map_ = None if normal is None else torch.tensor(normal, device=device).expand(2, 2, 3)
    uv = vertices[:, :2] * 5
    return MeshScene(vertices, faces, uv, faces, colour, torch.full((2, 2, 1), roughness, device=device), map_)


def even_light(value: float = 1.0, device="cpu") -> ImageLight:
    return image_light(torch.full((16, 32, 3), value, device=device))


def picture(scene: MeshScene, light: ImageLight, camera, config=MeshRenderConfig(), height=96, width=128, seed=0):  # noqa: B008
    generator = torch.Generator().manual_seed(seed)
    return render_mesh(scene, light, camera, torch.eye(4), height, width, config, generator)


def test_nearest_and_any_hits(make_sphere, device):
    vertices, faces = make_sphere(radius=0.1, centre=(0, 0, 0.5), subdivisions=5)
    mesh = ray_mesh(vertices, faces)
    origins = torch.zeros(3, 3, device=device)
    directions = torch.tensor([[0.0, 0, 1], [0, 0.1, 1], [0, 1, 0]], device=device)
    hits = nearest_hits(mesh, origins, directions)
    assert hits.faces[2] == -1
    assert torch.isinf(hits.distance[2])
    assert hits.distance[0] == pytest.approx(0.4, abs=1e-3)
    corners = vertices[faces[hits.faces[:2]]]
    places = (hits.barycentric[:2, :, None] * corners).sum(1)
    assert torch.allclose(places, directions[:2] * hits.distance[:2, None], atol=1e-6)
    assert any_hit(mesh, origins, directions).tolist() == [True, True, False]
    assert any_hit(mesh, origins, directions, 0.3).tolist() == [False, False, False]
    many = torch.nn.functional.normalize(torch.randn(30_000, 3, device=device), dim=1)
    found = nearest_hits(mesh, torch.zeros_like(many), many).faces >= 0
    assert torch.equal(found, any_hit(mesh, torch.zeros_like(many), many))
    # the cone that the sphere fills: cos of its half angle is √(1 − 0.2²)
    exact = many[:, 2] > math.sqrt(1 - 0.04)
    assert (found != exact).float().mean() < 2e-3


@pytest.mark.parametrize(("brdf", "tolerance"), [("principled", 0.02), ("palm", 0.25)])
def test_white_furnace(make_sphere, camera, device, brdf, tolerance):
    """A white sphere in even light cannot be seen but for its outline (PALM's coat adds light)."""
    vertices, faces = make_sphere()
    result = picture(scene(vertices, faces), even_light(0.8, device), camera, MeshRenderConfig(4, 64, 0, brdf))
    covered = result.coverage > 0.99
    assert (result.color[covered].mean(0) / 0.8 - 1).abs().max() < tolerance
    if brdf == "principled":
        assert (result.color[covered] / 0.8 - 1).abs().mean() < 0.03


def test_passes(make_sphere, camera):
    """Depth, normals, albedo and coverage of a sphere at (0, 0, 0.3), radius 0.02, seen at 400 px."""
    vertices, faces = make_sphere(subdivisions=5)
    result = picture(scene(vertices, faces, (0.6, 0.4, 0.2)), even_light(), camera, MeshRenderConfig(16, 1, 0))
    radius = 400 * math.tan(math.asin(0.02 / 0.3))
    assert float(result.coverage.sum()) == pytest.approx(math.pi * radius**2, rel=0.01)
    assert float(result.depth[48, 64]) == pytest.approx(0.28, abs=1e-4)
    assert result.depth[0, 0] == 0
    inside = result.coverage > 0.99
    rows, columns = torch.nonzero(inside).unbind(1)
    points = torch.stack([(columns + 0.5 - 64) / 400, (rows + 0.5 - 48) / 400, torch.ones_like(rows)], 1)
    points = points * result.depth[inside][:, None]
    expected = torch.nn.functional.normalize(points - torch.tensor([0, 0, 0.3]), dim=1)
    facing = expected[:, 2] < -0.3
    assert ((result.normals[inside] - expected)[facing]).norm(dim=1).max() < 0.1
    assert torch.allclose(result.albedo[inside], torch.tensor([0.6, 0.4, 0.2]), atol=1e-5)
    assert torch.allclose(result.normals[inside].norm(dim=1), torch.tensor(1.0), atol=1e-5)


def test_lambert_under_one_lamp(quad, camera, device):
    """Radiance of a quad under a small lamp: albedo / π · irradiance, and a little gloss of the lamp's colour."""
    vertices, faces, _ = quad
    towards = torch.tensor([0.0, -1.0, -1.0]) / math.sqrt(2)  # OpenCV: up and towards the camera
    directions, solid_angles = equirect_grid(64, torch.zeros(1))
    lamp = ((directions @ torch.tensor([0.0, -1.0, 1.0])) / math.sqrt(2) > math.cos(0.1)).float()
    light = image_light((lamp[..., None] * torch.tensor([30.0, 20, 10])).to(device))
    result = picture(scene(vertices, faces, (0.5, 0.5, 0.5), 1.0), light, camera, MeshRenderConfig(4, 64, 0, "palm"))
    a, b, c = vertices[faces[0]].cpu()
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=0)
    assert normal[2] < 0
    received = 30 * float((lamp * solid_angles).sum()) * float(normal @ towards)
    middle = result.color[44:52, 60:68].mean((0, 1)).cpu()
    assert float(middle[0]) == pytest.approx(0.5 / math.pi * received, rel=0.12)
    assert float(middle[0]) > 0.5 / math.pi * received * 0.97
    assert torch.allclose(middle / middle[0], torch.tensor([1.0, 2 / 3, 1 / 3]), atol=0.01)


def test_shadow_falls_away_from_the_lamp(make_sphere, camera, device):
    """A small sphere between a far wall and a lamp from the left: its shadow lies to the right of it."""
    ball, ball_faces = make_sphere(radius=0.005, centre=(0, 0, 0.27), subdivisions=3)
    wall = torch.tensor([[-0.1, -0.1, 0.3], [0.1, -0.1, 0.3], [0.1, 0.1, 0.3], [-0.1, 0.1, 0.3]], device=device)
    wall_faces = torch.tensor([[0, 2, 1], [0, 3, 2]], device=device) + len(ball)
    directions, _ = equirect_grid(128, torch.zeros(1))
    # left and towards the camera is (−1, 0, −1) in OpenCV's axes, (−1, −1, 0) in Blender's
    lamp = ((directions @ torch.tensor([-1.0, -1.0, 0.0])) / math.sqrt(2) > math.cos(0.06)).float() * 80
    light = image_light(lamp[..., None].expand(128, 256, 3).contiguous().to(device))
    both = scene(torch.cat([ball, wall]), torch.cat([ball_faces, wall_faces]), (0.5, 0.5, 0.5))
    result = picture(both, light, camera, MeshRenderConfig(4, 16, 0))
    row = result.color[48, :, 0].cpu()
    # the centre's shadow: x = 0.03 m to the right on the wall, at 64 + 400 · 0.03 / 0.3 px
    assert float(row[104]) < 0.05 * float(row[24])
    assert float(row[122]) > 0.8 * float(row[24])


def test_bounces_fill_a_white_furnace(make_sphere, camera, device):
    """In even light white walls that see each other are as bright as the light, once enough bounces are followed."""
    vertices = torch.tensor(
        [[-0.05, -0.1, 0.2], [0, -0.1, 0.3], [0.05, -0.1, 0.2], [-0.05, 0.1, 0.2], [0, 0.1, 0.3], [0.05, 0.1, 0.2]],
        device=device,
    )
    faces = torch.tensor([[0, 3, 4], [0, 4, 1], [1, 4, 5], [1, 5, 2]], device=device)
    separate = MeshScene(*scene(vertices[faces].reshape(-1, 3), torch.arange(12, device=device).reshape(4, 3)))
    means = []
    for bounces in (0, 1, 8):
        result = picture(separate, even_light(1.0, device), camera, MeshRenderConfig(4, 16, bounces), 48, 64)
        means.append(float(result.color[8:40, 20:44, 0].mean()))
    assert means[0] < means[1] < means[2]
    assert means[0] < 0.85
    assert means[2] == pytest.approx(1, abs=0.02)


def test_normal_map_tilts_the_shading(quad, camera, device):
    vertices, faces, _ = quad
    flat = picture(scene(vertices, faces), even_light(1, device), camera)
    same = picture(scene(vertices, faces, normal=(0.0, 0.0, 1.0)), even_light(1, device), camera)
    tilted = picture(scene(vertices, faces, normal=(0.6, 0.0, 0.8)), even_light(1, device), camera)
    inside = flat.coverage > 0.99
    assert torch.allclose(flat.normals[inside], same.normals[inside], atol=1e-4)
    cosine = (flat.normals * tilted.normals).sum(-1)[inside]
    assert torch.allclose(cosine, torch.tensor(0.8, device=device), atol=1e-3)


def test_seeds_sizes_and_errors(make_sphere, camera):
    vertices, faces = make_sphere(subdivisions=2)
    ball = scene(vertices, faces)
    small = MeshRenderConfig(2, 3, 1)
    first, again, other = (picture(ball, even_light(), camera, small, 60, 80, seed) for seed in (1, 1, 2))
    assert first.color.shape == (60, 80, 3)
    assert torch.equal(first.color, again.color)
    assert not torch.equal(first.color, other.color)
    nothing = picture(scene(vertices + 10, faces), even_light(), camera, small, 8, 8)
    assert nothing.color.abs().max() == nothing.coverage.max() == 0
    for config in (MeshRenderConfig(0), MeshRenderConfig(1, 0), MeshRenderConfig(1, 1, -1), MeshRenderConfig(brdf="x")):
        with pytest.raises(InputError, match="at least 1 sample"):
            picture(ball, even_light(), camera, config)
    with pytest.raises(InputError, match="cannot be rendered"):
        picture(ball, even_light(), camera, small, 0, 8)
