"""Lines across the fingers and wrinkles of the knuckles, as fields over the surface. NumPy only."""

from __future__ import annotations

import numpy as np

from .skin_noise import Noise, smooth_noise
from .skin_regions import HandSurface, SkinPoints, along_bone, bone_ends, finger_membership, joint_axis, squared_length


def _line(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((distance / width) ** 2))


def flexion_creases(hand: HandSurface, points: SkinPoints, noise: Noise) -> np.ndarray:
    """[N] in [0,1]: the crosswise lines on the palm side of the fingers' joints, one or two a joint."""
    total = np.zeros_like(points.palm)
    palm_side = np.clip((points.palm - 0.3) / 0.3, 0, 1)
    sway = 4e-4 * smooth_noise(noise, points.position, 0.012, 40) + 2e-4 * smooth_noise(
        noise, points.position, 0.004, 41
    )
    for joint in range(1, 16):
        rank = (joint - 1) % 3
        if joint == 13:
            continue
        finger = np.clip((finger_membership(points, joint) - 0.35) / 0.3, 0, 1) * palm_side
        start, end = bone_ends(hand, joint)
        length = np.linalg.norm(end - start)
        near = np.flatnonzero(finger > 0)
        along = along_bone(hand, SkinPoints(*(values[near] for values in points)), joint) + sway[near]
        if rank == 0 and joint < 13:
            # The finger's root crease lies at the web, nearly halfway along the first phalanx.
            lines = _line(along - 0.46 * length, 5e-4) + 0.7 * _line(along - 0.5 * length - 1.5 * sway[near], 4e-4)
        elif rank == 1:
            gap = 0.0011 + 0.6 * sway[near]
            lines = _line(along - gap, 3.6e-4) + 0.8 * _line(along + gap, 3.4e-4)
            lines = lines + 0.4 * _line(along - 2.7 * gap, 2.6e-4) + 0.35 * _line(along + 2.5 * gap, 2.6e-4)
        else:
            lines = _line(along + 0.3 * sway[near], 4e-4) + 0.35 * _line(along - 0.0016 - sway[near], 3e-4)
        lines = lines + 0.16 * _line(along - (0.48 * length if rank == 0 and joint < 13 else 0), 2.2e-3)
        total[near] += finger[near] * lines
    broken = 0.78 + 0.22 * smooth_noise(noise, points.position, 0.003, 45)
    return np.clip(total * np.clip(broken, 0.3, 1), 0, 0.9)


def knuckle_wrinkles(hand: HandSurface, points: SkinPoints, noise: Noise) -> np.ndarray:
    """[N] in [0,1], 1 in the furrows: oval whorls on the back of the middle joints, crosswise lines at the end joints.

    Loose skin lies in folds that bend around the joint's dimple, closer together towards its middle.
    """
    total = np.zeros_like(points.palm)
    back = np.clip((0.6 - points.palm) / 0.4, 0, 1)
    for joint in range(1, 16):
        rank = (joint - 1) % 3
        if joint == 13 or (rank == 0 and joint < 13):
            continue
        # thumbs have two joints: their second counts as a middle joint, their third as an end joint
        reach, spacing, depth = ((0.0085, 0.00155, 1.0), (0.0042, 0.00125, 0.75))[rank == 2]
        finger = np.clip((finger_membership(points, joint) - 0.4) / 0.3, 0, 1) * back
        offset = points.position - hand.joints[joint]
        near = np.flatnonzero((finger > 0) & (squared_length(offset) < (3.0 * reach) ** 2))
        position = points.position[near]
        axis = joint_axis(hand, joint)
        along = offset[near] @ axis - (0.0 if rank == 1 else 0.0008)
        outward = np.array([0.0, 1.0, 0.0], np.float32) if joint < 13 else _thumb_back(hand)
        across = offset[near] @ np.cross(axis, outward)
        wobble = 3.2e-4 * smooth_noise(noise, position, 0.0032, 42) + 3.5e-4 * smooth_noise(noise, position, 0.008, 43)
        # lines bow outwards: an ellipse about the joint, long across the finger
        bowed = np.sign(along) * np.sqrt(along**2 + (0.16 * across) ** 2) + wobble * (0.5 + np.abs(along) / reach)
        stretched = spacing * (0.8 + 0.45 * np.abs(bowed) / reach)
        phase = bowed / stretched
        furrow = np.clip(1 - 2.8 * np.abs(phase - np.round(phase)), 0, 1) ** 1.3
        broken = smooth_noise(noise, position + 0.3 * np.outer(along, axis), 0.004, 44)
        varied = np.clip(0.75 + 0.45 * broken, 0, 1.3)
        fade = np.exp(-((along / (0.75 * reach)) ** 2)) * np.exp(-((across / 0.0085) ** 4))
        total[near] += depth * finger[near] * furrow * varied * fade
    return np.clip(total, 0, 1)


def _thumb_back(hand: HandSurface) -> np.ndarray:
    """[3] unit, the way the thumb's nail faces."""
    own = hand.nail & (hand.skinning[:, 15] > 0.5)
    mean = hand.normals[own].mean(0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)
