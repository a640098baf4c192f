"""Scattered light of scenes with closed forms: furnace, shadow, bounce, and estimates without bias."""

from __future__ import annotations

import math

import pytest
import torch
from analytic_scenes import spheres
from torch.nn.functional import normalize

from engine.fields.model import Materials
from engine.lighting.brdf import Reflection, palm_brdf
from engine.lighting.environment import blender_world, irradiance
from engine.lighting.image_light import image_light
from engine.lighting.spherical_gaussians import SphericalGaussians
from engine.rendering.physical import render_image_pbr, render_rays_pbr
from engine.rendering.secondary import find_blockers, trace_secondary
from engine.rendering.volume import RenderConfig, render_rays

ALBEDO = 0.8


def lambert(normal, to_camera, to_light, albedo, roughness, metallic):
    cosine = (normal * to_light).sum(-1).clamp_min(0)
    return Reflection(cosine / math.pi, torch.zeros_like(albedo))


def white_light(directions):
    return torch.ones_like(directions)


def config(samples=512, **options):
    rows = int(math.sqrt(samples / 2)) or 1
    return RenderConfig(weight_cutoff=0.0, light_rows=rows, light_columns=samples // rows, **options)


def ray_to(point, direction, count, device, dtype=torch.float32):
    """`count` equal rays that end at a point, with hand 0."""
    along = normalize(torch.tensor(direction, device=device, dtype=dtype), dim=0)
    origin = torch.tensor(point, device=device, dtype=dtype) - 0.3 * along
    hand = torch.zeros(count, dtype=torch.int64, device=device)
    return origin.expand(count, 3), along.expand(count, 3), hand


def assert_mean(values, expected, within=3.0):
    """Whether the mean of independent estimates [n] is the expected value, up to `within` standard errors."""
    error = float(values.std() / math.sqrt(len(values)))
    assert abs(float(values.mean()) - expected) < within * error + 1e-5, (float(values.mean()), expected, error)


def test_furnace_a_white_sky_shows_the_albedo(device):
    scene = spheres([(0, 0, 0)], [0.02], device)
    rays = ray_to((0.006, 0.004, 0.0), (0.0, 0, 1), 64, device)
    seen = render_rays_pbr(scene, *rays, white_light, config(), torch.Generator().manual_seed(0), lambert)
    assert torch.allclose(seen.color, torch.full_like(seen.color, ALBEDO), atol=0.03)
    assert torch.allclose(seen.demodulated, torch.ones_like(seen.color), atol=0.03)
    assert torch.allclose(seen.visibility, torch.ones_like(seen.visibility), atol=0.05)
    assert_mean(seen.color[:, 0], ALBEDO)
    assert seen.rays.radiance is None and float(seen.rays.opacity.min()) > 0.999


@pytest.mark.parametrize("samples", [2, 8, 32])
def test_few_samples_are_noisy_but_not_biased(device, samples):
    """A soft, half-transparent rim: an interval's share may be far below one sample."""
    scene = spheres([(0, 0, 0)], [0.02], device, width_m=2e-3)
    rays = ray_to((0.0235, 0.0, 0.0), (0.0, 0, 1), 4000, device)
    seen = render_rays_pbr(scene, *rays, white_light, config(samples), torch.Generator().manual_seed(1), lambert)
    opacity = float(render_rays(scene, *[ray[:1] for ray in rays], config()).opacity)
    assert 0.2 < opacity < 0.8
    # the lattice is jittered too, which moves the opacity by a little
    assert_mean(seen.color[:, 0] - ALBEDO * seen.rays.opacity, 0.0)


def test_both_ways_to_sample_an_image_agree_with_its_irradiance(device):
    image = torch.full((32, 64, 3), 0.2, device=device)
    image[6:9, 46:50] = torch.tensor([30.0, 20.0, 10.0], device=device)
    light = image_light(image)
    scene = spheres([(0, 0, 0)], [0.02], device)
    direction = normalize(torch.tensor([0.3, 0.5, 0.8], device=device), dim=0)
    rays = ray_to((0.0, 0.0, 0.0), direction.tolist(), 1500, device)
    # what the image's bilinear look-up integrates to, on a finer grid
    fine = torch.nn.functional.interpolate(image.permute(2, 0, 1)[None], scale_factor=8, mode="bilinear")[0]
    received = irradiance(fine.permute(1, 2, 0), blender_world(-direction[None]))[0] / math.pi * ALBEDO
    errors = []
    for sampling in ("uniform", "light"):
        generator = torch.Generator().manual_seed(2)
        seen = render_rays_pbr(scene, *rays, light, config(32), generator, lambert, sampling)
        assert_mean(seen.color[:, 0], float(received[0]), within=4.0)
        errors.append(float(seen.color[:, 0].std()))
    assert errors[1] < 0.3 * errors[0]


def pole_under_a_ball(device, **options):
    """A ball of radius 2 cm, another of 1.5 cm whose centre lies 3 cm above its pole, and rays that see the pole between them."""
    scene = spheres([(0, 0, 0), (0, 0.05, 0)], [0.02, 0.015], device, **options)
    return scene, ray_to((0.0, 0.02, 0.0), (1.0, -1.0, 0.0), 120, device)


@pytest.mark.parametrize(("step_m", "tolerance"), [(0.001, 0.01), (0.008, 0.04)])
def test_a_ball_shadows_a_quarter_of_the_sky(device, step_m, tolerance):
    """Blocked share of a white sky under a ball of angular radius a around the normal: sin² a = (1.5 / 3)²."""
    scene, rays = pole_under_a_ball(device)
    dark = config(secondary_step_m=step_m, bounce=False)
    seen = render_rays_pbr(scene, *rays, white_light, dark, torch.Generator().manual_seed(3), lambert)
    assert float(seen.color[:, 0].mean()) == pytest.approx(ALBEDO * 0.75, abs=tolerance * ALBEDO)


def test_what_blocks_the_sky_sends_its_own_colour(device):
    scene, rays = pole_under_a_ball(device)
    bright = config(secondary_step_m=0.001)
    seen = render_rays_pbr(scene, *rays, white_light, bright, torch.Generator().manual_seed(4), lambert)
    expected = ALBEDO * (0.75 + 0.25 * scene.colour)
    assert torch.allclose(seen.color.mean(0), expected, atol=0.012)


def test_what_blocks_a_black_sky_is_seen_by_its_light_too(device):
    """The pole looks at nothing but black sky and the ball before it: directions drawn by the sky's light alone miss the ball."""
    scene, rays = pole_under_a_ball(device)
    image = torch.zeros(16, 32, 3, device=device)
    image[:4] = 1.0
    bright = config(secondary_step_m=0.001)
    light = image_light(image)
    seen = render_rays_pbr(scene, *rays, light, bright, torch.Generator().manual_seed(4), lambert, "light")
    assert torch.allclose(seen.color.mean(0), ALBEDO * 0.25 * scene.colour, atol=0.01)
    # the ball hides a cap of half angle 30° from the hemisphere: 1 − cos 30°
    assert float(seen.visibility.mean()) == pytest.approx(math.sqrt(0.75), abs=0.02)


def test_shadow_rays_stop_at_the_surface(device):
    scene = spheres([(0, 0, 0), (0.06, 0, 0)], [0.02, 0.015], device)
    origins = torch.tensor([[0.02, 0, 0], [0.02, 0, 0], [-0.02, 0, 0], [0.0, 0.02, 0]], device=device)
    directions = torch.tensor([[1.0, 0, 0], [0, 0, 1], [-1, 0, 0], [0.6, 0.8, 0]], device=device)
    hand = torch.zeros(4, dtype=torch.int64, device=device)
    met = trace_secondary(scene, origins, directions, hand, RenderConfig())
    assert torch.allclose(met.visibility.cpu(), torch.tensor([0.0, 1, 1, 1]), atol=1e-3)
    assert torch.allclose(met.bounced[0], scene.colour, atol=1e-3) and not met.bounced[1:].any()
    found = find_blockers(scene, origins, directions, hand, RenderConfig())
    assert found.ray.tolist() == [0]
    # from the one ball's side to the other's: 0.06 − 0.015 − 0.02
    assert float(found.t[0]) == pytest.approx(0.025, abs=1e-4)
    nothing = trace_secondary(scene, origins[:0], directions[:0], hand[:0], RenderConfig())
    assert nothing.visibility.shape == (0,)


def test_gradients_reach_albedo_and_light(device):
    scene = spheres([(0, 0, 0)], [0.02], device)
    rays = ray_to((0.006, 0.004, 0.0), (0.0, 0, 1), 200, device)
    albedo = torch.full((1, 3), ALBEDO, device=device, requires_grad=True)
    scene = scene._replace(materials=Materials(albedo, *scene.materials[1:]))
    amplitude = torch.full((1, 3), 0.7, device=device, requires_grad=True)
    lobes = SphericalGaussians(
        torch.tensor([[0.0, 0, 1]], device=device), torch.tensor([1e-4], device=device), amplitude
    )
    seen = render_rays_pbr(scene, *rays, lobes, config(128), torch.Generator().manual_seed(5), lambert)
    by_albedo, by_light = torch.autograd.grad(seen.color.mean(0).sum(), [albedo, amplitude])
    assert torch.allclose(by_albedo, torch.full_like(by_albedo, 0.7), rtol=0.02)
    assert torch.allclose(by_light, torch.full_like(by_light, ALBEDO), rtol=0.02)


def test_the_gradient_through_the_weights_has_no_bias(device):
    """Under a white sky the colour is albedo times opacity, and so are their slopes in the radius."""
    scene = spheres([(0, 0, 0)], [0.02], device, width_m=2e-3)
    rays = ray_to((0.0235, 0.0, 0.0), (0.0, 0, 1), 3000, device)
    radii = scene.radii.clone().requires_grad_(True)
    scene = scene._replace(radii=radii)
    seen = render_rays_pbr(scene, *rays, white_light, config(8), torch.Generator().manual_seed(6), lambert)
    (by_color,) = torch.autograd.grad(seen.color[:, 0].mean(), radii, retain_graph=True)
    (by_opacity,) = torch.autograd.grad(seen.rays.opacity.mean(), radii)
    assert float(by_color) == pytest.approx(ALBEDO * float(by_opacity), rel=0.03)


def test_gradients_reach_normals_and_roughness(device):
    scene = spheres([(0, 0, 0)], [0.02], device, dtype=torch.float64)
    roughness = torch.full((1,), 0.4, device=device, dtype=torch.float64, requires_grad=True)
    centres = scene.centres.clone().requires_grad_(True)
    scene = scene._replace(centres=centres, materials=scene.materials._replace(roughness=roughness))
    rays = ray_to((0.008, 0.0, 0.0), (0.0, 0, 1), 8, device, torch.float64)
    generator = torch.Generator().manual_seed(7)
    seen = render_rays_pbr(
        scene, *rays, lambda d: d[:, :1].expand(-1, 3).clamp_min(0), config(64), generator, palm_brdf
    )
    slopes = torch.autograd.grad(seen.color.sum(), [roughness, centres])
    assert all(torch.isfinite(s).all() and s.abs().max() > 0 for s in slopes)


def test_blocks_do_not_change_the_picture(device, camera):
    scene = spheres([(0, 0, 0)], [0.03], device)
    rays = ray_to((0.006, 0.004, 0.0), (0.0, 0, 1), 20, device)
    with torch.no_grad():
        whole, blocks = (
            render_rays_pbr(
                scene, *rays, white_light, config(memory_budget_bytes=budget), torch.Generator().manual_seed(8)
            ).color
            for budget in (1 << 30, 1 << 24)
        )
    assert torch.allclose(whole, blocks, atol=1e-5)
    pose = torch.eye(4, device=device)
    pose[2, 3] = 0.4
    generator = torch.Generator().manual_seed(9)
    picture = render_image_pbr(scene, camera, pose, 96, 128, white_light, config(32), generator, lambert)
    assert picture.color.shape == (96, 128, 3) and picture.radiance is None
    solid = picture.opacity > 0.999
    assert float(picture.color[solid].mean()) == pytest.approx(ALBEDO, abs=0.005)
    assert not picture.color[picture.opacity == 0].any()


def test_what_cannot_be_sampled_says_so(device):
    scene = spheres([(0, 0, 0)], [0.02], device)
    rays = ray_to((0.0, 0.0, 0.0), (0.0, 0, 1), 2, device)
    with pytest.raises(ValueError, match="image lights"):
        render_rays_pbr(scene, *rays, white_light, config(8), torch.Generator(), sampling="light")
    with pytest.raises(ValueError, match="mis"):
        render_rays_pbr(scene, *rays, white_light, config(8), torch.Generator(), sampling="mis")
    with pytest.raises(ValueError, match="light_rows"):
        RenderConfig(light_rows=0)
