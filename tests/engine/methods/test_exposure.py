"""The strength of a light that a finished avatar needs."""

from __future__ import annotations

import pytest
import torch

from engine.lighting.color import linear_to_srgb
from engine.methods.exposure import LIMITS, gain_between


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.4])
def test_gain_is_found(gain):
    expected = torch.rand(500, 3, generator=torch.Generator().manual_seed(1)) * 0.5
    assert gain_between(expected, linear_to_srgb(gain * expected)) == pytest.approx(gain, abs=1e-3)


def test_gain_stays_within_its_limits():
    expected = torch.full((20, 3), 0.02)
    assert gain_between(expected, torch.ones(20, 3)) == pytest.approx(LIMITS[1], abs=1e-3)
    assert gain_between(expected, torch.zeros(20, 3)) == pytest.approx(LIMITS[0], abs=1e-3)


def test_nothing_seen_changes_nothing():
    assert gain_between(torch.zeros(0, 3), torch.zeros(0, 3)) == 1.0
