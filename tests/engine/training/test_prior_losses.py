"""The prior's energy terms on inputs with known answers."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from engine.training.losses import (
    curvature,
    eikonal,
    latent_energy,
    mask_cross_entropy,
    normal_l1,
    rgb_l1,
    sdf_regression,
    tangent_shift,
    weighted_sum,
)


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_shapes_follow_the_rays():
    assert rgb_l1(rand(7, 3), rand(7, 3)).shape == (7,)
    assert mask_cross_entropy(rand(7), rand(7)).shape == (7,)
    assert normal_l1(rand(7, 3), rand(7, 3)).shape == (7,)
    assert eikonal(rand(7, 3)).shape == (7,)
    assert latent_energy(rand(2, 32)).shape == (2,)


def test_known_values():
    assert rgb_l1(torch.tensor([[0.2, 0.4, 0.6]]), torch.tensor([[0.3, 0.4, 0.9]])).item() == pytest.approx(0.4 / 3)
    assert mask_cross_entropy(torch.tensor([0.25]), torch.tensor([1.0])).item() == pytest.approx(-math.log(0.25))
    assert mask_cross_entropy(torch.tensor([0.25]), torch.tensor([0.0])).item() == pytest.approx(-math.log(0.75))
    assert eikonal(torch.tensor([[0.0, 3.0, 4.0]])).item() == pytest.approx(16.0)
    assert latent_energy(torch.full((1, 32), 0.5)).item() == pytest.approx(8.0)
    assert sdf_regression(torch.tensor([0.005, 0.5]), torch.zeros(2)).tolist() == pytest.approx([2.5e-5, 4e-4])
    assert weighted_sum(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.25])).item() == 1.0


def test_opaque_and_empty_rays_have_a_finite_mask_term():
    values = mask_cross_entropy(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]))
    assert values.tolist() == pytest.approx([-math.log(1e-3)] * 2, rel=1e-4)


def test_normals_are_compared_as_directions_and_unknown_ones_not_at_all():
    prediction = torch.tensor([[0.0, 0.0, 5.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    target = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [math.nan] * 3])
    assert normal_l1(prediction, target).tolist() == pytest.approx([0.0, 2.0, 0.0])


def test_unknown_normals_send_no_nan_back():
    prediction = torch.ones(1, 3, requires_grad=True)
    normal_l1(prediction, torch.full((1, 3), math.nan)).sum().backward()
    assert torch.isfinite(prediction.grad).all()


def test_curvature_is_the_angle_over_pi():
    a = torch.tensor([[1.0, 0.0, 0.0]])
    for degrees in (10.0, 90.0, 170.0):
        b = torch.tensor([[math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0]])
        assert curvature(a, b).item() == pytest.approx(degrees / 180, abs=1e-4)


def test_a_tangent_shift_is_tangential_and_of_the_asked_length():
    normals = normalize(rand(50, 3, seed=3) - 0.5, dim=-1)
    shift = tangent_shift(normals, torch.Generator().manual_seed(1), 1e-3)
    torch.testing.assert_close(shift.norm(dim=-1), torch.full((50,), 1e-3, dtype=torch.float64))
    assert (shift * normals).sum(-1).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("term", "arguments"),
    [
        (rgb_l1, (rand(5, 3), rand(5, 3, seed=1))),
        (mask_cross_entropy, (0.1 + 0.8 * rand(5), rand(5, seed=1).round())),
        (normal_l1, (rand(5, 3) - 0.5, normalize(rand(5, 3, seed=1) - 0.5, dim=-1))),
        (sdf_regression, (0.01 * rand(5), 0.01 * rand(5, seed=1))),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_gradcheck_against_targets(term, arguments):
    prediction, target = arguments
    assert torch.autograd.gradcheck(lambda x: term(x, target), (prediction.requires_grad_(True),))


def test_gradcheck_of_the_others():
    points = (rand(5, 3) + 0.2).requires_grad_(True)
    assert torch.autograd.gradcheck(eikonal, (points,))
    assert torch.autograd.gradcheck(latent_energy, (points,))
    a, b = (normalize(rand(5, 3, seed=seed) - 0.5, dim=-1).requires_grad_(True) for seed in (4, 5))
    assert torch.autograd.gradcheck(curvature, (a, b))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_terms_stay_on_their_device():
    device = torch.device("cuda")
    assert rgb_l1(rand(3, 3).to(device), rand(3, 3).to(device)).device.type == "cuda"
    assert tangent_shift(rand(3, 3).to(device), torch.Generator().manual_seed(0)).device.type == "cuda"
