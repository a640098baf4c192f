"""Normals and lights: closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from engine.evaluation.relit_set import turned
from engine.evaluation.shape_light_metrics import averaged, light_error, normal_angle_deg
from engine.lighting.environment import equirect_grid


def test_angle_between_normals():
    up = torch.tensor([0.0, 0, 1]).expand(4, 4, 3)
    tilted = torch.tensor([0.0, math.sin(0.3), math.cos(0.3)]).expand(4, 4, 3).clone()
    tilted[0] = -tilted[0]
    visible = torch.ones(4, 4, dtype=torch.bool)
    visible[0] = False
    assert normal_angle_deg(2 * tilted, up, visible) == pytest.approx(math.degrees(0.3), abs=1e-3)


def lamp(direction, rows: int = 32) -> torch.Tensor:
    directions, _ = equirect_grid(rows, torch.zeros(1))
    return 0.1 + torch.exp(20 * (directions @ torch.tensor(direction) - 1))[..., None].expand(-1, -1, 3)


def test_the_true_light_has_no_error_at_any_brightness():
    truth = lamp([0.6, 0.0, 0.8])
    error = light_error(2.5 * truth, truth)
    assert error.irradiance_error == pytest.approx(0, abs=1e-6)
    assert error.radiance_error == pytest.approx(0, abs=1e-6)
    assert error.direction_cosine == pytest.approx(1)
    assert error.brightness == pytest.approx(2.5)


def test_a_lamp_elsewhere():
    truth, found = lamp([0.0, 0.0, 1.0]), lamp([1.0, 0.0, 0.0])
    error = light_error(found, truth)
    assert error.direction_cosine == pytest.approx(0, abs=0.02)
    assert error.brightness == pytest.approx(1, abs=0.02)
    assert error.radiance_error > error.irradiance_error > 0.2


def test_no_light_at_all_is_as_wrong_as_can_be():
    error = light_error(torch.zeros(16, 32, 3), lamp([0.0, 1.0, 0.0]))
    assert error.irradiance_error == pytest.approx(1)
    assert error.brightness == 0


def test_averaging_keeps_the_mean_and_enlarges_by_repeating():
    image = torch.rand(32, 64, 3, generator=torch.Generator().manual_seed(0))
    assert averaged(image, 8).mean() == pytest.approx(float(image.mean()), abs=1e-5)
    assert torch.equal(averaged(image[:4, :8], 8), image[:4, :8].repeat_interleave(2, 0).repeat_interleave(2, 1))


def test_an_environment_turns_counter_clockwise():
    truth = turned(lamp([1.0, 0.0, 0.0], 64), math.pi / 2)
    assert light_error(truth, lamp([0.0, 1.0, 0.0], 64)).irradiance_error < 1e-2
