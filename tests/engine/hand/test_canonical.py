from __future__ import annotations

import pytest
import torch

from engine.hand.canonical import OFFICIAL_BOX, OPEN_BOX, CanonicalBox
from engine.hand.model import open_hand_model


@pytest.mark.parametrize("box", [OFFICIAL_BOX, OPEN_BOX])
def test_unit_coordinates_and_back(box: CanonicalBox) -> None:
    points = torch.randn(100, 3, dtype=torch.float64) * 0.1
    assert torch.allclose(box.from_unit(box.to_unit(points)), points, atol=1e-15)
    centre = torch.tensor(box.centre, dtype=torch.float64)
    assert torch.allclose(box.to_unit(centre), torch.full((3,), 0.5, dtype=torch.float64))
    assert torch.allclose(box.to_unit(centre - box.half_size), torch.zeros(3, dtype=torch.float64), atol=1e-15)


def test_contains_its_faces_but_nothing_beyond() -> None:
    box = CanonicalBox((0.0, 0.0, 0.0), 1.0)
    points = torch.tensor([[1.0, 0, 0], [1.001, 0, 0], [0.5, -0.5, 0.2], [0, 0, -1.2]])
    assert box.contains(points).tolist() == [True, False, True, False]


def test_the_open_hand_fits_at_three_deviations_of_all_betas() -> None:
    hand = open_hand_model()
    reach = 3 * hand.shapedirs.abs().sum(-1) + 0.015
    assert OPEN_BOX.contains(hand.v_template + reach).all()
    assert OPEN_BOX.contains(hand.v_template - reach).all()
