"""Importance sampling of environments: densities, unbiased integrals, mappings."""

from __future__ import annotations

import math

import pytest
import torch

from engine.errors import InputError
from engine.lighting import image_light as lights
from engine.lighting.environment import blender_world, equirect_grid, irradiance, opencv_world


def lamps(height: int = 32) -> torch.Tensor:
    """Dim all round, two small coloured lamps, one across the seam, and rows that are black."""
    image = torch.full((height, 2 * height, 3), 0.2, dtype=torch.float64)
    image[6:9, 40:44] = torch.tensor([40.0, 30, 20], dtype=torch.float64)
    image[16:20, -2:] = image[16:20, :2] = torch.tensor([2.0, 8, 20], dtype=torch.float64)
    image[22:30] = 0
    return image


def random_numbers(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("image", [lamps(), torch.ones(7, 9, 3), torch.zeros(4, 8, 3), torch.rand(1, 1, 3)])
def test_density_integrates_to_one(image):
    light = lights.image_light(image)
    height, width = light.density.shape
    edges = torch.cos(torch.arange(height + 1, dtype=torch.float64) * math.pi / height)
    solid_angles = (edges[:-1] - edges[1:]) * 2 * math.pi / width
    assert float((light.density.double() * solid_angles[:, None]).sum()) == pytest.approx(1, abs=1e-6)
    directions, density = lights.sample(light, random_numbers(200))
    assert directions.dtype == density.dtype == image.dtype
    assert (directions.norm(dim=1) - 1).abs().max() < 1e-6
    assert (density > 0).all()


def test_density_follows_the_light():
    """Light of one colour: radiance over density is nearly the same everywhere, in small pictures and in large ones."""
    for height in (16, 300):
        grey = torch.rand(height, 2 * height, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        light = lights.image_light((grey + 0.2).expand(-1, -1, 3).contiguous())
        directions, density = lights.sample(light, random_numbers(20_000))
        ratio = lights.radiance(light, directions)[:, 0] / density
        assert float(ratio.mean()) == pytest.approx(float(lights.mean_radiance(light)[0]) * 4 * math.pi, rel=0.02)
        assert float(ratio.std() / ratio.mean()) < (0.06 if height == 16 else 0.3)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_even_light_is_drawn_evenly(value):
    light = lights.image_light(torch.full((8, 16, 3), value, dtype=torch.float64))
    directions, density = lights.sample(light, random_numbers(20_000))
    assert torch.allclose(density, torch.full_like(density, 1 / (4 * math.pi)))
    # every component of an even direction has mean 0 and mean square 1/3
    assert directions.mean(0).abs().max() < 3 * math.sqrt(1 / 3 / 20_000)
    assert (directions.square().mean(0) - 1 / 3).abs().max() < 3 * math.sqrt(4 / 45 / 20_000)


def test_sample_and_pdf_agree_and_cover_all_that_shines():
    light = lights.image_light(lamps())
    directions, density = lights.sample(light, random_numbers(5000))
    assert torch.allclose(lights.pdf(light, directions), density)
    everywhere, _ = equirect_grid(96, lamps())
    everywhere = everywhere.reshape(-1, 3)
    shining = lights.radiance(light, everywhere).amax(1) > 0
    assert (lights.pdf(light, everywhere)[shining] > 0).all()


def test_the_last_number_still_meets_light():
    """Jitter in the last stratum rounds up to 1 in float32: beyond it nothing shines, and dividing by no density is no number."""
    image = torch.zeros(16, 32, 3)
    image[2:4, 3:6] = 5
    light = lights.image_light(image)
    _, density = lights.sample(light, torch.tensor([[1.0, 0.5], [0.5, 1.0], [1.0, 1.0], [0.0, 0.0]]))
    assert (density > 0).all()


def test_importance_sampling_is_unbiased():
    """Irradiance of six directions against a fine sum, within three standard errors, and far less noise than even sampling."""
    light = lights.image_light(lamps())
    fine, _ = equirect_grid(512, lamps())
    image = lights.radiance(light, fine.reshape(-1, 3)).reshape(512, 1024, 3)
    normals = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    expected = irradiance(image, normals)
    directions, density = lights.sample(light, random_numbers(40_000, seed=1))
    cosine = (normals @ directions.T).clamp_min(0)
    values = cosine[..., None] * (lights.radiance(light, directions) / density[:, None])
    error = values.std(1) / math.sqrt(len(directions))
    assert ((values.mean(1) - expected).abs() < 3 * error + 1e-9).all()
    even = lights.sample(lights.image_light(torch.ones(8, 16, 3).double()), random_numbers(40_000, seed=1))[0]
    spread = ((normals @ even.T).clamp_min(0)[..., None] * lights.radiance(light, even) * 4 * math.pi).std(1)
    assert values.std(1).max() < 0.3 * spread.max()


def test_constant_light_in_closed_form():
    light = lights.image_light(torch.full((16, 32, 3), 0.7, dtype=torch.float64))
    assert torch.allclose(lights.mean_radiance(light), torch.tensor(0.7).double())
    directions, density = lights.sample(light, random_numbers(50_000))
    received = (directions[:, 2].clamp_min(0) * 0.7 / density).mean()
    assert float(received) == pytest.approx(0.7 * math.pi, rel=0.02)


def test_axes_of_the_two_worlds():
    down_forward = torch.tensor([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert torch.equal(blender_world(down_forward), torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]))
    directions = torch.randn(10, 3)
    assert torch.equal(opencv_world(blender_world(directions)), directions)


@pytest.mark.parametrize("width", [64, 66])
def test_published_mapping_becomes_ours(width):
    """A picture of directions by the published formulas, u = atan2(x, z) / 2π + ½, v = asin(y) / π + ½, looked up by ours."""
    height = 32
    u = (torch.arange(width, dtype=torch.float64) + 0.5) / width
    v = (torch.arange(height, dtype=torch.float64) + 0.5) / height
    longitude, latitude = (u - 0.5) * 2 * math.pi, (v[:, None] - 0.5) * math.pi
    picture = torch.stack(
        torch.broadcast_tensors(
            torch.cos(latitude) * torch.sin(longitude), torch.sin(latitude), torch.cos(latitude) * torch.cos(longitude)
        ),
        dim=-1,
    )
    ours = lights.from_palm_image(picture)
    directions = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(3)), dim=1)
    directions = directions[directions[:, 1].abs() < 0.95].double()
    seen = lights.sample_environment(ours, blender_world(directions))
    assert (seen - directions).abs().max() < 0.01
    assert (lights.to_palm_image(ours) - picture).abs().max() < 0.01
    assert lights.from_palm_image(picture, "blender") is picture


@pytest.mark.parametrize(
    "image", [torch.ones(4, 8), torch.ones(4, 8, 4), -torch.ones(4, 8, 3), torch.full((4, 8, 3), math.nan)]
)
def test_bad_environments_are_named(image):
    with pytest.raises(InputError, match="environment"):
        lights.image_light(image)
    with pytest.raises(InputError, match="mapping"):
        lights.from_palm_image(torch.ones(2, 4, 3), "nerf")


def test_radiance_carries_gradients_to_the_image():
    image = torch.rand(3, 6, 3, dtype=torch.float64, requires_grad=True)
    directions = torch.nn.functional.normalize(torch.randn(4, 3).double(), dim=1)
    assert torch.autograd.gradcheck(lambda i: lights.radiance(lights.image_light(i), directions), image)
