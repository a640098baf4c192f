"""A seeded stream of people whose ages, heights, sexes and skin tones are spread as in PALM's figure 3. NumPy only.

Each person follows from the seed and a number alone, so any part of a cohort can be drawn anywhere, and every run of
successive numbers keeps the shares: the four quantities follow a shifted additive sequence with generalised golden ratios
(Roberts 2018, the R4 sequence), which fills the unit cube evenly.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from ...engine.errors import HandModelError
from .skin_traits import SkinTraits, sample_traits

SHAPE_BY_PERSON = Path(__file__).parents[2] / "assets" / "hand" / "shape_by_person.json"

AGE_SHARES = {(21, 31): 0.24, (31, 41): 0.33, (41, 51): 0.26, (51, 61): 0.11, (61, 71): 0.06}
"""Share of people by years of age, [from, to). Figure 3 names the first three; the rest is split as its bars fall off."""

HEIGHT_SHARES = {(145, 170.5): 0.48, (170.5, 180.5): 0.35, (180.5, 190.5): 0.13, (190.5, 200): 0.04}
"""Share of people by height in cm, [from, to)."""
HEIGHT_SHARES_OF_WOMEN = (0.80, 0.18, 0.02, 0.0)
"""The same bins for women alone; men have what is left of HEIGHT_SHARES, as there are as many of them."""
STATURE_CM = {"women": (163.0, 7.0), "men": (175.5, 7.0)}
"""Mean and standard deviation that heights follow within a bin."""

TONE_SHARES = {"medium": 0.38, "dark": 0.27, "tan": 0.20, "light": 0.15}

GOLDEN = 1.1673039782614187
"""The real root of x⁵ = x + 1."""


class Person(NamedTuple):
    """One subject of a cohort."""

    number: int
    female: bool
    age: float
    """years"""
    height: float
    """metres"""
    tone: str
    """a key of TONE_SHARES"""
    betas: np.ndarray
    """[10] of the open hand model"""
    skin: SkinTraits


def sample_person(seed: int, number: int) -> Person:
    """The person of a number (from 0) in the cohort of a seed. Raises ValueError for negative ones."""
    if seed < 0 or number < 0:
        raise ValueError(f"seed {seed} and number {number} of a person must not be negative")
    shift = np.random.default_rng([seed, 0xA6E]).uniform(size=4)
    sex, age, height, tone = (shift + (number + 1) * GOLDEN ** -np.arange(1.0, 5.0)) % 1.0
    female, tall = _sex_and_height(float(sex), float(height))
    years = _within(AGE_SHARES, age)
    own = np.random.default_rng([seed, number])
    name = list(TONE_SHARES)[int(np.searchsorted(np.cumsum(list(TONE_SHARES.values()))[:-1], tone, side="right"))]
    betas = sample_betas(female, years, tall, own)
    return Person(
        number, female, years, tall, name, betas, sample_traits(name, years, female, int(own.integers(2**31)))
    )


def _within(shares: dict[tuple[float, float], float], quantile: float) -> float:
    """The value at a quantile in [0,1) of a distribution that is even within its bins."""
    edges = np.concatenate([[0.0], np.cumsum(list(shares.values()))])
    k = min(int(np.searchsorted(edges, quantile, side="right")) - 1, len(shares) - 1)
    low, high = list(shares)[k]
    return float(low + (high - low) * min((quantile - edges[k]) / (edges[k + 1] - edges[k]), 1 - 1e-9))


def _sex_and_height(sex: float, height: float) -> tuple[bool, float]:
    """Whether a woman, and metres, at two quantiles in [0,1): the height's bin by its share among all people, the sex by
    its share in that bin, the height within the bin by the normal distribution of that sex."""
    shares = np.array(list(HEIGHT_SHARES.values()))
    edges = np.concatenate([[0.0], np.cumsum(shares)])
    k = min(int(np.searchsorted(edges, height, side="right")) - 1, len(shares) - 1)
    female = bool(sex < 0.5 * HEIGHT_SHARES_OF_WOMEN[k] / shares[k])
    low, high = list(HEIGHT_SHARES)[k]
    normal = NormalDist(*STATURE_CM["women" if female else "men"])
    below, above = normal.cdf(low), normal.cdf(high)
    share = (height - edges[k]) / shares[k]
    centimetres = normal.inv_cdf(below + share * (above - below))
    return female, float(np.clip(centimetres, low, np.nextafter(high, low))) / 100


def sample_betas(female: bool, age: float, height: float, generator: np.random.Generator) -> np.ndarray:
    """Shape coefficients [10] of the open hand for a person: age in years, height in metres.

    Linear in height and age within a sex, with Gaussian remainder, as `tools/open_hand/shape_by_person.py` fitted it;
    limited to 2.5 deviations, beyond which the hand model is not trustworthy.
    """
    model = shape_by_person()
    sex = "women" if female else "men"
    own: dict[str, Any] = model[sex]
    mean, deviation = model["stature_m"][sex]
    betas = (
        np.array(own["mean"])
        + np.array(own["by_stature"]) * (height - mean) / deviation
        + np.array(own["by_year"]) * (age - model["reference_age"])
        + np.array(own["remainder"]) @ generator.standard_normal(len(own["mean"]))
    )
    return np.clip(betas, -2.5, 2.5)


def shape_by_person() -> dict[str, Any]:
    """The fitted model. Raises HandModelError when the file is missing or damaged."""
    return _read_model(SHAPE_BY_PERSON)


@lru_cache(maxsize=1)
def _read_model(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HandModelError(f"{path} cannot be read ({error}): install PALM Hands again") from error
