"""Functions of the pose that Blender's drivers can compute: products of hinge monomials of the joints' quaternions.

A joint's rotation, a unit quaternion (w, v), has about a unit axis a the component h = v·a; for a turn by θ about that axis
w = cos(θ/2) and h = sin(θ/2). A hinge is w^p h^q with p + q even, so that a quaternion and its negative mean the same: MANO's
own pose features are those with p + q = 2, and wh³, h⁴ … are what bending adds to them. NumPy only: Blender's Python evaluates
them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_FACTORS = 2
HIGHEST_POWER = 8
UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Hinge:
    """w^w_power (v·axis)^h_power of one joint's quaternion (w, v)."""

    joint: int
    """1 to 15, MANO's order."""
    axis: tuple[float, float, float]
    """Unit, in the rest frame's axes."""
    w_power: int
    h_power: int
    """≥ 1."""

    @property
    def signed(self) -> bool:
        """Whether it can be negative."""
        return bool(self.w_power % 2 or self.h_power % 2)


Term = tuple[Hinge, ...]
"""A product of hinges, at most MOST_FACTORS of different joints."""


def fault_in(term: Term) -> str | None:
    """What is wrong with a term, None where nothing is."""
    if not 1 <= len(term) <= MOST_FACTORS:
        return f"has {len(term)} factors, not 1 to {MOST_FACTORS}"
    if len({hinge.joint for hinge in term}) < len(term):
        return "names a joint twice"
    return next((fault for hinge in term if (fault := _fault_in_hinge(hinge)) is not None), None)


def _fault_in_hinge(hinge: Hinge) -> str | None:
    if not 1 <= hinge.joint <= 15:
        return f"is of joint {hinge.joint}, not of 1 to 15"
    if not (0 <= hinge.w_power <= HIGHEST_POWER and 1 <= hinge.h_power <= HIGHEST_POWER):
        return f"has powers {hinge.w_power} and {hinge.h_power}, not 0 and 1 to {HIGHEST_POWER}"
    if (hinge.w_power + hinge.h_power) % 2:
        return "changes its sign with its quaternion's"
    if not abs(float(np.linalg.norm(hinge.axis)) - 1) < UNIT_TOLERANCE:
        return "has an axis that is not of length 1"
    return None


def is_signed(term: Term) -> bool:
    """Whether a term can be negative; all lie in [-1,1]."""
    return any(hinge.signed for hinge in term)


def evaluate_terms(terms: Sequence[Term], hand_pose: np.ndarray) -> np.ndarray:
    """The terms' values [*,C] at poses [*,45], axis-angle radians."""
    quaternions = joint_quaternions(hand_pose)
    values = np.ones((*quaternions.shape[:-2], len(terms)))
    for column, term in enumerate(terms):
        for hinge in term:
            quaternion = quaternions[..., hinge.joint - 1, :]
            along = quaternion[..., 1:] @ np.asarray(hinge.axis, dtype=float)
            values[..., column] *= quaternion[..., 0] ** hinge.w_power * along**hinge.h_power
    return values


def joint_quaternions(hand_pose: np.ndarray) -> np.ndarray:
    """Unit quaternions (w, x, y, z) [*,15,4] of hand poses [*,45]."""
    axis_angle = np.asarray(hand_pose, dtype=float).reshape(*np.shape(hand_pose)[:-1], 15, 3)
    angle = np.linalg.norm(axis_angle, axis=-1, keepdims=True)
    # sin(a/2)/a by NumPy's sinc, which is exact at 0
    return np.concatenate([np.cos(angle / 2), 0.5 * np.sinc(angle / (2 * np.pi)) * axis_angle], axis=-1)


def mirrored_term(term: Term) -> Term:
    """The term that has at the mirrored pose of the other hand (mirror plane X = 0) what `term` has at the pose."""
    return tuple(
        Hinge(hinge.joint, (hinge.axis[0], -hinge.axis[1], -hinge.axis[2]), hinge.w_power, hinge.h_power)
        for hinge in term
    )


def terms_to_rows(terms: Sequence[Term]) -> np.ndarray:
    """Terms as plain numbers [C, 6 MOST_FACTORS]: for each factor joint (0: none), axis, both powers."""
    rows = np.zeros((len(terms), MOST_FACTORS, 6))
    for row, term in zip(rows, terms, strict=True):
        for place, hinge in zip(row, term, strict=False):
            place[:] = (hinge.joint, *hinge.axis, hinge.w_power, hinge.h_power)
    return rows.reshape(len(terms), 6 * MOST_FACTORS)


def terms_from_rows(rows: np.ndarray) -> tuple[Term, ...]:
    """The inverse of `terms_to_rows`; unchecked (`fault_in`), but for numbers that are no whole ones: ValueError."""
    terms = []
    for row in np.asarray(rows, dtype=float).reshape(-1, MOST_FACTORS, 6):
        whole = row[:, (0, 4, 5)]
        if not np.array_equal(whole, np.round(whole)):
            raise ValueError("joints and powers must be whole numbers")
        terms.append(tuple(Hinge(int(r[0]), (r[1], r[2], r[3]), int(r[4]), int(r[5])) for r in row.tolist() if r[0]))
    return tuple(terms)
