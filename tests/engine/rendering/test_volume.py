"""The radiance field's picture of scenes with closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from analytic_scenes import spheres
from torch.nn.functional import normalize

from engine.rendering.ray_sets import image_pixels, pixel_rays
from engine.rendering.volume import RenderConfig, render_image, render_rays

RADIUS = 0.03
FINE = RenderConfig(weight_cutoff=0.0)


def rays_at(offsets, device, dtype=torch.float32):
    """Rays along +z that pass the z axis at these distances, from z = −0.5."""
    origins = torch.zeros(len(offsets), 3, device=device, dtype=dtype)
    origins[:, 0] = torch.as_tensor(offsets, device=device, dtype=dtype)
    origins[:, 2] = -0.5
    directions = torch.tensor([0.0, 0, 1], device=device, dtype=dtype).expand(len(offsets), 3)
    return origins, directions, torch.zeros(len(offsets), dtype=torch.int64, device=device)


def test_an_opaque_sphere_has_its_depth_normals_colour_and_silhouette(device):
    scene = spheres([(0, 0, 0)], [RADIUS], device, width_m=5e-5)
    offsets = torch.linspace(-0.045, 0.045, 91)
    seen = render_rays(scene, *rays_at(offsets, device), FINE)
    inside = offsets.abs() < RADIUS - 0.002
    outside = offsets.abs() > RADIUS + 0.001
    assert seen.opacity.cpu()[inside].min() > 0.999 and seen.opacity.cpu()[outside].max() < 1e-3
    x = offsets[inside].to(device)
    rows = torch.nonzero(inside)[:, 0].to(device)
    height = (RADIUS**2 - x**2).sqrt()
    assert torch.allclose(seen.depth[rows] / seen.opacity[rows], 0.5 - height, atol=3e-4)
    expected = torch.stack([x / RADIUS, torch.zeros_like(x), -height / RADIUS], dim=1)
    assert (normalize(seen.normal_w[rows], dim=1) * expected).sum(1).min() > math.cos(math.radians(2))
    assert torch.allclose(seen.radiance[rows], scene.colour.expand(len(rows), 3), atol=1e-3)
    assert torch.allclose(seen.albedo[rows], torch.full((len(rows), 3), 0.8, device=device), atol=1e-3)
    assert torch.allclose(seen.roughness[rows], torch.full((len(rows),), 0.5, device=device), atol=1e-3)


def test_a_body_of_constant_density_follows_beer_and_lambert(device):
    radius = 0.014
    scene = spheres([(0, 0, 0)], [radius], device, constant_density=40.0)
    config = RenderConfig(step_m=2e-4, importance_rounds=0, weight_cutoff=0.0)
    offsets = torch.tensor([0.0, 0.005, 0.01, 0.0135])
    seen = render_rays(scene, *rays_at(offsets, device), config)
    chord = 2 * (radius**2 - offsets**2).sqrt()
    assert torch.allclose(seen.opacity.cpu(), 1 - torch.exp(-40 * chord), atol=8e-3)


def test_refinement_finds_a_shell_that_the_lattice_misses(device):
    scene = spheres([(0, 0, 0)], [RADIUS], device, width_m=5e-5)
    rays = rays_at(torch.zeros(1), device)
    coarse = render_rays(scene, *rays, RenderConfig(importance_rounds=0, weight_cutoff=0.0))
    fine = render_rays(scene, *rays, FINE)
    errors = [abs(float(render.depth / render.opacity) - 0.47) for render in (coarse, fine)]
    assert errors[1] < 1e-4 < errors[0]


def test_two_rounds_agree_with_a_dense_lattice_on_a_soft_sphere(device):
    scene = spheres([(0, 0, 0)], [RADIUS], device, width_m=2e-3)
    rays = rays_at(torch.linspace(0, 0.04, 21), device)
    dense = render_rays(scene, *rays, RenderConfig(step_m=1e-4, importance_rounds=0, weight_cutoff=0.0))
    seen = render_rays(scene, *rays, FINE)
    assert (seen.opacity - dense.opacity).abs().max() < 0.01
    assert (seen.depth - dense.depth).abs().max() < 0.005
    cut = render_rays(scene, *rays, RenderConfig(weight_cutoff=1e-3))
    assert (cut.opacity - seen.opacity).abs().max() < 0.01 and len(cut.samples.ray) < 0.85 * len(seen.samples.ray)


def test_a_turned_and_moved_root_changes_nothing_but_the_axes(device):
    half = math.sqrt(0.5)
    root = torch.eye(4, device=device)
    root[:3, :3] = torch.tensor([[half, -half, 0], [half, half, 0], [0, 0, 1]], device=device)
    root[:3, 3] = torch.tensor([0.1, -0.2, 0.3], device=device)
    still = spheres([(0, 0, 0), (0.03, 0.0, 0.01)], [0.02, 0.015], device)
    moved = spheres([(0, 0, 0), (0.03, 0.0, 0.01)], [0.02, 0.015], device, root=root[None])
    origins, directions, hand = rays_at(torch.linspace(-0.03, 0.05, 17), device)
    one = render_rays(still, origins, directions, hand, FINE)
    other = render_rays(moved, origins @ root[:3, :3].T + root[:3, 3], directions @ root[:3, :3].T, hand, FINE)
    assert torch.allclose(one.opacity, other.opacity, atol=1e-3)
    assert torch.allclose(one.depth, other.depth, atol=1e-3)
    assert torch.allclose(one.normal_w @ root[:3, :3].T, other.normal_w, atol=5e-3)


def test_rays_of_several_hands_do_not_mix(device):
    root = torch.eye(4, device=device).repeat(2, 1, 1)
    root[1, 0, 3] = 0.1
    scene = spheres([(0, 0, 0)], [RADIUS], device, root=root)
    origins, directions, _ = rays_at(torch.tensor([0.0, 0.0, 0.1, 0.1]), device)
    seen = render_rays(scene, origins, directions, torch.tensor([0, 1, 0, 1], device=device), FINE)
    assert torch.allclose(seen.opacity.cpu(), torch.tensor([1.0, 0, 0, 1]), atol=1e-3)


def test_only_what_is_wanted_is_computed(device):
    scene = spheres([(0, 0, 0)], [RADIUS], device)
    rays = rays_at(torch.zeros(3), device)
    seen = render_rays(scene, *rays, FINE, want=())
    assert seen.radiance is None and seen.normal_w is None and seen.albedo is None
    assert seen.samples.surface.gradient_c is None and float(seen.opacity.min()) > 0.99
    with pytest.raises(ValueError, match="depht"):
        render_rays(scene, *rays, FINE, want=("depht",))


def test_rays_that_miss_give_nothing(device):
    scene = spheres([(0, 0, 0)], [RADIUS], device)
    seen = render_rays(scene, *rays_at(torch.full((4,), 0.2), device), FINE)
    assert not seen.opacity.any() and not seen.radiance.any() and not len(seen.samples.ray)
    none = render_rays(scene, *rays_at(torch.zeros(0), device), FINE)
    assert none.opacity.shape == (0,) and none.radiance.shape == (0, 3)


def test_jitter_is_seeded_and_changes_little(device):
    scene = spheres([(0, 0, 0)], [RADIUS], device, width_m=5e-4)
    rays = rays_at(torch.linspace(0, 0.025, 20), device)
    first, again, other = (
        render_rays(scene, *rays, FINE, torch.Generator().manual_seed(seed)).depth for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.allclose(first, other, atol=1e-3)


def test_gradients_reach_the_geometry(device):
    """Growing the sphere by dr brings its front nearer by dr."""
    scene = spheres([(0, 0, 0)], [RADIUS], device, dtype=torch.float64, width_m=3e-4)
    radii = scene.radii.clone().requires_grad_(True)
    seen = render_rays(scene._replace(radii=radii), *rays_at(torch.zeros(1), device, torch.float64), FINE)
    (slope,) = torch.autograd.grad(seen.depth.sum() / seen.opacity.sum().detach(), radii)
    assert float(slope) == pytest.approx(-1.0, abs=0.15)


def test_a_picture_in_small_chunks_is_the_picture(device, camera):
    scene = spheres([(0, 0, 0)], [RADIUS], device)
    pose = torch.eye(4, device=device)
    pose[2, 3] = 0.3
    whole = render_image(scene, camera, pose, 96, 128, RenderConfig())
    pieces = render_image(scene, camera, pose, 96, 128, RenderConfig(memory_budget_bytes=1 << 24))
    for one, other in zip(whole, pieces, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert whole.radiance.shape == (96, 128, 3) and whole.opacity.shape == (96, 128)
    # A ray that passes at height h over the surface has optical depth √(πR / 2w) exp(−h / w) along its shell; half opaque: ln 2.
    shell = 1e-4 * math.log(math.sqrt(math.pi * RADIUS / 2e-4) / math.log(2))
    edge = 400 * math.tan(math.asin((RADIUS + shell) / 0.3))
    assert float((whole.opacity > 0.5).sum()) == pytest.approx(math.pi * edge**2, rel=0.01)
    assert render_image(scene, camera, pose, 96, 128, RenderConfig(), want=()).radiance is None


def test_pixel_rays_follow_the_camera(device, camera):
    pose = torch.eye(4, device=device)
    pose[:3, :3] = torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]], device=device)
    pose[:3, 3] = torch.tensor([0.1, 0.2, 0.5], device=device)
    pixels = image_pixels(3, 4, camera)
    assert pixels.tolist()[:2] == [[0.5, 0.5], [1.5, 0.5]] and pixels.shape == (12, 2)
    origins, directions = pixel_rays(camera, pose, pixels)
    points = (origins + 0.7 * directions) @ pose[:3, :3].T + pose[:3, 3]
    projected = points @ camera.T
    assert torch.allclose(projected[:, :2] / projected[:, 2:], pixels, atol=1e-3)
    each = pixel_rays(camera.expand(12, 3, 3), pose.expand(12, 4, 4), pixels)
    assert torch.allclose(each[0], origins, atol=1e-6) and torch.allclose(each[1], directions, atol=1e-6)
