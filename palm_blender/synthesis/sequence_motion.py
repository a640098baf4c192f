"""How a hand moves through a sequence: gestures of all kinds in a drawn order, while it turns to and fro. NumPy only."""

from __future__ import annotations

import numpy as np

from .contact import ContactTest
from .draws import Stream, draws
from .hand_shape import HandShape
from .placement import turned_upright
from .poses import freed_pose, gesture_sequence, load_gesture

KINDS = (
    ("spread", "flat", "stop", "vulcan", "fingers_together"),
    ("fist", "flat_fist", "thumbs_up", "hook_fist", "loose_fist", "thumb_hidden"),
    ("index_bent", "middle_bent", "ring_bent", "pinky_bent", "index_curled", "middle_curled", "ring_curled", "pinky_curled"),
    ("pinch", "ok", "pinch_middle", "pinch_ring", "pinch_pinky", "pinch_all", "key_pinch"),
    ("thumb_across", "thumb_bent", "thumb_out", "thumb_forward"),
    ("point", "victory", "claw", "cupped", "half_closed", "count_three", "bent_down", "grasp_ball", "love_you", "relaxed"),
)  # fmt: skip
"""Open hands, fists, single fingers, pinches, thumbs, and others: each is visited before any comes again."""
MOVE_FRAMES = 5
"""From one gesture to the next."""
TURN_DEG = (55.0, 20.0, 10.0)
"""Greatest yaw, pitch and roll from upright."""
PERIODS = ((23.0, 41.0), (17.0, 33.0), (19.0, 37.0))
"""Frames of the slower turns, for yaw, pitch and roll; each has a second turn half again as fast."""


def gestures_of(seed: int, index: int, count: int) -> list[str]:
    """`count` names for subject `index`; a longer list begins with the shorter one."""
    own = draws(seed, Stream.GESTURE, index)
    orders = [list(own.permutation(kind)) for kind in KINDS]
    names: list[str] = []
    while len(names) < count:
        for drawn in own.permutation(len(KINDS)):
            # the first gesture is an open hand
            kind = int(drawn) if names else 0
            turn = sum(name in KINDS[kind] for name in names)
            names.append(str(orders[kind][turn % len(orders[kind])]))
    return names[:count]


def hand_poses(shape: HandShape, test: ContactTest, seed: int, index: int, frames: int) -> np.ndarray:
    """[frames,45] of one smooth motion, within the joints' limits, freed of self-contact on this hand."""
    moves = max(1, -(-(frames - 1) // MOVE_FRAMES))
    gestures = [freed_pose(shape, test, load_gesture(name)) for name in gestures_of(seed, index, moves + 1)]
    return gesture_sequence(shape, test, np.stack(gestures), MOVE_FRAMES)[:frames]


def turns(seed: int, index: int, frames: int) -> np.ndarray:
    """[frames,3,3] from MANO's rest frame to the world: upright, then turned about all axes, smoothly."""
    own = draws(seed, Stream.TURN, index)
    time = np.arange(frames)
    angles = []
    for limit, (low, high) in zip(TURN_DEG, PERIODS, strict=True):
        period, first, second = own.uniform(low, high), *own.uniform(0, 2 * np.pi, 2)
        wave = 0.75 * np.sin(2 * np.pi * time / period + first) + 0.25 * np.sin(3 * np.pi * time / period + second)
        angles.append(np.deg2rad(limit) * wave)
    return np.stack([turned_upright(*frame) for frame in np.stack(angles, axis=1)])
