"""Light models against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from engine.lighting.color import linear_to_srgb, luminance, srgb_to_linear
from engine.lighting.environment import (
    blender_world,
    direction_to_uv,
    equirect_grid,
    irradiance,
    lamp_environment,
    lamp_from_environment,
    sample_environment,
    uv_to_direction,
)
from engine.lighting.lamp import LampLight, harp_light, shade


@pytest.fixture
def directions() -> torch.Tensor:
    return normalize(torch.randn(300, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64), dim=1)


def test_srgb_known_values_and_round_trip():
    encoded = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert torch.allclose(linear_to_srgb(srgb_to_linear(encoded)), encoded, atol=1e-6)
    assert float(linear_to_srgb(torch.tensor(0.18))) == pytest.approx(0.4613561, abs=1e-5)
    assert float(luminance(torch.ones(3))) == pytest.approx(1.0, abs=1e-6)


def test_srgb_gradients():
    values = torch.tensor([0.0005, 0.02, 0.3, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(linear_to_srgb, (values,))
    assert torch.autograd.gradcheck(srgb_to_linear, (values,))
    zero = torch.zeros(1, requires_grad=True)
    linear_to_srgb(zero).sum().backward()
    assert torch.isfinite(zero.grad).all()


def test_lambert_with_ambient():
    light = LampLight(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 0.5, 0.25]), torch.tensor([0.0, 0, -2.0]))
    normals = torch.tensor([[0.0, 0, -1], [0, 1, 0], [0, 0, 1], [0, -0.6, -0.8]])
    expected = light.ambient + torch.tensor([1.0, 0, 0, 0.8])[:, None] * light.lamp
    assert torch.allclose(shade(light, normals), expected, atol=1e-6)
    dim = shade(light, normals, torch.tensor([0.5] * 4), torch.tensor([0.25] * 4))
    assert torch.allclose(dim, 0.25 * light.ambient + 0.5 * (expected - light.ambient), atol=1e-6)
    folded = shade(light, normals, torch.zeros(4), None, torch.full((4, 3), 0.1))
    assert torch.allclose(folded, (light.ambient + 0.1 * light.lamp).expand(4, 3))
    white = harp_light(torch.tensor(0.6), light.to_lamp)
    assert torch.allclose(shade(white, normals)[0], torch.ones(3))


def test_equirect_orientation():
    """Blender's world mapping: the image's centre looks along +X... of u = 0.5; +Y lies a quarter to the left; +Z on top."""
    cases = {(1.0, 0, 0): (0.5, 0.5), (0, 1.0, 0): (0.25, 0.5), (0, -1.0, 0): (0.75, 0.5)}
    for direction, uv in cases.items():
        assert torch.allclose(direction_to_uv(torch.tensor(direction)), torch.tensor(uv), atol=1e-6)
    assert float(direction_to_uv(torch.tensor([0.0, 0, 1]))[1]) == 0
    # the photo camera looks along +Y with +Z up, and its x is the world's
    assert torch.equal(blender_world(torch.eye(3)), torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))


def test_equirect_round_trip_and_solid_angles(directions):
    assert torch.allclose(uv_to_direction(direction_to_uv(directions)), directions, atol=1e-9)
    grid, solid_angles = equirect_grid(32, directions)
    assert float(solid_angles.sum()) == pytest.approx(4 * math.pi)
    assert torch.allclose((grid * solid_angles[..., None]).sum((0, 1)), torch.zeros(3).double(), atol=1e-9)


def test_looking_up_an_environment_finds_its_pixels():
    environment = torch.rand(8, 16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grid, _ = equirect_grid(8, environment)
    assert torch.allclose(sample_environment(environment, grid.reshape(-1, 3)), environment.reshape(-1, 3), atol=1e-9)


def test_uniform_radiance_gives_pi(directions):
    assert torch.allclose(
        irradiance(torch.ones(64, 128, 3).double(), directions), torch.tensor(math.pi).double(), rtol=2e-3
    )


@pytest.mark.parametrize("to_lamp", [(0.3, -0.8, -0.5), (0.0, 0.0, -1.0), (0.0, -1.0, 0.0), (-0.7, 0.6, 0.2)])
def test_lamp_environment_reproduces_the_shading(directions, to_lamp):
    light = LampLight(*(torch.tensor(v).double() for v in ([0.3, 0.32, 0.35], [0.8, 0.7, 0.6], to_lamp)))
    environment = lamp_environment(light, height=128)
    received = irradiance(environment, blender_world(directions)) / math.pi
    expected = shade(light, directions)
    cosine = directions @ normalize(light.to_lamp, dim=0)
    # exact where the whole disc is above the horizon or below; softened in between
    clear = cosine.abs() > math.sin(math.radians(14))
    assert (received - expected)[clear].abs().max() < 0.012
    assert (received - expected).abs().max() < 0.06
    facing = irradiance(environment, blender_world(normalize(light.to_lamp, dim=0))[None]) / math.pi
    assert torch.allclose(facing[0], light.ambient + light.lamp, rtol=5e-3)


def test_lamp_is_found_again_in_its_environment():
    light = LampLight(torch.tensor([0.2, 0.3, 0.4]), torch.tensor([0.9, 0.8, 0.5]), torch.tensor([0.4, -0.5, -0.7]))
    found = lamp_from_environment(lamp_environment(light))
    assert torch.allclose(found.ambient, light.ambient, atol=1e-4)
    assert torch.allclose(found.lamp, light.lamp, rtol=1e-2)
    assert float(found.to_lamp @ normalize(light.to_lamp, dim=0)) > 0.9999


def test_an_even_environment_has_no_lamp():
    found = lamp_from_environment(torch.full((16, 32, 3), 0.7))
    assert torch.allclose(found.ambient, torch.full((3,), 0.7))
    assert found.lamp.abs().max() < 1e-6 and torch.isfinite(found.to_lamp).all()
