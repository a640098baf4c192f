"""A light that is known, found again from what it does to a ball."""

from __future__ import annotations

import math

import pytest
import torch

from engine.evaluation.avatar_picture import AvatarPicture
from engine.evaluation.fitted_light import fitted_environment
from engine.evaluation.true_frame import TrueFrame
from engine.hand.rotations import axis_angle_to_matrix
from engine.lighting.color import linear_to_srgb
from engine.lighting.environment import blender_world, equirect_grid, irradiance

SIDE = 48
ALBEDO = torch.tensor([0.5, 0.3, 0.2])


@pytest.fixture
def ball():
    """A matt ball before a turned camera, in a smooth light, and the light."""
    directions, _ = equirect_grid(32, torch.zeros(1))
    towards = torch.tensor([0.3, -0.8, 0.52])
    light = 0.5 + 0.4 * (directions @ towards)[..., None] * torch.tensor([1.0, 0.8, 0.6])
    y, x = torch.meshgrid(*(torch.linspace(-1.05, 1.05, SIDE),) * 2, indexing="ij")
    mask = x**2 + y**2 < 1
    normals = torch.stack([x, y, -(1 - x**2 - y**2).clamp_min(0).sqrt()], dim=-1) * mask[..., None]
    camera = torch.eye(4)
    camera[:3, :3] = axis_angle_to_matrix(torch.tensor([0.2, 0.9, -0.4]))
    received = irradiance(light, blender_world(normals.reshape(-1, 3) @ camera[:3, :3])).reshape(SIDE, SIDE, 3)
    image = linear_to_srgb(ALBEDO * received / math.pi).clamp(0, 1) * mask[..., None]
    truth = TrueFrame(image, mask, mask.float(), torch.eye(3), camera, None, None)
    skin = linear_to_srgb(ALBEDO).expand(SIDE, SIDE, 3)
    return AvatarPicture(image, mask.float(), skin, normals, normals), truth, light


def test_what_the_ball_receives_is_found(ball):
    picture, truth, light = ball
    found = fitted_environment(picture, truth)
    assert found.shape == (32, 64, 3)
    assert float(found.min()) >= 0
    seen = blender_world(picture.normals[truth.mask] @ truth.world_to_camera[:3, :3])
    torch.testing.assert_close(irradiance(found, seen), irradiance(light, seen), rtol=0.03, atol=0.01)


def test_half_the_albedo_wants_twice_the_light(ball):
    picture, truth, _ = ball
    dark = picture._replace(albedo_srgb=linear_to_srgb(ALBEDO / 2).expand(SIDE, SIDE, 3))
    ratio = fitted_environment(dark, truth).mean((0, 1)) / fitted_environment(picture, truth).mean((0, 1))
    torch.testing.assert_close(ratio, torch.full((3,), 2.0), rtol=1e-3, atol=0)


def test_too_little_to_tell_a_light_from(ball):
    picture, truth, _ = ball
    assert fitted_environment(picture._replace(coverage=torch.zeros(SIDE, SIDE)), truth) is None
