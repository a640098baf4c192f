"""Hand models of a wanted number of vertices."""

from __future__ import annotations

import itertools

import pytest
import torch

from engine.errors import HandModelError
from engine.hand.mano import hand_forward
from engine.hand.model import open_hand_model
from engine.hand.random_poses import random_hand_poses
from engine.hand.refine import _shorter_turned, refine_model, refined, refinement, split_edges
from engine.hand.subdivide import subdivide_model
from engine.rendering.antialias import edge_table

TRIANGLE = torch.tensor([[0, 1, 2]])


@pytest.mark.parametrize("marked, pieces", [(0, 1), (1, 2), (2, 3), (3, 4)])
def test_a_triangle_is_cut_into_one_piece_more_than_it_has_marked_edges(marked, pieces):
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    for first in range(3):
        mark = torch.zeros(1, 3, dtype=torch.bool)
        mark[0, [(first + k) % 3 for k in range(marked)]] = True
        for turned in (False, True):
            split = split_edges(TRIANGLE, 3, mark, torch.tensor([turned]))
            assert len(split.faces) == pieces and len(split.edges) == marked and (split.parents == 0).all()
            finer = torch.cat([points, points[split.edges].mean(1)])
            one, two = (finer[split.faces[:, k]] - finer[split.faces[:, 0]] for k in (1, 2))
            areas = (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]) / 2
            assert (areas > 0).all()  # nothing is turned over
            assert float(areas.sum()) == pytest.approx(0.5)


def test_a_four_sided_rest_is_cut_along_its_shorter_diagonal():
    marked = torch.tensor([[True, True, False]])
    for first, last, turned in ((0.0, 1.0, False), (1.0, 0.0, True)):
        points = torch.tensor([[0.0, first], [4.0, 0.0], [0.0, last]])
        split = split_edges(TRIANGLE, 3, marked, _shorter_turned(points, TRIANGLE, marked))
        corners = {frozenset(pair) for face in split.faces.tolist() for pair in itertools.combinations(face, 2)}
        # 3 is the middle of the first edge, 4 of the second
        assert (frozenset((3, 2)) in corners, frozenset((0, 4)) in corners) == (turned, not turned)


def test_a_new_vertex_lies_on_a_nail_where_both_ends_do():
    coarse = open_hand_model()
    how = refinement(coarse, 8_000)
    nails = coarse.nail_vertices
    for ends in how.edges:
        nails = torch.cat([nails, nails[ends].all(1)])
    assert torch.equal(refined(coarse, how).nail_vertices, nails) and nails[len(coarse.v_template) :].any()


@pytest.mark.parametrize("vertices", [5_000, 12_000])
def test_the_refined_hand_is_closed_and_has_about_the_vertices_and_edges_of_nearly_one_length(vertices):
    coarse = open_hand_model()
    fine = refine_model(coarse, vertices)
    assert abs(len(fine.v_template) - vertices) <= 0.05 * vertices
    edges = edge_table(fine.faces)
    assert (edges.faces >= 0).all()  # a crack would leave borders
    assert len(fine.v_template) - len(edges.vertices) + len(fine.faces) == 2  # Euler: a sphere
    assert len(fine.uv_faces) == len(fine.faces) == len(fine.cap_faces)
    torch.testing.assert_close(fine.skinning_weights.sum(1), torch.ones(len(fine.v_template)))

    def spread(model):
        ends = model.v_template[edge_table(model.faces).vertices]
        lengths = (ends[:, 0] - ends[:, 1]).norm(dim=1)
        return float(lengths.quantile(0.99) / lengths.median())

    assert spread(fine) < 0.7 * spread(coarse)


def test_coarse_vertices_stay_where_they_were_at_every_pose_and_uvs_follow_the_surface():
    coarse = open_hand_model(dtype=torch.float64)
    fine = refine_model(coarse, 4_000)
    pose = random_hand_poses(coarse, 1, torch.Generator().manual_seed(1))[0].double()
    zero = torch.zeros(3, dtype=torch.float64)
    ends = [hand_forward(model, 0.5 * torch.ones(10, dtype=torch.float64), zero, pose) for model in (coarse, fine)]
    torch.testing.assert_close(ends[1].vertices[: len(coarse.v_template)], ends[0].vertices)
    torch.testing.assert_close(ends[1].joints, ends[0].joints)
    # area in the texture is kept: the pieces of a face cover its chart once

    def area(model):
        a, b, c = model.uv[model.uv_faces].unbind(1)
        one, two = b - a, c - a
        return float((one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).abs().sum())

    assert area(fine) == pytest.approx(area(coarse))


def test_four_times_the_vertices_are_one_midpoint_level():
    coarse = open_hand_model()
    fine, subdivided = refine_model(coarse, 4 * len(coarse.v_template)), subdivide_model(coarse)
    for name in ("v_template", "posedirs", "faces", "uv", "uv_faces", "cap_faces", "nail_vertices", "joint_regressor"):
        torch.testing.assert_close(getattr(fine, name), getattr(subdivided, name))


def test_a_hand_that_is_fine_enough_stays_and_no_vertices_are_refused():
    model = open_hand_model()
    assert torch.equal(refine_model(model, 500).v_template, model.v_template)
    with pytest.raises(HandModelError, match="0 vertices"):
        refine_model(model, 0)
