"""What bending does to a hand's surface: a displacement along its normal, linear in the amounts of `bending`. NumPy only.

Sizes are those of an adult's hand: swellings of 1 to 3 mm, folds and creases of 0.2 to 0.6 mm, and a shape of the person's
own of 1 to 2 mm that no ten coefficients describe. All fields are drawn on the rest hand at betas = 0, so that they follow
the surface whatever the betas.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .bending import FINGER_ROOTS, THUMB, Bending
from .skin_creases import CREASED, WRINKLED, back_of, joint_creases, on_the_back
from .skin_noise import Noise, octaves, smooth_noise
from .skin_patterns import SkinModel
from .skin_regions import HandSurface, SkinPoints, bone_ends, finger_membership, joint_axis, nails, squared_length

OWN_SHAPE_M = (0.75e-3, 0.35e-3)
"""Deviations of the personal shape's two octaves, of 40 and 20 mm."""
OWN_SHAPE_LIMIT_M = 2e-3
FOLD_SIZES = ((0.0088, 0.00235, 5.2e-4), (0.0046, 0.00185, 3.0e-4))
"""Reach, spacing and depth of folds at middle and at end joints: every second or third of the fine wrinkles is one."""
CREASE_M = (4.5e-4, 5.5e-4, 4.0e-4)
"""Depth of the lines on the palm side of a finger's first, middle and last joint, bent."""
CREASE_WIDTH_M = 6e-4
"""Half the width of the narrowest crease that the mesh shows; finer ones are in the normal map."""
KNUCKLE_M = (2.1e-3, 1.1e-3, 0.6e-3)
THUMB_KNUCKLE_M = (0.0, 1.5e-3, 0.9e-3)
PAD_M = (2.0e-3, 1.4e-3)
CUSHION_M = 1.8e-3
MOUND_M = (3.0e-3, 1.9e-3)
LINE_M = 6e-4
WEB_M = (-1.5e-3, -1.0e-3, -1.0e-3, -1.0e-3)
TENDON_M = 0.7e-3
RIM_M = (0.002, 0.010)
"""From the wrist's lid: nothing moves up to the first distance, everything beyond the second."""


class Tissue(NamedTuple):
    """Fields of one person's hand at N points, metres along the normal at an amount of 1; rows as in `Bending`."""

    own: np.ndarray
    """[N] the person's shape, whatever the pose"""
    fold: np.ndarray
    crease: np.ndarray
    knuckle: np.ndarray
    pad: np.ndarray
    cushion: np.ndarray
    mound: np.ndarray
    line: np.ndarray
    web: np.ndarray
    tendon: np.ndarray


def displacement(tissue: Tissue, amounts: Bending) -> np.ndarray:
    """[N] metres along the rest surface's normal: the person's own shape and every field times its amount."""
    total = tissue.own.copy()
    for name, field in tissue._asdict().items():
        if name != "own":
            total += getattr(amounts, name).astype(np.float32) @ field
    return total


def tissue_of(skin: SkinModel, points: SkinPoints) -> Tissue:
    """One person's fields at points of the hand."""
    hand, noise = skin.hand, skin.noise
    plate = nails(skin.frames, points, 5e-4).plate
    anchored = _from_the_wrist(hand, points)
    bare = anchored * (1 - plate)
    fields = {
        "fold": _folds(hand, points, noise),
        "crease": _creases(hand, points, noise),
        "knuckle": _knuckles(hand, points),
        "pad": _pads(hand, points),
        "cushion": _cushions(hand, points),
        "mound": _mounds(hand, points),
        "line": _lines(skin, points),
        "web": _webs(hand, points),
        "tendon": _tendons(hand, points),
    }
    own = octaves(noise, points.position, (0.040, 0.020), OWN_SHAPE_M, 60)
    own = OWN_SHAPE_LIMIT_M * np.tanh(own / OWN_SHAPE_LIMIT_M) * anchored * (1 - 0.6 * plate)
    return Tissue(own.astype(np.float32), **{name: (bare * field).astype(np.float32) for name, field in fields.items()})


