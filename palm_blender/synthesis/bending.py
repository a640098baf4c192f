"""How strongly a hand's flesh and skin answer to the angles of its joints: amounts, about 0 to 1. NumPy only.

What an amount of 1 looks like on the surface is `tissue`'s. Joints count from 0 here as MANO's finger joints 1 to 15 do from
1; angles are the components of `hand_shape.joint_angles`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FLEX, ABDUCT = 0, 1
"""Columns of a joint's angles."""
FINGER_ROOTS = (0, 3, 9, 6)
"""First joints of index, middle, ring and little finger, from the thumb's side outward."""
THUMB = (12, 13, 14)


class Bending(NamedTuple):
    """Amounts of one pose."""

    fold: np.ndarray
    """[15] folds on the back of a joint: 1 straight, 0 once the skin is stretched"""
    crease: np.ndarray
    """[15] lines on the palm side of a joint: a third straight, 1 bent"""
    knuckle: np.ndarray
    """[15] bone that comes out on the back of a joint: 0 straight, 1 bent"""
    blanch: np.ndarray
    """[15] blood pressed out of the skin over a joint: 0 but for well bent ones"""
    pad: np.ndarray
    """[10] swelling on the palm side of each finger's first phalanx, then of each one's second, fingers in MANO's order"""
    cushion: np.ndarray
    """[4] swelling of the palm before each of FINGER_ROOTS"""
    mound: np.ndarray
    """[2] the thumb's ball, the little finger's ball"""
    line: np.ndarray
    """[2] the palm's lines across it, the line around the thumb's ball: a third flat, 1 in a fist"""
    web: np.ndarray
    """[4] stretching of the skin between thumb and index, then between each two of FINGER_ROOTS"""
    tendon: np.ndarray
    """[4] extensor tendons to FINGER_ROOTS that stand out as these are lifted"""


def ramp(angle: np.ndarray, start_deg: float, end_deg: float) -> np.ndarray:
    """0 up to one angle, 1 from the other on, smooth between (3t² - 2t³). angle in radians; the ends in degrees."""
    share = np.clip((np.rad2deg(angle) - start_deg) / (end_deg - start_deg), 0.0, 1.0)
    return share * share * (3 - 2 * share)


def bending(angles: np.ndarray) -> Bending:
    """Amounts at joint angles [15,3] in radians."""
    flexion = np.asarray(angles, dtype=float)[:, FLEX]
    first, second, third = flexion[0::3], flexion[1::3], flexion[2::3]
    # a thumb's second joint is its knuckle, its third one bends like a finger's second
    roots = list(FINGER_ROOTS)
    thumb_in = 0.55 * ramp(flexion[THUMB[0]], -5, 45) + 0.45 * ramp(flexion[THUMB[1]], 0, 50)
    grip = ramp(flexion[roots], 5, 85)
    return Bending(
        fold=1.0 - ramp(flexion, -8, 58),
        crease=1 / 3 + 2 / 3 * ramp(flexion, 5, 85),
        knuckle=ramp(flexion, 10, 90),
        blanch=ramp(flexion, 40, 95),
        pad=np.concatenate(
            [0.4 * ramp(first, 15, 85) + 0.6 * ramp(second, 15, 100), 0.6 * ramp(second, 15, 100) + 0.4 * ramp(third, 10, 75)]
        ),
        cushion=ramp(flexion[roots], 10, 85),
        mound=np.array([thumb_in, ramp(flexion[roots[3]], 10, 85)]),
        line=np.array([1 / 3 + 2 / 3 * grip.mean(), 1 / 3 + 2 / 3 * thumb_in]),
        web=_webs(np.asarray(angles, dtype=float)),
        tendon=1.0 - ramp(flexion[roots], -14, 6),
    )  # fmt: skip


def _webs(angles: np.ndarray) -> np.ndarray:
    """[4] 1 where neighbouring fingers are spread wide, 0 side by side."""
    # abduction turns a finger towards the thumb
    aside = angles[list(FINGER_ROOTS), ABDUCT]
    return np.concatenate([[1.0 - ramp(angles[THUMB[0], FLEX], -22, 15)], ramp(aside[:-1] - aside[1:], 4, 30)])
