"""The fine mesh, and how it lies between the coarse hand's vertices."""

from __future__ import annotations

import torch

from engine.hand.model import open_hand_model
from engine.hand.subdivide import spread
from engine.methods.xhand_template import build_template, places_between, refining_edges


def test_fine_vertices_lie_between_coarse_ones_as_the_passes_say():
    template = build_template(open_hand_model(), 8_000)
    shares = places_between(template)
    count = len(template.coarse.v_template)
    assert shares.shape == (len(template.model.v_template), count)
    torch.testing.assert_close(shares @ torch.ones(count, 1), torch.ones(len(shares), 1))
    values = torch.rand(count, 5, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(shares @ values, spread(values, refining_edges(template)))