def _from_the_wrist(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[N] 0 at the wrist's lid, 1 a centimetre on."""
    share = np.clip((hand.vertices[:, 0].max() - points.position[:, 0] - RIM_M[0]) / (RIM_M[1] - RIM_M[0]), 0, 1)
    return share * share * (3 - 2 * share)


def _bell(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((distance / width) ** 2))


class _Place(NamedTuple):
    """How points lie about a finger joint, metres; [N] each."""

    along: np.ndarray
    """towards the tip, along the bone that begins there"""
    across: np.ndarray
    height: np.ndarray
    """towards the finger's back"""
    finger: np.ndarray
    """in [0,1], how much a point is the finger's"""

    def back(self) -> np.ndarray:
        """[N] 1 on the finger's back, 0 on its palm side."""
        return _half(self.height, self.across)

    def front(self) -> np.ndarray:
        return _half(-self.height, self.across)


def _half(height: np.ndarray, across: np.ndarray) -> np.ndarray:
    share = np.clip(0.3 + height / np.maximum(np.hypot(height, across), 1e-6), 0, 1)
    return share * share * (3 - 2 * share)


def _about(hand: HandSurface, points: SkinPoints, joint: int, axis: np.ndarray | None = None) -> _Place:
    """axis: along the finger; that of the bone where none is given."""
    if axis is None:
        start, end = bone_ends(hand, joint)
        axis = (end - start) / np.linalg.norm(end - start)
    back = back_of(hand, joint)
    back = back - (back @ axis) * axis
    back /= np.linalg.norm(back)
    offset = points.position - hand.joints[joint]
    finger = np.clip((finger_membership(points, joint) - 0.25) / 0.5, 0, 1)
    return _Place(offset @ axis, offset @ np.cross(axis, back), offset @ back, finger)


def _length(hand: HandSurface, joint: int) -> float:
    start, end = bone_ends(hand, joint)
    return float(np.linalg.norm(end - start))


def _folds(hand: HandSurface, points: SkinPoints, noise: Noise) -> np.ndarray:
    """[15,N] loose skin in furrows of unequal depth that bow around the joint, with a slight swelling that carries them."""
    fields = np.zeros((15, len(points.palm)), np.float32)
    for joint in WRINKLED:
        reach, spacing, depth = FOLD_SIZES[(joint - 1) % 3 == 2]
        near, along, across = on_the_back(hand, points, joint, 3.0 * reach)
        position = points.position[near]
        wobble = 5.0e-4 * smooth_noise(noise, position, 0.0045, 46) + 6.0e-4 * smooth_noise(noise, position, 0.010, 47)
        bowed = np.sign(along) * np.hypot(along, 0.17 * across) + wobble * (0.5 + np.abs(along) / reach)
        phase = bowed / (spacing * (0.85 + 0.4 * np.abs(bowed) / reach))
        number = np.round(phase)
        furrow = np.exp(-(((phase - number) / 0.24) ** 2))
        # every furrow is as deep as it happens to be, and not everywhere along itself
        rank = np.stack([number * 0.37 + joint, 0 * number, 0 * number], axis=1).astype(np.float32)
        strength = np.clip(0.72 + 0.30 * smooth_noise(noise, rank, 1.0, 48), 0.25, 1.1)
        strength *= np.clip(0.85 + 0.30 * smooth_noise(noise, position, 0.005, 49), 0.3, 1.2)
        fade = _bell(along, 0.72 * reach) * np.exp(-((across / 0.0075) ** 4))
        finger = np.clip((finger_membership(points, joint)[near] - 0.4) / 0.3, 0, 1)
        back = np.clip((0.6 - points.palm[near]) / 0.4, 0, 1)
        fields[joint - 1, near] = depth * finger * back * fade * (0.45 - furrow * strength)
    return fields


def _creases(hand: HandSurface, points: SkinPoints, noise: Noise) -> np.ndarray:
    """[15,N] the lines across the palm side of the fingers, where the albedo has them."""
    fields = np.zeros((15, len(points.palm)), np.float32)
    broken = 0.85 + 0.15 * smooth_noise(noise, points.position, 0.003, 45)
    for joint in CREASED:
        near, lines = joint_creases(hand, points, noise, joint, CREASE_WIDTH_M)
        fields[joint - 1, near] = -CREASE_M[(joint - 1) % 3] * np.clip(lines, 0, 1.1) * np.clip(broken[near], 0.4, 1)
    return fields


def _knuckles(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[15,N] heads of bones under stretched skin; between the fingers' roots the skin sinks in."""
    fields = np.zeros((15, len(points.palm)), np.float32)
    for joint in CREASED:
        rank = (joint - 1) % 3
        height = (KNUCKLE_M if joint < 13 else THUMB_KNUCKLE_M)[rank]
        place = _about(hand, points, joint, joint_axis(hand, joint))
        if rank == 0:
            # the back of the hand belongs to no finger
            head = _bell(place.along - 0.001, 0.0085) * (
                1.25 * _bell(place.across, 0.0058) - 0.35 * _bell(place.across, 0.0105)
            )
            fields[joint - 1] = height * head * np.clip(1 - 2 * points.palm, 0, 1)
        else:
            head = np.exp(-((place.along / 0.0068) ** 4)) * np.exp(-((place.across / 0.0070) ** 4))
            fields[joint - 1] = height * head * place.back() * place.finger
    return fields


def _pads(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[10,N] flesh pressed out on the palm side of the first and the second phalanges."""
    fields = np.zeros((10, len(points.palm)), np.float32)
    for phalanx in range(2):
        for finger in range(5):
            joint = 3 * finger + 1 + phalanx
            place, length = _about(hand, points, joint), _length(hand, joint)
            middle = 0.62 if phalanx == 0 and joint < 13 else 0.5
            swelling = np.exp(-(np.abs((place.along / length - middle) / 0.27) ** 3)) * place.front() * place.finger
            # the thumb's first phalanx lies in its ball
            fields[5 * phalanx + finger] = PAD_M[phalanx] * swelling * (0.0 if joint == THUMB[0] + 1 else 1.0)
    return fields


def _cushions(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[4,N] the palm's swellings before the fingers' roots."""
    fields = np.zeros((4, len(points.palm)), np.float32)
    for row, root in enumerate(FINGER_ROOTS):
        place = _about(hand, points, root + 1)
        fields[row] = CUSHION_M * _bell(place.along - 0.002, 0.0085) * _bell(place.across, 0.0085) * points.palm
    return fields


def _mounds(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[2,N] the balls of the thumb and of the little finger."""
    joints = hand.joints
    ball = _around_segment(points, joints[13], 0.25 * joints[13] + 0.75 * joints[14], 0.0155)
    edge = _around_segment(points, 0.75 * joints[0] + 0.25 * joints[7], 0.3 * joints[0] + 0.7 * joints[7], 0.015)
    return np.stack([MOUND_M[0] * ball, MOUND_M[1] * edge]) * np.clip(1.3 * points.palm, 0, 1)


def _around_segment(points: SkinPoints, start: np.ndarray, end: np.ndarray, width: float) -> np.ndarray:
    """[N] a bell about a segment, as it is seen from above the palm."""
    place, step = (points.position - start)[:, [0, 2]], (end - start)[[0, 2]]
    share = np.clip(place @ step / (step @ step), 0, 1)
    return np.exp(-squared_length(place - share[:, None] * step) / width**2)


def _lines(skin: SkinModel, points: SkinPoints) -> np.ndarray:
    """[2,N] valleys about the palm's main lines, where the albedo has them: those across it, that around the thumb's ball."""
    valley = skin.drawings.palm.read(points.position)[:, 2]
    valley = valley * np.clip(2.2 * points.palm - 1.2, 0, 1) * np.clip(1.2 - 1.4 * (1 - points.skinning[:, 0]), 0, 1)
    round_thumb = thumb_side(skin.hand, points)
    return -LINE_M * np.stack([valley * (1 - round_thumb), valley * round_thumb])


def thumb_side(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[N] 1 on the half of the palm that the thumb moves, 0 towards the fingers' roots and the little finger."""
    return _around_segment(points, hand.joints[13], hand.joints[14], 0.032) ** 0.5


def _webs(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[4,N] skin between the fingers' roots draws back as they part."""
    fields = np.zeros((4, len(points.palm)), np.float32)
    roots = [root + 1 for root in FINGER_ROOTS]
    fields[0] = WEB_M[0] * _around_segment(
        points, 0.5 * hand.joints[14] + 0.5 * hand.joints[1], 0.35 * hand.joints[14] + 0.65 * hand.joints[1], 0.011
    )
    for row in range(3):
        middles = [0.58 * hand.joints[root] + 0.42 * hand.joints[root + 1] for root in roots[row : row + 2]]
        centre = (middles[0] + middles[1]) / 2
        fields[row + 1] = WEB_M[row + 1] * np.exp(-squared_length((points.position - centre)[:, [0, 2]]) / 0.0062**2)
    return fields


def _tendons(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[4,N] cords on the back of the hand, from its middle to the fingers' roots."""
    fields = np.zeros((4, len(points.palm)), np.float32)
    for row, root in enumerate(FINGER_ROOTS):
        knuckle = hand.joints[root + 1]
        cord = _around_segment(
            points, 0.45 * hand.joints[0] + 0.55 * knuckle, 0.06 * hand.joints[0] + 0.94 * knuckle, 0.0027
        )
        fields[row] = TENDON_M * cord * np.clip(1 - 2 * points.palm, 0, 1)
    return fields


class SkinShares(NamedTuple):
    """Which amounts the skin of each point follows: weights of N points."""

    joint: np.ndarray
    """[N] 0 to 14: the finger joint whose folds and creases a point has"""
    palm: np.ndarray
    """[N] in [0,1]: how much it follows the palm's lines instead"""
    thumb: np.ndarray
    """[N] in [0,1]: how much of that the line around the thumb's ball"""
    stretched: np.ndarray
    """[15,N] in [0,1]: skin over the heads of bones"""


class SkinWeights(NamedTuple):
    """Strengths of what the maps hold in one pose; [N] each."""

    fold: np.ndarray
    """of the fine wrinkles on the back"""
    crease: np.ndarray
    """of the fine lines of palm and fingers"""
    blanch: np.ndarray
    """share of blood pressed out"""


def skin_shares(hand: HandSurface, points: SkinPoints, tissue: Tissue) -> SkinShares:
    """What does not depend on the pose of how the skin follows it."""
    apart = np.stack([squared_length(points.position - _centre(hand, joint)) for joint in range(1, 16)])
    members = np.stack([finger_membership(points, joint) for joint in range(1, 16)])
    owner = np.where(members > 0.3, apart, apart + 1.0).argmin(0)
    on_finger = np.clip((members.max(0) - 0.3) / 0.4, 0, 1)
    peaks = np.maximum(tissue.knuckle.max(1, keepdims=True), 1e-9)
    return SkinShares(owner, 1 - on_finger, thumb_side(hand, points), np.clip(tissue.knuckle / peaks, 0, 1))


def _centre(hand: HandSurface, joint: int) -> np.ndarray:
    """[3] about where a joint's lines lie: those of a finger's root are at the web."""
    if (joint - 1) % 3 == 0 and joint < 13:
        return 0.6 * hand.joints[joint] + 0.4 * hand.joints[joint + 1]
    return hand.joints[joint]


def skin_weights(shares: SkinShares, amounts: Bending) -> SkinWeights:
    """Strengths of the maps in one pose. Fine lines are half as strong again as drawn where a joint is bent."""
    line = amounts.line[0] + shares.thumb * (amounts.line[1] - amounts.line[0])
    crease = amounts.crease[shares.joint] + shares.palm * (line - amounts.crease[shares.joint])
    blanch = np.clip(amounts.blanch @ shares.stretched, 0, 1)
    parts = (amounts.fold[shares.joint], 0.25 + 1.25 * crease, blanch)
    return SkinWeights(*(part.astype(np.float32) for part in parts))
