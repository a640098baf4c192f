"""Rotations: closed forms, inverses, derivatives at the singular points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.hand import pose_files
from engine.hand.rotations import axis_angle_to_matrix, matrix_to_axis_angle, skew


def random_vectors(count: int, longest: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(direction, dim=-1) * torch.linspace(0, longest, count).double()[:, None]


def test_quarter_turn_about_z():
    matrix = axis_angle_to_matrix(torch.tensor([0, 0, math.pi / 2], dtype=torch.float64))
    expected = torch.tensor([[0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(matrix, expected, atol=1e-15, rtol=0)


def test_skew_is_the_cross_product():
    a, b = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close((skew(a) @ b[..., None])[..., 0], torch.linalg.cross(a, b))


def test_matches_scipy():
    from scipy.spatial.transform import Rotation

    vectors = random_vectors(500, 6.0)
    expected = Rotation.from_rotvec(vectors.numpy()).as_matrix()
    np.testing.assert_allclose(axis_angle_to_matrix(vectors).numpy(), expected, atol=1e-14)


def test_logarithm_inverts_up_to_half_a_turn():
    vectors = random_vectors(500, math.pi - 1e-6)
    matrices = axis_angle_to_matrix(vectors)
    torch.testing.assert_close(matrix_to_axis_angle(matrices), vectors, atol=1e-9, rtol=0)
    np.testing.assert_allclose(pose_files.matrix_to_axis_angle(matrices.numpy()), vectors.numpy(), atol=1e-8)


def test_half_turns_come_back_as_the_same_rotation():
    vectors = torch.nn.functional.normalize(random_vectors(50, 1.0)[1:], dim=-1) * math.pi
    matrices = axis_angle_to_matrix(vectors)
    torch.testing.assert_close(axis_angle_to_matrix(matrix_to_axis_angle(matrices)), matrices, atol=1e-12, rtol=0)


@pytest.mark.parametrize("length", [0.0, 1e-9, 0.009999, 0.010001, 1.0, 3.0])
def test_gradient(length):
    vector = torch.tensor([[0.6, -0.64, 0.48]], dtype=torch.float64) * length
    assert torch.autograd.gradcheck(axis_angle_to_matrix, (vector.requires_grad_(),))


def test_float32_keeps_its_precision():
    vectors = random_vectors(200, 3.0)
    single = axis_angle_to_matrix(vectors.float())
    assert single.dtype == torch.float32
    assert (single.double() - axis_angle_to_matrix(vectors)).abs().max() < 1e-6
