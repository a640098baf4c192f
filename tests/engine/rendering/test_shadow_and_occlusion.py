"""Light that does not arrive, where closed forms say so."""

from __future__ import annotations

import pytest
import torch

from engine.lighting.sphere_sampling import fibonacci_sphere
from engine.rendering.occlusion import ambient_visibility, bounced_lamp, multiple_bounce, occluded
from engine.rendering.shadow import (
    disc_directions,
    disc_visibility,
    parallel_shadow_map,
    point_shadow_map,
    soft_visibility,
)


@pytest.fixture
def ball_over_floor(make_sphere, device):
    """A ball of radius 2 cm, 8 cm before a 40 cm floor at z = 0 (towards -z), and points along the floor."""
    ball, ball_faces = make_sphere(0.02, (0.0, 0.0, -0.08), 4)
    side = torch.linspace(-0.2, 0.2, 9, device=device)
    x, y = torch.meshgrid(side, side, indexing="xy")
    floor = torch.stack([x.reshape(-1), y.reshape(-1), torch.zeros(81, device=device)], 1)
    cell = torch.arange(8, device=device)
    corner = (cell[:, None] * 9 + cell[None]).reshape(-1, 1)
    floor_faces = torch.cat([corner + torch.tensor(t, device=device) for t in ([0, 9, 1], [1, 9, 10])])
    points = torch.zeros(81, 3, device=device)
    points[:, 0] = torch.linspace(-0.16, 0.16, 81, device=device)
    normals = torch.tensor([[0.0, 0, -1]], device=device).expand(81, 3)
    return torch.cat([ball, floor]), torch.cat([ball_faces, floor_faces + len(ball)]), points, normals


def test_parallel_shadow_lies_where_it_should(ball_over_floor):
    vertices, faces, points, normals = ball_over_floor
    to_light = torch.tensor([0.5, 0, -1.0], device=vertices.device)
    visible = soft_visibility(parallel_shadow_map(vertices, faces, to_light), points, normals)
    # the ball's centre falls on x = -0.04; its shadow is stretched by 1 / cos = 1.118
    x = points[:, 0]
    assert visible[(x + 0.04).abs() < 0.016].max() < 0.1
    assert visible[(x + 0.04).abs() > 0.03].min() > 0.9


def test_point_shadow_grows_with_distance(ball_over_floor):
    vertices, faces, points, normals = ball_over_floor
    light = torch.tensor([0.0, 0, -0.24], device=vertices.device)
    visible = soft_visibility(point_shadow_map(vertices, faces, light), points, normals)
    # tan(asin(0.02 / 0.16)) * 0.24 = 0.0302
    x = points[:, 0].abs()
    assert visible[x < 0.024].max() < 0.1
    assert visible[(x > 0.038) & (x < 0.12)].min() > 0.85


def test_beyond_the_map_and_on_its_background_all_is_lit(make_sphere, device):
    vertices, faces = make_sphere(0.02, (0.0, 0.0, 0.3), 3)
    shadow_map = parallel_shadow_map(vertices, faces, torch.tensor([0.0, -1, 0], device=device))
    points = torch.tensor([[0.03, 0.0, 0.3], [5.0, 5.0, 5.0]], device=device)
    normals = torch.tensor([[0.0, -1, 0]], device=device).expand(2, 3)
    assert (soft_visibility(shadow_map, points, normals) == 1).all()


def test_a_ball_does_not_shadow_its_lit_side(make_sphere, device):
    vertices, faces = make_sphere(0.03, (0.0, 0.0, 0.3), 5)
    to_light = torch.nn.functional.normalize(torch.tensor([0.3, -0.8, -0.5], device=device), dim=0)
    normals = torch.nn.functional.normalize(vertices - torch.tensor([0.0, 0, 0.3], device=device), dim=1)
    visible = soft_visibility(parallel_shadow_map(vertices, faces, to_light), vertices, normals)
    cosine = normals @ to_light
    assert visible[cosine > 0.25].min() > 0.75
    assert visible[cosine < -0.4].max() < 0.2


def test_visibility_gradient_reaches_the_depths(ball_over_floor):
    vertices, faces, points, normals = ball_over_floor
    vertices = vertices.clone().requires_grad_(True)
    to_light = torch.tensor([0.5, 0, -1.0], device=vertices.device)
    soft_visibility(parallel_shadow_map(vertices, faces, to_light), points, normals, sharpness=50.0).sum().backward()
    assert torch.isfinite(vertices.grad).all() and vertices.grad.abs().max() > 0


@pytest.mark.parametrize("moved", ["caster", "light"])
def test_a_shadow_moves_with_its_caster_and_with_its_light(ball_over_floor, moved):
    """The first moment of a shadow along x changes as finite differences say, which depths alone cannot tell."""
    vertices, faces, _, _ = ball_over_floor
    side = torch.linspace(-0.1, 0.1, 101, device=vertices.device)
    x, y = torch.meshgrid(side, side, indexing="xy")
    points = torch.stack([x.reshape(-1), y.reshape(-1), torch.zeros(101 * 101, device=x.device)], 1)
    normals = torch.tensor([[0.0, 0, -1]], device=x.device).expand(len(points), 3)
    ball = (vertices[:, 2] < -0.01).to(vertices)[:, None]
    along = torch.tensor([1.0, 0, 0], device=x.device)

    def moment(shift: torch.Tensor) -> torch.Tensor:
        light = torch.tensor([0.3, 0.1, -1.0], device=x.device)
        placed = vertices + ball * along * shift if moved == "caster" else vertices
        light = light if moved == "caster" else light + along * shift
        visible = soft_visibility(parallel_shadow_map(placed, faces, light), points, normals)
        return ((1 - visible) * points[:, 0]).sum()

    step = 0.01 if moved == "caster" else 0.1
    zero = torch.zeros((), device=x.device, requires_grad=True)
    moment(zero).backward()
    with torch.no_grad():
        difference = float(moment(zero + step) - moment(zero - step)) / (2 * step)
    assert float(zero.grad) == pytest.approx(difference, rel=0.1)


