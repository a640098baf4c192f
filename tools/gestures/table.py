"""The named gestures as joint angles in degrees, to be read and edited; `build.py` makes the pose files of them.

A finger is (knuckle, middle joint, end joint, aside): how far each joint bends towards the palm, and how far the knuckle
leans towards the thumb's side. The thumb is (base, middle joint, end joint), the base as (across, away, turn): across the
palm, away from the palm's plane, turned towards the fingers (opposition). Where nothing is said a finger is straight.
`touch` names places (see `settle.py`) that meet: the joints move from the table by as little as that takes.
"""

from __future__ import annotations

from typing import NamedTuple

Finger = tuple[float, float, float, float]
Thumb = tuple[tuple[float, float, float], float, float]


class Gesture(NamedTuple):
    """One gesture. Degrees."""

    thumb: Thumb = ((0, 0, 0), 0, 0)
    index: Finger = (0, 0, 0, 0)
    middle: Finger = (0, 0, 0, 0)
    ring: Finger = (0, 0, 0, 0)
    pinky: Finger = (0, 0, 0, 0)
    touch: tuple[tuple[str, str], ...] = ()


BESIDE: Thumb = ((27, -20, 0), 8, 4)
"""Along the index finger's side."""
EASY: Thumb = ((8, 12, 25), 8, 12)
OUT: Thumb = ((-14, 4, 0), -6, -8)
FOLDED: Thumb = ((40, 30, 45), 35, 35)
"""Over the closed fingers."""
ACROSS: Thumb = ((44, 26, 50), 40, 45)
"""Over the palm, the fingers open."""
OPPOSED: Thumb = ((30, 38, 50), 10, 12)

INDEX_DOWN: Finger = (80, 101, 64, -3)
MIDDLE_DOWN: Finger = (82, 102, 66, 0)
RING_DOWN: Finger = (82, 102, 66, 2)
PINKY_DOWN: Finger = (82, 98, 62, 5)
DOWN = {"index": INDEX_DOWN, "middle": MIDDLE_DOWN, "ring": RING_DOWN, "pinky": PINKY_DOWN}
CLOSED = {"index": (0, 2, 2, -6), "middle": (0, 2, 2, 0), "ring": (0, 2, 2, 7), "pinky": (0, 2, 2, 15)}
"""Straight and side by side."""
OVER_MIDDLE = (("thumb_pad", "middle_back"),)


def fingers(base: dict[str, Finger], **other: Finger) -> dict[str, Finger]:
    """A set of fingers with some of them exchanged."""
    return {**base, **other}


