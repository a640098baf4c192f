"""Texture charts for models without any."""

from __future__ import annotations

import dataclasses

import torch

from engine.hand.atlas import with_texture_charts
from engine.hand.model import open_hand_model


def test_a_model_with_charts_keeps_them():
    model = open_hand_model()
    assert with_texture_charts(model) is model


def test_charts_keep_the_shape_of_every_triangle():
    """Angles survive flattening: the mean difference between a corner in space and in its chart is small."""
    model = open_hand_model()
    bare = dataclasses.replace(model, uv=torch.zeros(0, 2), uv_faces=torch.zeros_like(model.faces))
    charted = with_texture_charts(bare)
    assert charted.uv_faces.shape == model.faces.shape
    assert float(charted.uv.min()) >= 0 and float(charted.uv.max()) <= 1
    assert int(charted.uv_faces.max()) == len(charted.uv) - 1

    def angles(corners: torch.Tensor) -> torch.Tensor:
        one, two = corners.roll(-1, 1) - corners, corners.roll(1, 1) - corners
        cosine = torch.nn.functional.cosine_similarity(one, two, dim=-1)
        return cosine.clamp(-1, 1).acos()

    difference = angles(charted.uv[charted.uv_faces]) - angles(model.v_template[model.faces])
    assert float(difference.abs().mean()) < 0.1
    again = with_texture_charts(bare)
    assert torch.equal(again.uv, charted.uv) and torch.equal(again.uv_faces, charted.uv_faces)