def test_visibility_gradient_is_finite_where_light_falls_straight(ball_over_floor):
    vertices, faces, points, normals = ball_over_floor
    normals = normals.clone().requires_grad_(True)
    points = points.clone().requires_grad_(True)
    shadow_map = parallel_shadow_map(vertices, faces, torch.tensor([0.0, 0, -1.0], device=vertices.device))
    soft_visibility(shadow_map, points, normals).sum().backward()
    assert torch.isfinite(points.grad).all() and (normals.grad is None or torch.isfinite(normals.grad).all())


def test_a_round_lamp_softens_with_distance(ball_over_floor):
    vertices, faces, points, normals = ball_over_floor
    to_light = torch.tensor([0.0, 0, -1.0], device=vertices.device)
    sharp = disc_visibility(vertices, faces, to_light, points, normals, 0.2, samples=1)
    soft = disc_visibility(vertices, faces, to_light, points, normals, 0.2, samples=32)
    x = points[:, 0].abs()
    # 8 cm away, a disc of 0.2 rad blurs a ball's shadow of radius 2 cm by tan(0.2) * 8 cm = 1.6 cm
    assert sharp[x < 0.015].max() < 0.1 and sharp[(x > 0.026) & (x < 0.14)].min() > 0.9
    assert soft[x < 0.002].max() < 0.2 and 0.3 < float(soft[(x - 0.02).abs() < 0.002].mean()) < 0.8
    assert soft[(x > 0.042) & (x < 0.14)].min() > 0.9


def test_disc_directions_fill_the_disc():
    axis = torch.tensor([0.2, -0.5, 0.7])
    directions = disc_directions(axis, 0.3, 200)
    angle = torch.acos((directions @ torch.nn.functional.normalize(axis, dim=0)).clamp(-1, 1))
    assert angle.max() < 0.3001 and torch.allclose(directions.norm(dim=1), torch.ones(200))
    # equal areas: half of the samples lie within 1/sqrt(2) of the radius
    assert float((torch.tan(angle) < torch.tan(torch.tensor(0.3)) / 2**0.5).float().mean()) == pytest.approx(
        0.5, abs=0.02
    )


def test_folds_receive_bounced_light():
    visibility = torch.tensor([[1.0], [0.25]])
    bounced = bounced_lamp(visibility, torch.full((2, 3), 0.4))
    assert torch.allclose(bounced, torch.tensor([[0.0], [0.12]]).expand(2, 3))


def test_convex_bodies_see_the_whole_sky(make_sphere):
    vertices, faces = make_sphere(0.03, (0.0, 0.0, 0.0), 3)
    normals = torch.nn.functional.normalize(vertices, dim=1)
    assert ambient_visibility(vertices, faces, vertices, normals).min() > 0.99


def test_the_foot_of_a_tall_wall_sees_half_the_sky(device):
    wall = torch.tensor([[0.0, -9, 0], [0, 9, 0], [0, 9, 9], [0, -9, 9]], device=device)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], device=device)
    point = torch.tensor([[0.002, 0.0, 0.0]], device=device)
    up = torch.tensor([[0.0, 0, 1]], device=device)
    seen = ambient_visibility(wall, faces, point, up, rays=2048)
    assert float(seen) == pytest.approx(0.5, abs=0.01)


def test_rays_stop_at_their_length(device):
    vertices = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [0, 2, 1]], device=device)
    faces = torch.tensor([[0, 1, 2]], device=device)
    ray = torch.tensor([[0.0, 0, 1]], device=device)
    start = torch.zeros(1, 3, device=device)
    assert bool(occluded(vertices, faces, start, ray, 2.0)) and not bool(occluded(vertices, faces, start, ray, 0.5))
    assert not bool(occluded(vertices, faces, start, -ray, 2.0))


def test_fibonacci_directions_are_even():
    directions = fibonacci_sphere(500, torch.zeros(1))
    assert directions.norm(dim=1).sub(1).abs().max() < 1e-5
    assert directions.mean(0).abs().max() < 0.01
    assert (directions.T @ directions / 500 - torch.eye(3) / 3).abs().max() < 0.01


def test_multiple_bounces_only_brighten():
    visibility = torch.linspace(0, 1, 21)[:, None]
    bright = multiple_bounce(visibility, torch.full((21, 3), 0.6))
    assert (bright >= visibility - 1e-6).all() and (bright <= 1.001).all()
    assert torch.allclose(multiple_bounce(visibility, torch.zeros(21, 3)), visibility.expand(21, 3), atol=0.02)
