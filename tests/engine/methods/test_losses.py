"""HARP's energy terms on inputs with known answers."""

from __future__ import annotations

import math

import pytest
import torch
import trimesh

from engine.methods.adam import Adam, cosine_fall
from engine.methods.config import quality
from engine.methods.losses import (
    edge_length_energy,
    joint_anchor,
    laplacian_energy,
    laplacian_vectors,
    limit_energy,
    map_smoothness,
    masked_l1,
    normal_consistency,
    random_offset,
    uniform_laplacian,
    upright_normals,
)
from engine.methods.rerender import rerender_score
from engine.rendering.antialias import edge_table
from engine.rendering.mesh import Picture
from engine.training.perceptual import pyramid_l1


@pytest.fixture
def ball() -> tuple[torch.Tensor, torch.Tensor]:
    mesh = trimesh.creation.icosphere(2, radius=0.05)
    return torch.tensor(mesh.vertices), torch.tensor(mesh.faces)


def test_photo_terms_count_only_what_they_should():
    target = torch.zeros(8, 8, 3)
    weight = torch.zeros(8, 8)
    weight[2:6, 2:6] = 1
    off = target.clone()
    off[2:6, 2:6] = 0.25
    off[0, 0] = 9.0
    assert float(masked_l1(off, target, weight)) == pytest.approx(0.25)
    assert float(masked_l1(off, target, torch.zeros(8, 8))) == 0
    assert float(pyramid_l1(target, target, weight)) == 0


def test_pyramid_sees_texture_more_than_a_constant_shift():
    weight = torch.ones(32, 32)
    checks = ((torch.arange(32)[:, None] + torch.arange(32)) % 2).float()[..., None].expand(32, 32, 3)
    assert float(pyramid_l1(checks * 0.2, torch.zeros(32, 32, 3), weight)) > 5 * float(
        pyramid_l1(torch.full((32, 32, 3), 0.1), torch.zeros(32, 32, 3), weight)
    )


def test_anchor_ignores_translation_and_counts_decimetres():
    joints = torch.rand(16, 3)
    assert float(joint_anchor(joints + 0.3, joints)) == pytest.approx(0, abs=1e-9)
    moved = joints.clone()
    moved[5, 1] += 0.1
    assert float(joint_anchor(moved, joints)) == pytest.approx(1 / 16, rel=1e-4)


def test_mesh_terms_vanish_at_rest_and_know_a_scaling(ball):
    vertices, faces = ball
    edges = edge_table(faces)
    table = uniform_laplacian(edges, len(vertices))
    assert float(laplacian_energy(vertices, vertices, table)) < 1e-7
    assert float(edge_length_energy(vertices, vertices, edges)) == 0
    lengths = (vertices[edges.vertices[:, 0]] - vertices[edges.vertices[:, 1]]).norm(dim=1)
    expected = ((0.1 * lengths * 1000) ** 2).mean()
    assert float(edge_length_energy(1.1 * vertices, vertices, edges)) == pytest.approx(float(expected), rel=1e-6)
    assert laplacian_vectors(torch.ones(len(vertices), 2), table).abs().max() < 1e-12


def test_normal_consistency_of_a_fold():
    fold = torch.tensor([[0.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3]])
    assert float(normal_consistency(fold, faces, edge_table(faces))) == pytest.approx(1.0)
    flat = torch.tensor([[0.0, 0, 0], [0, 1, 0], [1, 0, 0], [-1, 0, 0]])
    assert float(normal_consistency(flat, faces, edge_table(faces))) == pytest.approx(0.0, abs=1e-6)


def test_pose_limits_cost_only_beyond():
    axes = torch.eye(3).expand(15, 3, 3)
    limits = torch.tensor([-0.5, 1.0]).expand(15, 3, 2)
    pose = torch.zeros(45)
    assert float(limit_energy(pose, axes, limits)) == 0
    pose[0], pose[4] = 1.2, -0.8
    assert float(limit_energy(pose, axes, limits)) == pytest.approx(0.2**2 + 0.3**2, rel=1e-5)


