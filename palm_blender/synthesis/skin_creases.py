"""Lines across the fingers and wrinkles of the knuckles, as fields over the surface. NumPy only."""

from __future__ import annotations

import numpy as np

from .skin_noise import Noise, smooth_noise
from .skin_regions import HandSurface, SkinPoints, along_bone, bone_ends, finger_membership, joint_axis, squared_length

CREASED = tuple(joint for joint in range(1, 16) if joint != 13)
"""Joints with lines on their palm side: all but the thumb's first."""
WRINKLED = tuple(joint for joint in CREASED if (joint - 1) % 3)
"""Joints with wrinkles on their back: not the fingers' roots."""


def flexion_creases(hand: HandSurface, points: SkinPoints, noise: Noise) -> np.ndarray:
    """[N] in [0,1]: the crosswise lines on the palm side of the fingers' joints, one or two a joint."""
    total = np.zeros_like(points.palm)
    for joint in CREASED:
        near, lines = joint_creases(hand, points, noise, joint)
        total[near] += lines
    broken = 0.78 + 0.22 * smooth_noise(noise, points.position, 0.003, 45)
    return np.clip(total * np.clip(broken, 0.3, 1), 0, 0.9)


def joint_creases(
    hand: HandSurface, points: SkinPoints, noise: Noise, joint: int, least_width: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Points near the lines of one of CREASED [M], and how deep they lie in them [M]. least_width: metres of a line."""

    def line(distance: np.ndarray, width: float) -> np.ndarray:
        return np.exp(-((distance / max(width, least_width)) ** 2))

    rank = (joint - 1) % 3
    palm_side = np.clip((points.palm - 0.3) / 0.3, 0, 1)
    finger = np.clip((finger_membership(points, joint) - 0.35) / 0.3, 0, 1) * palm_side
    near = np.flatnonzero(finger > 0)
    here = SkinPoints(*(values[near] for values in points))
    sway = 4e-4 * smooth_noise(noise, here.position, 0.012, 40) + 2e-4 * smooth_noise(noise, here.position, 0.004, 41)
    start, end = bone_ends(hand, joint)
    length = np.linalg.norm(end - start)
    along = along_bone(hand, here, joint) + sway
    if rank == 0:
        # The finger's root crease lies at the web, nearly halfway along the first phalanx.
        lines = line(along - 0.46 * length, 5e-4) + 0.7 * line(along - 0.5 * length - 1.5 * sway, 4e-4)
    elif rank == 1:
        gap = 0.0011 + 0.6 * sway
        lines = line(along - gap, 3.6e-4) + 0.8 * line(along + gap, 3.4e-4)
        lines = lines + 0.4 * line(along - 2.7 * gap, 2.6e-4) + 0.35 * line(along + 2.5 * gap, 2.6e-4)
    else:
        lines = line(along + 0.3 * sway, 4e-4) + 0.35 * line(along - 0.0016 - sway, 3e-4)
    lines = lines + 0.16 * line(along - (0.48 * length if rank == 0 else 0), 2.2e-3)
    return near, finger[near] * lines


def knuckle_wrinkles(hand: HandSurface, points: SkinPoints, noise: Noise) -> np.ndarray:
    """[N] in [0,1], 1 in the furrows: oval whorls on the back of the middle joints, crosswise lines at the end joints.

    Loose skin lies in folds that bend around the joint's dimple, closer together towards its middle.
    """
    total = np.zeros_like(points.palm)
    back = np.clip((0.6 - points.palm) / 0.4, 0, 1)
    for joint in WRINKLED:
        # thumbs have two joints: their second counts as a middle joint, their third as an end joint
        reach, spacing, depth = WRINKLE_SIZES[(joint - 1) % 3 == 2]
        near, along, across = on_the_back(hand, points, joint, 3.0 * reach)
        position = points.position[near]
        wobble = 3.2e-4 * smooth_noise(noise, position, 0.0032, 42) + 3.5e-4 * smooth_noise(noise, position, 0.008, 43)
        # lines bow outwards: an ellipse about the joint, long across the finger
        bowed = np.sign(along) * np.sqrt(along**2 + (0.16 * across) ** 2) + wobble * (0.5 + np.abs(along) / reach)
        stretched = spacing * (0.8 + 0.45 * np.abs(bowed) / reach)
        phase = bowed / stretched
        furrow = np.clip(1 - 2.8 * np.abs(phase - np.round(phase)), 0, 1) ** 1.3
        broken = smooth_noise(noise, position + 0.3 * np.outer(along, joint_axis(hand, joint)), 0.004, 44)
        varied = np.clip(0.75 + 0.45 * broken, 0, 1.3)
        fade = np.exp(-((along / (0.75 * reach)) ** 2)) * np.exp(-((across / 0.0085) ** 4))
        finger = np.clip((finger_membership(points, joint)[near] - 0.4) / 0.3, 0, 1) * back[near]
        total[near] += depth * finger * furrow * varied * fade
    return np.clip(total, 0, 1)


WRINKLE_SIZES = ((0.0085, 0.00155, 1.0), (0.0042, 0.00125, 0.75))
"""Reach and spacing in metres and depth of wrinkles at middle and at end joints."""


def on_the_back(
    hand: HandSurface, points: SkinPoints, joint: int, radius: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on the back of a joint within a radius [M], and how far they lie along and across the finger [M], metres."""
    back = np.clip((0.6 - points.palm) / 0.4, 0, 1)
    finger = np.clip((finger_membership(points, joint) - 0.4) / 0.3, 0, 1) * back
    offset = points.position - hand.joints[joint]
    near = np.flatnonzero((finger > 0) & (squared_length(offset) < radius**2))
    axis = joint_axis(hand, joint)
    along = offset[near] @ axis - (0.0 if (joint - 1) % 3 == 1 else 0.0008)
    return near, along, offset[near] @ np.cross(axis, back_of(hand, joint))


def back_of(hand: HandSurface, joint: int) -> np.ndarray:
    """[3] unit, the way the back of a joint's finger faces."""
    return np.array([0.0, 1.0, 0.0], np.float32) if joint < 13 else _thumb_back(hand)


def _thumb_back(hand: HandSurface) -> np.ndarray:
    """[3] unit, the way the thumb's nail faces."""
    own = hand.nail & (hand.skinning[:, 15] > 0.5)
    mean = hand.normals[own].mean(0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)
