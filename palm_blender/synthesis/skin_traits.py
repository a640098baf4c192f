"""What one person's skin is like: its pigment and blood, and how much of everything else there is. NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .skin_drawings import SpotCounts
from .skin_optics import melanin_for

TONE_ANGLES = {"light": (41.0, 52.0), "medium": (28.0, 41.0), "tan": (10.0, 28.0), "dark": (-55.0, 10.0)}
"""Typology angle in degrees of the back of the hand by PALM's four tones: light, intermediate, tan; brown and dark in one."""


class SkinTraits(NamedTuple):
    """Everything that a person's maps follow from."""

    angle: float
    """typology angle of the back of the hand, degrees"""
    melanin: float
    """of the back of the hand (`skin_optics.Composition`)"""
    blood: float
    oxygenation: float
    ruddiness: float
    """multiple of the usual redness of knuckles, tips and blotches"""
    mottling: float
    """multiple of the usual unevenness of pigment"""
    veins: float
    """0 none to 1 prominent"""
    wrinkles: float
    """0 smooth to 1 deeply wrinkled"""
    fine_lines: float
    """multiple of the usual number of fine creases in the palm"""
    dryness: float
    """-1 moist to 1 dry"""
    spots: SpotCounts
    nail_length: float
    """0 cut short to 1 long"""
    polish: float
    """gloss of the nails, 0 matt to 1 polished"""
    seed: int
    """of everything that is drawn"""


def sample_traits(tone: str, age: float, female: bool, seed: int) -> SkinTraits:
    """A skin for a person. tone: a key of TONE_ANGLES; age in years. Raises ValueError for an unknown tone."""
    if tone not in TONE_ANGLES:
        raise ValueError(f"skin tone {tone!r} is none of {', '.join(TONE_ANGLES)}")
    generator = np.random.default_rng([seed, 0x5CA1])
    uniform, normal = generator.uniform(size=12), generator.normal(size=4)
    low, high = TONE_ANGLES[tone]
    angle = low + uniform[0] * (high - low)
    light = tone in ("light", "medium")
    # The mean gives a* of 9 to 10 on medium skin; to be light at all, skin must hold little blood (the hand at rest).
    blood = float(np.clip(0.0095 * np.exp(0.22 * normal[0]), 0.006, 0.015 if tone != "light" else 0.009))
    oxygenation = 0.65 + 0.2 * uniform[1]
    years = np.clip((age - 20) / 50, 0, 1)
    freckles = int(generator.gamma(0.9, 60 if tone == "light" else 25)) if light else int(generator.gamma(0.7, 8))
    age_spots = int(generator.poisson((150 if light else 90) * max(0.0, years - 0.4) ** 1.5))
    return SkinTraits(
        angle=float(angle),
        melanin=melanin_for(float(angle), blood, oxygenation),
        blood=blood,
        oxygenation=float(oxygenation),
        ruddiness=float(np.exp(0.3 * normal[1])),
        mottling=float(np.clip(np.exp(0.25 * normal[2]) * (0.8 + 0.4 * years), 0.5, 1.6)),
        veins=float(np.clip(0.1 + 0.3 * uniform[2] + (0.0 if female else 0.18) + 0.3 * years, 0, 1)),
        wrinkles=float(np.clip(0.12 + 0.75 * years**1.3 + 0.16 * (uniform[3] - 0.5), 0, 1)),
        fine_lines=float(0.6 + 0.8 * uniform[4] + 0.4 * years),
        dryness=float(np.clip(0.45 * normal[3] + 0.4 * years - 0.1, -1, 1)),
        spots=SpotCounts(min(freckles, 350), int(generator.poisson(1.6)), age_spots),
        nail_length=float(np.clip(uniform[5] * (0.9 if female else 0.45), 0, 1)),
        polish=float(uniform[6] ** 2 if female else 0.3 * uniform[6]),
        seed=int(generator.integers(2**31)),
    )