def test_map_terms():
    ramp = torch.arange(6.0)[None, :, None].expand(5, 6, 1)
    inside = torch.ones(5, 6, dtype=torch.bool)
    assert float(map_smoothness(ramp, (0, 2), inside)) == pytest.approx(2)
    assert float(map_smoothness(ramp, (-1, 0), inside)) == 0
    assert float(map_smoothness(ramp, (0, 9), inside)) == 0
    inside[:, 3] = False
    assert float(map_smoothness(ramp, (0, 1), inside)) == pytest.approx(1)
    up = torch.tensor([0.0, 0, 1]).expand(5, 6, 3)
    assert float(upright_normals(up, inside)) == 0
    assert float(upright_normals(up.roll(1, -1), inside)) == pytest.approx(2 / 3)


def test_offsets_repeat_and_are_never_zero():
    drawn = [[random_offset(0.5, g) for _ in range(50)] for g in (torch.Generator().manual_seed(4) for _ in range(2))]
    assert drawn[0] == drawn[1] and (0, 0) not in drawn[0]


@pytest.mark.parametrize("term", ["masked", "pyramid", "laplacian", "edges", "limits", "upright"])
def test_gradients(term, ball):
    vertices, faces = ball
    edges = edge_table(faces)
    generator = torch.Generator().manual_seed(2)
    picture = torch.rand(9, 10, 2, dtype=torch.float64, generator=generator)
    target = torch.rand(9, 10, 2, dtype=torch.float64, generator=generator)
    weight = torch.rand(9, 10, dtype=torch.float64, generator=generator)
    noisy = vertices[:12] + 0.01 * torch.rand(12, 3, dtype=torch.float64, generator=generator)
    small = edge_table(torch.arange(12).reshape(4, 3))
    axes, limits = torch.eye(3).double().expand(15, 3, 3), torch.tensor([-0.1, 0.1]).double().expand(15, 3, 2)
    cases = {
        "masked": (lambda x: masked_l1(x, target, weight), picture),
        "pyramid": (lambda x: pyramid_l1(x, target, weight, 2), picture),
        "laplacian": (lambda x: laplacian_energy(x, vertices[:12], uniform_laplacian(small, 12)), noisy),
        "edges": (lambda x: edge_length_energy(x, vertices[:12], small), noisy),
        "limits": (
            lambda x: limit_energy(x, axes, limits),
            torch.rand(45, dtype=torch.float64, generator=generator) - 0.5,
        ),
        "upright": (
            lambda x: upright_normals(x, weight > 0.5),
            torch.rand(9, 10, 3, dtype=torch.float64, generator=generator),
        ),
    }
    function, at = cases[term]
    assert torch.autograd.gradcheck(function, (at.clone().requires_grad_(True),))
    assert edges is not None


def test_adam_equals_torch():
    start = torch.tensor([1.0, -2.0, 3.0])
    ours, theirs = start.clone().requires_grad_(True), start.clone().requires_grad_(True)
    mine, reference = Adam([(ours, 0.05)]), torch.optim.Adam([theirs], lr=0.05)
    for _ in range(20):
        for leaf, optimiser in ((ours, mine), (theirs, reference)):
            optimiser.zero_grad()
            ((leaf**2).sum() + leaf.prod()).backward()
            optimiser.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_adam_passes_over_gradients_that_are_no_numbers():
    leaf = torch.tensor([1.0, 1.0], requires_grad=True)
    optimiser = Adam([(leaf, 0.1)])
    leaf.grad = torch.tensor([float("nan"), 1.0])
    optimiser.step()
    assert leaf.tolist() == pytest.approx([1.0, 0.9])


def test_rates_fall_from_one_to_a_tenth():
    assert cosine_fall(0, 100) == 1 and cosine_fall(100, 100) == pytest.approx(0.1)
    assert cosine_fall(0, 0) == 1


def test_unknown_quality():
    with pytest.raises(ValueError, match="splendid"):
        quality("splendid")


def test_known_noise_gives_the_textbook_psnr():
    generator = torch.Generator().manual_seed(0)
    photo = torch.full((200, 200, 3), 0.5)
    picture = Picture(photo + 0.02 * torch.randn(200, 200, 3, generator=generator), torch.ones(200, 200))
    everywhere = torch.ones(200, 200, dtype=torch.bool)
    score = rerender_score(photo, everywhere, picture, everywhere)
    assert score.psnr_db == pytest.approx(-20 * math.log10(0.02), abs=0.05)
    assert score.iou == 1
    half = torch.zeros(200, 200, dtype=torch.bool)
    half[:, :100] = True
    assert rerender_score(photo, half, picture, everywhere).iou == pytest.approx(0.5)
