import math

import pytest
import torch

from engine.training.psnr import psnr_db


@pytest.mark.parametrize("shape", [(4,), (3, 5, 3)])
def test_a_constant_difference_gives_its_closed_form(shape: tuple[int, ...]) -> None:
    assert psnr_db(torch.full(shape, 0.1) ** 2) == pytest.approx(20, abs=1e-5)


def test_equal_pictures_and_none() -> None:
    assert psnr_db(torch.zeros(7)) == pytest.approx(120)
    assert psnr_db(torch.zeros(0, 3)) == 0.0


def test_single_precision_does_not_add_up_wrongly() -> None:
    squared = torch.full((5_000_000,), 1e-4)
    assert psnr_db(squared) == pytest.approx(-10 * math.log10(1e-4), abs=1e-6)