GESTURES: dict[str, Gesture] = {
    # open hands
    "flat": Gesture(),
    "relaxed": Gesture(((8, 12, 25), 8, 12), (18, 24, 12, 0), (24, 30, 15, 2), (28, 34, 18, 4), (30, 34, 20, 8)),
    "spread": Gesture(OUT, (-6, 0, 0, 14), (-6, 0, 0, 2), (-6, 0, 0, -9), (-6, 0, 0, -18)),
    "fingers_together": Gesture(BESIDE, **CLOSED),
    "stop": Gesture(((-6, 6, 0), -4, -4), (-14, -2, 0, -2), (-16, -2, 0, 0), (-16, -2, 0, 2), (-14, -2, 0, 5)),
    "cupped": Gesture(((20, 22, 30), 12, 10), (38, 24, 12, -6), (40, 26, 12, 0), (42, 26, 12, 5), (44, 26, 12, 11)),
    "claw": Gesture(((-4, 24, 20), 14, 40), (-8, 62, 42, 10), (-8, 64, 44, 2), (-8, 62, 44, -7), (-8, 60, 42, -16)),
    "bent_down": Gesture(EASY, (78, 4, 2, -3), (80, 4, 2, 0), (80, 4, 2, 1), (78, 4, 2, 2)),
    "vulcan": Gesture(OUT, (0, 2, 2, -1), (0, 2, 2, 11), (0, 2, 2, -14), (0, 2, 2, 3)),
    # closing to a fist
    "half_closed": Gesture(((14, 22, 30), 14, 20), (40, 50, 26, -2), (44, 54, 28, 0), (46, 56, 30, 2), (48, 54, 30, 4)),
    "loose_fist": Gesture(((28, 24, 34), 26, 26), (64, 80, 40, -3), (68, 84, 42, 0), (70, 84, 44, 2), (70, 80, 42, 5)),
    "fist": Gesture(FOLDED, **DOWN, touch=OVER_MIDDLE),
    "flat_fist": Gesture(BESIDE, (70, 92, 4, -3), (68, 94, 4, 0), (70, 94, 4, 2), (72, 90, 4, 5)),
    "hook_fist": Gesture(BESIDE, (0, 98, 66, -2), (0, 100, 68, 0), (0, 100, 68, 3), (0, 96, 66, 6)),
    "thumb_hidden": Gesture(ACROSS, (54, 70, 40, -3), (56, 74, 42, 0), (58, 74, 42, 2), (60, 72, 40, 5)),
    # counting
    "thumbs_up": Gesture(((-20, -4, 0), -8, -14), **DOWN),
    "point": Gesture(FOLDED, **fingers(DOWN, index=(4, 3, 2, 0)), touch=OVER_MIDDLE),
    "count_two": Gesture(
        FOLDED, **fingers(DOWN, index=(2, 2, 1, -3), middle=(2, 2, 1, 2)), touch=(("thumb_pad", "ring_back"),)
    ),
    "count_three": Gesture(
        ACROSS, (0, 2, 1, 9), (0, 2, 1, 2), (0, 4, 2, -6), (74, 88, 48, 4), touch=(("thumb_pad", "pinky_back"),)
    ),
    "count_four": Gesture(ACROSS, (0, 0, 0, 8), (0, 0, 0, 2), (0, 0, 0, -5), (0, 0, 0, -13)),
    "thumb_and_index": Gesture(OUT, **fingers(DOWN, index=(0, 2, 2, 4))),
    "thumb_and_two": Gesture(OUT, **fingers(DOWN, index=(0, 2, 2, 10), middle=(0, 2, 2, 0))),
    # signs
    "victory": Gesture(
        FOLDED, **fingers(DOWN, index=(2, 2, 1, 13), middle=(2, 2, 1, -8)), touch=(("thumb_pad", "ring_back"),)
    ),
    "ok": Gesture(
        OPPOSED, (52, 46, 18, 0), (14, 16, 8, 2), (4, 10, 6, -4), (-4, 6, 4, -14), touch=(("thumb_pad", "index_pad"),)
    ),
    "horns": Gesture(FOLDED, **fingers(DOWN, index=(0, 2, 1, 2), pinky=(0, 4, 2, -8)), touch=OVER_MIDDLE),
    "love_you": Gesture(OUT, **fingers(DOWN, index=(0, 2, 1, 6), pinky=(0, 4, 2, -12))),
    "call_me": Gesture(OUT, **fingers(DOWN, pinky=(-4, 2, 2, -18))),
    "pinky_promise": Gesture(FOLDED, **fingers(DOWN, pinky=(8, 6, 4, -6)), touch=OVER_MIDDLE),
    "beckon": Gesture(FOLDED, **fingers(DOWN, index=(24, 62, 34, 0)), touch=OVER_MIDDLE),
    # pinches
    "pinch": Gesture(
        OPPOSED, (54, 46, 19, 0), (38, 34, 18, 2), (30, 30, 16, 3), (26, 26, 14, 4), touch=(("thumb_pad", "index_pad"),)
    ),
    "pinch_middle": Gesture(
        OPPOSED, (12, 14, 8, 8), (56, 50, 22, 4), (34, 34, 18, 0), (22, 24, 12, -2), touch=(("thumb_tip", "middle_tip"),)
    ),
    "pinch_ring": Gesture(
        ((40, 36, 58), 22, 16), (6, 10, 6, 5), (14, 16, 10, 6), (62, 54, 24, 6), (30, 30, 14, 0),
        touch=(("thumb_tip", "ring_tip"),),
    ),
    "pinch_pinky": Gesture(
        ((46, 32, 58), 36, 24), (4, 8, 4, 6), (8, 12, 6, 4), (22, 24, 14, 6), (68, 56, 26, 10),
        touch=(("thumb_tip", "pinky_tip"),),
    ),
    "pinch_three": Gesture(
        OPPOSED, (54, 44, 16, -3), (58, 44, 16, 4), (36, 40, 20, -2), (32, 36, 20, -2),
        touch=(("thumb_pad", "index_pad"), ("thumb_pad", "middle_pad")),
    ),
    "pinch_all": Gesture(
        OPPOSED, (56, 38, 12, -6), (62, 34, 10, 0), (64, 36, 12, 6), (66, 38, 14, 12),
        touch=(("thumb_pad", "index_pad"), ("thumb_pad", "middle_pad"), ("thumb_pad", "ring_pad")),
    ),
    "key_pinch": Gesture(
        ((16, 4, 24), 20, 14), (50, 66, 30, -2), (56, 72, 34, 0), (60, 76, 36, 2), (62, 74, 36, 5),
        touch=(("thumb_pad", "index_side"),),
    ),
    # one finger at a time
    "index_bent": Gesture(**fingers(CLOSED, index=(74, 14, 6, -2))),
    "middle_bent": Gesture(**fingers(CLOSED, index=(0, 2, 2, 4), middle=(72, 14, 6, 2), ring=(8, 6, 4, 0))),
    "ring_bent": Gesture(**fingers(CLOSED, middle=(6, 4, 3, 2), ring=(68, 16, 8, 4), pinky=(16, 10, 6, 2))),
    "pinky_bent": Gesture(**fingers(CLOSED, ring=(10, 6, 4, 2), pinky=(70, 18, 8, 6))),
    "index_curled": Gesture(**fingers(CLOSED, index=(40, 92, 52, 0))),
    "middle_curled": Gesture(**fingers(CLOSED, index=(2, 2, 2, 5), middle=(42, 92, 52, 2), ring=(10, 8, 4, -2))),
    "ring_curled": Gesture(**fingers(CLOSED, middle=(8, 6, 4, 4), ring=(46, 90, 50, 3), pinky=(20, 14, 8, -4))),
    "pinky_curled": Gesture(**fingers(CLOSED, ring=(12, 8, 4, 4), pinky=(48, 88, 48, 8))),
    "thumb_out": Gesture(((-22, -2, 0), -8, -12)),
    "thumb_forward": Gesture(((4, 42, 20), 4, 4)),
    "thumb_across": Gesture(ACROSS),
    "thumb_bent": Gesture(((2, 6, 8), 34, 52)),
    # grasps
    "grasp_bottle": Gesture(((18, 40, 42), 14, 22), (36, 42, 24, 4), (38, 44, 26, 1), (42, 46, 28, 0), (46, 44, 28, 0)),
    "grasp_bar": Gesture(((24, 34, 44), 28, 34), (58, 62, 36, -1), (60, 66, 38, 0), (62, 68, 38, 2), (64, 66, 38, 4)),
    "grasp_ball": Gesture(((4, 42, 44), 10, 18), (24, 34, 20, 12), (26, 36, 20, 2), (26, 36, 20, -8), (26, 34, 20, -18)),
    "grasp_disc": Gesture(((-2, 36, 36), 10, 24), (8, 38, 26, 16), (8, 40, 28, 3), (8, 40, 28, -9), (8, 38, 26, -20)),
    "grasp_bag": Gesture(EASY, (16, 84, 40, 0), (18, 86, 42, 1), (20, 86, 42, 3), (22, 82, 40, 6)),
    "grasp_plate": Gesture(((10, 40, 48), 4, 6), (46, 6, 4, 0), (48, 6, 4, 1), (48, 6, 4, 3), (48, 6, 4, 6)),
    "hold_pen": Gesture(
        OPPOSED, (48, 44, 16, -2), (56, 58, 24, 0), (60, 66, 32, 2), (60, 64, 34, 4), touch=(("thumb_pad", "index_pad"),)
    ),
    "hold_mouse": Gesture(((-2, 14, 16), 8, 14), (20, 26, 14, 4), (22, 28, 14, 1), (26, 32, 16, -4), (28, 32, 16, -10)),
    "typing": Gesture(((2, 14, 14), 6, 10), (24, 42, 20, 4), (22, 46, 22, 1), (24, 46, 22, -3), (28, 40, 20, -8)),
}  # fmt: skip
