"""The hand model refined by Loop's scheme."""

from __future__ import annotations

import numpy as np
import torch

from engine.hand.loop_model import loop_model
from engine.hand.loop_refinement import refined_fields
from engine.hand.mano import hand_forward
from engine.hand.model import OPEN_HAND, hand_model_from_fields, open_hand_model
from engine.hand.model_file import read_model_file
from engine.hand.subdivide import subdivide_model


def test_it_is_the_hand_that_refined_model_files_describe():
    found = loop_model(open_hand_model(), 1)
    expected = hand_model_from_fields(refined_fields(read_model_file(OPEN_HAND), 1), "refined")
    for name in ("v_template", "shapedirs", "posedirs", "skinning_weights", "joint_regressor", "uv"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-6, rtol=0)
    for name in ("faces", "uv_faces", "cap_faces", "nail_vertices"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_posed_it_stays_near_the_midpoint_hand_and_keeps_the_joints():
    model = open_hand_model()
    pose = 0.3 * torch.randn(1, 45, generator=torch.Generator().manual_seed(0))
    betas, orient = torch.linspace(-1, 1, 10)[None], torch.zeros(1, 3)
    smooth, flat = (hand_forward(finer, betas, orient, pose) for finer in (loop_model(model), subdivide_model(model)))
    torch.testing.assert_close(smooth.joints, flat.joints, atol=1e-5, rtol=0)
    away = (smooth.vertices - flat.vertices).norm(dim=-1)
    assert 1e-5 < float(away.mean()) < 5e-4
    assert np.isfinite(away.numpy()).all()


def test_no_level_changes_nothing():
    model = open_hand_model()
    assert torch.equal(loop_model(model, 0).v_template, model.v_template)
