"""The published priors' once-smoothed template."""

from __future__ import annotations

import torch

from engine.hand.mano import shape_hand
from engine.hand.model import open_hand_model
from engine.hand.subdivide import smooth_template, subdivide_model


def test_a_vertex_becomes_the_mean_of_itself_and_its_neighbours():
    model = open_hand_model(dtype=torch.float64)
    smoothed = smooth_template(model)
    for vertex in (0, 100, 777, 1500):
        faces = model.faces[(model.faces == vertex).any(1)]
        ring = torch.unique(faces)  # with the vertex itself
        torch.testing.assert_close(smoothed.v_template[vertex], model.v_template[ring].mean(0))


def test_only_the_template_changes_and_joints_move_a_little_with_it():
    model = subdivide_model(open_hand_model(dtype=torch.float64))
    smoothed = smooth_template(model)
    assert torch.equal(smoothed.shapedirs, model.shapedirs) and torch.equal(smoothed.faces, model.faces)
    before, after = (shape_hand(hand, torch.zeros(10, dtype=torch.float64))[1] for hand in (model, smoothed))
    moved = (after - before).norm(dim=-1)
    assert 0 < moved.max() < 2e-3
