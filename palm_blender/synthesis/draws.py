"""Random numbers that follow from the recipe's seed and what they are for, never from the order of drawing. NumPy only."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a number is drawn for: streams never meet. Their numbers are part of every data set, so they stay."""

    ORDER = 101
    """of a subject's gestures"""
    POSE = 102
    TURN = 103
    LIGHT = 104
    NOISE = 105
    VIEW = 106
    GESTURE = 107
    """of a sequence"""
    RIG = 108
    """of a sequence's cameras"""


def draws(seed: int, stream: Stream, index: int, frame: int = 0) -> np.random.Generator:
    """The numbers of one frame (or of a whole unit: frame 0) of unit `index`."""
    return np.random.default_rng([seed, int(stream), index, frame])
