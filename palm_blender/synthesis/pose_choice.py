"""Which poses a person of a cohort takes: gestures in an order of their own, random poses between, variants after. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...engine.errors import InputError
from ...engine.hand.pose_files import PoseSequence, load_pose_file
from ..pose_sequences import for_side
from .contact import ContactTest, contact_test
from .draws import Stream, draws
from .hand_shape import HandShape, hand_pose_of, joint_angles, load_hand_shape, within_limits
from .poses import freed_pose, gesture_names, load_gesture, random_pose

RANDOM_EVERY = 6
"""Every sixth pose is drawn at random."""
VARIANT_DEG = 9.0
"""Standard deviation of a variant's finger bends from the gesture's; joints by themselves vary by half of it."""


@lru_cache(maxsize=1)
def hand_contact() -> ContactTest:
    """The open hand's, whatever the betas."""
    return contact_test(load_hand_shape())


@lru_cache(maxsize=1)
def _gestures() -> tuple[np.ndarray, ...]:
    return tuple(load_gesture(name) for name in gesture_names())


def chosen_poses(shape: HandShape, seed: int, index: int, count: int) -> list[np.ndarray]:
    """`count` poses [45] of subject `index`, freed of self-penetration on this hand.

    Pose k does not depend on `count`: a larger set of the same seed begins with the smaller one.
    """
    order = draws(seed, Stream.ORDER, index).permutation(len(_gestures()))
    return [_pose(shape, seed, index, place, order) for place in range(count)]


def _pose(shape: HandShape, seed: int, index: int, place: int, order: np.ndarray) -> np.ndarray:
    own = draws(seed, Stream.POSE, index, place)
    if place % RANDOM_EVERY == RANDOM_EVERY - 1:
        return random_pose(shape, hand_contact(), own)
    turn = place - place // RANDOM_EVERY
    pose = _gestures()[order[turn % len(order)]]
    if turn >= len(order):
        pose = _variant(shape, pose, own)
    return freed_pose(shape, hand_contact(), pose)


def _variant(shape: HandShape, pose: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A pose near a gesture: each finger bends more or less as a whole, its joints a little by themselves."""
    angles = joint_angles(shape, pose)
    bend = np.repeat(generator.standard_normal(5), 3)
    angles[:, 0] += np.deg2rad(VARIANT_DEG) * bend
    angles += np.deg2rad(VARIANT_DEG / 2) * generator.standard_normal((15, 3)) * np.array([1.0, 0.5, 0.3])
    return within_limits(shape, hand_pose_of(shape, angles))


def poses_of_file(path: Path, side: str = "right") -> PoseSequence:
    """The user's own poses for a hand of this side; read once as long as the file is not changed. Raises PoseFileError."""
    try:
        stamp = path.stat()
    except OSError:  # the reader says what is wrong
        return for_side(load_pose_file(path), side)
    return _poses_of_file(path, side, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=4)
def _poses_of_file(path: Path, side: str, changed: int, size: int) -> PoseSequence:
    return for_side(load_pose_file(path), side)


def spread(available: int, wanted: int, what: str) -> list[int]:
    """Indices of `wanted` frames spread evenly from the first on. Raises InputError where there are fewer."""
    if wanted > available:
        raise InputError(f"{what} is too short for {wanted} poses: give --frames {available} or fewer")
    return [place * available // wanted for place in range(wanted)]


def freed(shape: HandShape, poses: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The same poses [45] where this hand does not sink into itself, else ones near them."""
    return [freed_pose(shape, hand_contact(), np.asarray(pose, dtype=float)) for pose in poses]
