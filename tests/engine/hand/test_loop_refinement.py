"""Loop's subdivision: closed-form places, creases, and a hand that is finer but the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.hand.loop_refinement import loop_step, refined_fields
from engine.hand.mano import hand_forward
from engine.hand.model import OPEN_HAND, hand_model_from_fields
from engine.hand.model_file import read_model_file

TETRAHEDRON = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
CORNERS = np.array([[1.0, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])


@pytest.fixture(scope="module")
def fields():
    return read_model_file(OPEN_HAND)


@pytest.fixture(scope="module")
def finer(fields):
    return {levels: refined_fields(fields, levels) for levels in (1, 2)}


def test_tetrahedron_moves_as_loop_says():
    """Edge points are 3/8 of the ends and 1/8 of the corners across; three neighbours weigh 3/16 each."""
    step = loop_step(TETRAHEDRON, 4, np.zeros(4))
    refined = step.refine(CORNERS)
    assert refined.shape == (10, 3)
    assert step.faces.shape == (16, 3)
    np.testing.assert_allclose(refined[:4], CORNERS * (7 / 16 - 3 / 16), atol=1e-15)
    for (a, b), place in zip(step.edges, refined[4:], strict=True):
        across = [corner for corner in range(4) if corner not in (a, b)]
        np.testing.assert_allclose(
            place, 0.375 * (CORNERS[a] + CORNERS[b]) + 0.125 * CORNERS[across].sum(0), atol=1e-15
        )


def test_borders_and_creases_follow_themselves():
    """A square of two triangles has borders alone; a crease between patches is a border to both."""
    square, faces = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), np.array([[0, 1, 2], [0, 2, 3]])
    smooth, creased = (loop_step(faces, 4, np.array(patch)) for patch in ([0, 0], [0, 1]))
    assert smooth.smooth.sum() == 1
    assert not creased.smooth.any()
    np.testing.assert_allclose(smooth.refine(square)[0], 0.75 * square[0] + 0.125 * (square[1] + square[3]))
    # where the crease meets the border, vertices stay
    np.testing.assert_allclose(creased.refine(square)[0], square[0])
    np.testing.assert_allclose(creased.refine(square)[4:], square[creased.edges].mean(1))


def test_sharpened_undoes_the_move_and_constants_stay():
    step = loop_step(TETRAHEDRON, 4, np.zeros(4))
    values = CORNERS + 5  # constants and waves alike
    np.testing.assert_allclose(step.old_vertices(step.sharpened(values)), values, atol=1e-8)
    np.testing.assert_allclose(step.refine(np.ones((4, 2))), 1, atol=1e-15)


@pytest.mark.parametrize("levels", [1, 2])
def test_finer_hand_is_the_same_hand(fields, finer, levels):
    fine, count = finer[levels], len(fields["v_template"])
    assert len(fine["f"]) == 4**levels * len(fields["f"])
    moved = np.linalg.norm(fine["v_template"][:count] - fields["v_template"], axis=1)
    assert moved.max() < (1e-9 if levels == 1 else 1e-3)
    betas = np.random.default_rng(0).normal(size=10)
    joints = [m["J_regressor"] @ (m["v_template"] + m["shapedirs"] @ betas) for m in (fields, fine)]
    np.testing.assert_allclose(joints[1], joints[0], atol=1e-9)
    np.testing.assert_allclose(fine["weights"].sum(1), 1, atol=1e-6)
    assert fine["weights"].min() >= 0
    # the lid's rim stays: its area with all vertices of the rim in place
    area = [_area(m, m["cap_faces"]) for m in (fields, fine)]
    assert area[1] == pytest.approx(area[0], rel=0.02)
    volumes = [_volume(m) for m in (fields, fine)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.02)


def test_posed_hand_stays_near_the_coarse_one_and_is_rounder(fields, finer):
    """Poses by the engine: old vertices within a millimetre; angles between neighbouring facets at least halved."""
    generator = torch.Generator().manual_seed(0)
    pose = 0.4 * torch.randn(45, generator=generator, dtype=torch.float64)[None]
    betas, orient = torch.zeros(1, 10, dtype=torch.float64), torch.tensor([[0.3, -0.5, 0.2]], dtype=torch.float64)
    hands = [hand_model_from_fields(m, "right", torch.float64) for m in (fields, finer[1])]
    coarse, fine = (hand_forward(model, betas, orient, pose) for model in hands)
    np.testing.assert_allclose(fine.joints[0], coarse.joints[0], atol=1e-9)
    apart = (fine.vertices[0, : len(fields["v_template"])] - coarse.vertices[0]).norm(dim=1)
    assert apart.mean() < 3e-4
    assert apart.max() < 3e-3
    bends = [_facet_angles(out.vertices[0].numpy(), m) for out, m in ((coarse, fields), (fine, finer[1]))]
    assert bends[1] < 0.6 * bends[0]


def test_texture_coordinates_are_halved(fields, finer):
    """Each finer triangle covers a quarter of its parent's piece of the texture."""
    sizes = [np.abs(np.cross(*_sides(m["vt"][m["ft"]]))) for m in (fields, finer[1])]
    np.testing.assert_allclose(sizes[1].reshape(-1, 4), np.repeat(sizes[0][:, None] / 4, 4, axis=1), rtol=0, atol=1e-8)


def _sides(corners):
    return corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]


def _area(model, chosen):
    corners = model["v_template"][model["f"][chosen]]
    return 0.5 * np.linalg.norm(np.cross(*_sides(corners)), axis=1).sum()


def _volume(model):
    a, b, c = np.moveaxis(model["v_template"][model["f"]], 1, 0)
    return np.einsum("fi,fi->", a, np.cross(b, c)) / 6


def _facet_angles(vertices, model):
    """Mean angle across edges, radians."""
    normals = np.cross(*_sides(vertices[model["f"]]))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    sides = np.sort(np.stack([model["f"], np.roll(model["f"], -1, 1)], -1), -1).reshape(-1, 2)
    order = np.lexsort(sides.T)
    faces = (np.repeat(np.arange(len(normals)), 3)[order]).reshape(-1, 2)
    return np.arccos(np.clip((normals[faces[:, 0]] * normals[faces[:, 1]]).sum(1), -1, 1)).mean()
