"""Which light a frame is taken in: the recipe's, or one drawn by seed. NumPy only."""

from __future__ import annotations

import numpy as np

from .draws import Stream, draws
from .environments import candidates
from .recipe import Recipe
from .shots import Light

STRENGTHS = (0.6, 1.7)
"""Least and most of a varied light, drawn evenly in stops."""


def light_of(recipe: Recipe, names: tuple[str, ...], index: int, frame: int) -> Light:
    """The light of one frame of unit `index`, chosen among names, files and folders of files.

    Raises InputError for an environment that is not there.
    """
    choices = [choice for name in names for choice in candidates(name)]
    own = draws(recipe.seed, Stream.LIGHT, index, frame)
    # always drawn, so that one option does not change what another one draws
    chosen, turn, stops = own.random(3)
    name = choices[min(int(chosen * len(choices)), len(choices) - 1)]
    if not recipe.vary_light:
        return Light(name, 0.0, 1.0)
    low, high = np.log(STRENGTHS)
    return Light(name, round(float(2 * np.pi * turn), 6), round(float(np.exp(low + (high - low) * stops)), 6))


def noise_seeds(recipe: Recipe, index: int, frame: int, count: int) -> list[int]:
    """Seeds of Cycles' noise for a frame's `count` pictures."""
    return [int(value) for value in draws(recipe.seed, Stream.NOISE, index, frame).integers(1 << 31, size=count)]
