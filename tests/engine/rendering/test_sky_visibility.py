"""What a mesh hides of the sky from itself."""

from __future__ import annotations

import torch
import trimesh

from engine.lighting.sphere_sampling import fibonacci_sphere
from engine.rendering.sky_visibility import sky_visibility

DIRECTIONS = fibonacci_sphere(400, torch.zeros(()))


def ball(centre: tuple[float, float, float], radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    mesh = trimesh.creation.icosphere(3, radius)
    return torch.tensor(mesh.vertices).float() + torch.tensor(centre), torch.tensor(mesh.faces).long()


def test_a_ball_hides_nothing_of_its_own_sky(device):
    vertices, faces = ball((0, 0, 0), 0.03)
    seen = sky_visibility(vertices.to(device), faces.to(device), DIRECTIONS.to(device))
    assert seen.shape == (len(vertices), 400) and seen.dtype == torch.bool
    above = (vertices / 0.03) @ DIRECTIONS.T > 0.1
    assert seen.cpu()[above].all()


def test_a_second_ball_hides_its_own_solid_angle():
    (one, faces), (two, more) = ball((0, 0, 0), 0.02), ball((0, 0, 0.1), 0.04)
    seen = sky_visibility(torch.cat([one, two]), torch.cat([faces, more + len(one)]), DIRECTIONS)[: len(one)]
    top = int(one[:, 2].argmax())
    # from 2 mm above the first ball's top: a cap of sin = 40 / (100 − 22)
    cosine = (1 - (0.04 / 0.078) ** 2) ** 0.5
    hidden = ~seen[top]
    expected = DIRECTIONS[:, 2] > cosine
    sure = (DIRECTIONS[:, 2] - cosine).abs() > 0.05
    assert torch.equal(hidden[sure], expected[sure]) and expected.sum() > 20
    bottom = int(one[:, 2].argmin())
    # what lies below the horizon is no question of visibility
    assert seen[bottom][DIRECTIONS[:, 2] > 0.5].all()
