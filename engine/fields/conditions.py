"""What a hand adds to the canonical fields: its pose and its subject's codes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Conditions(NamedTuple):
    """Inputs that all samples of a hand share; B hands."""

    pose: Tensor
    """[B,32] encoded finger pose."""
    shape: Tensor
    """[B,32] shape code of the hand's subject."""
    appearance: Tensor
    """[B,32] appearance code of the hand's subject."""
