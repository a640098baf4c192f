"""Parts of a hand that differ in skin: palm and back, nails, knuckles, fingertips, and the lines of the palm.

All functions take rest-frame points and joints, so they serve any mesh in MANO's rest frame, right or left.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

TIP_OF_JOINT = {3: 1, 6: 2, 9: 4, 12: 3, 15: 0}
"""Last joint of each finger → its row in tip_vertices."""


class HandPoints(NamedTuple):
    """Points of a hand's skin with what is known about them; N points, rest frame, metres."""

    position: Tensor
    """[N,3]"""
    palm: Tensor
    """[N] 1 on palmar skin, 0 on the back."""
    nail: Tensor
    """[N] 1 on nails."""
    skinning: Tensor
    """[N,16]"""
    joints: Tensor
    """[16,3]"""
    tips: Tensor
    """[5,3] thumb to little finger."""

    def select(self, index: Tensor) -> HandPoints:
        """The points at an index or mask."""
        per_point = (self.position[index], self.palm[index], self.nail[index], self.skinning[index])
        return HandPoints(*per_point, self.joints, self.tips)


def finger_membership(skinning: Tensor, joint: int) -> Tensor:
    """[N] in [0,1]: how much a point belongs to the finger of `joint` (1..15)."""
    first = (joint - 1) // 3 * 3 + 1
    return skinning[:, first : first + 3].sum(1)


def bone_ends(points: HandPoints, joint: int) -> tuple[Tensor, Tensor]:
    """Start and end [3] of the bone that begins at a finger joint 1..15."""
    end = points.tips[TIP_OF_JOINT[joint]] if joint in TIP_OF_JOINT else points.joints[joint + 1]
    return points.joints[joint], end


def along_bone(points: HandPoints, joint: int) -> Tensor:
    """[N] metres along the mean direction of the bones before and after a joint, 0 at the joint, positive towards the tip."""
    start, end = bone_ends(points, joint)
    before = points.joints[joint - 1] if (joint - 1) % 3 else points.joints[0]
    direction = normalize(normalize(end - start, dim=0) + normalize(start - before, dim=0), dim=0)
    return (points.position - start) @ direction


def knuckle_weight(points: HandPoints) -> Tensor:
    """[N] in [0,1]: skin on the back of finger joints."""
    total = torch.zeros_like(points.palm)
    for joint in range(1, 16):
        width = 0.008 if (joint - 1) % 3 < 2 else 0.006
        band = torch.exp(-((along_bone(points, joint) / width) ** 2))
        total = total + band * finger_membership(points.skinning, joint).clamp_min(0.3 * ((joint - 1) % 3 == 0))
    return (total * (1 - points.palm)).clamp(0, 1)


def fingertip_weight(points: HandPoints) -> Tensor:
    """[N] in [0,1]: pads of the fingertips."""
    total = torch.zeros_like(points.palm)
    for joint, tip in TIP_OF_JOINT.items():
        distance = (points.position - points.tips[tip]).norm(dim=1)
        total = total + torch.exp(-((distance / 0.012) ** 2)) * finger_membership(points.skinning, joint)
    return (total * (1 - points.nail)).clamp(0, 1)


def _line(distance: Tensor, width: float) -> Tensor:
    return torch.exp(-((distance / width) ** 2))


def flexion_creases(points: HandPoints, waviness: Tensor) -> Tensor:
    """[N] in [0,1]: the crosswise lines of the fingers, one or two on the palm side of a joint, several on its back.

    waviness [N] metres is added to the position along the finger, so that lines are not ruled.
    """
    total = torch.zeros_like(points.palm)
    for joint in range(1, 16):
        rank = (joint - 1) % 3
        if joint >= 13 and rank == 0:
            continue
        finger = ((finger_membership(points.skinning, joint) - 0.35) / 0.3).clamp(0, 1)
        start, end = bone_ends(points, joint)
        length = (end - start).norm()
        along = along_bone(points, joint) + waviness
        near = torch.nonzero((finger > 0) & (along.abs() < 0.6 * length))[:, 0]
        total[near] += finger[near] * _joint_lines(points.select(near), along[near], rank, float(length))
    return total.clamp(0, 1)


def _joint_lines(points: HandPoints, along: Tensor, rank: int, length: float) -> Tensor:
    """[N] lines about one finger joint. along [N] metres from it; rank 0 at the finger's root; length of its bone."""
    palm_side = ((points.palm - 0.35) / 0.3).clamp(0, 1)
    if rank == 0:
        # The finger's root crease lies at the web, nearly halfway along the first phalanx.
        return palm_side * (_line(along - 0.46 * length, 5e-4) + 0.7 * _line(along - 0.5 * length, 4e-4))
    gap = 0.0011 if rank == 1 else 0.0007
    front = _line(along - gap, 4.5e-4) + 0.8 * _line(along + gap, 4.5e-4)
    back = torch.zeros_like(front)
    for k in (-2, -1, 0, 1, 2) if rank == 1 else (-1, 0, 1):
        back = back + 0.5 * _line(along - k * 0.0016, 4e-4)
    return palm_side * front + (1 - palm_side) * back * (1 - points.nail)


PALM_LINES = (
    # (s from the wrist 0 to the knuckles 1, t from the index knuckle 0 to the little one 1), quadratic Bezier points
    ((0.78, 1.22), (0.74, 0.62), (1.03, 0.36)),
    ((0.76, -0.22), (0.78, 0.45), (0.50, 0.98)),
    ((0.75, -0.22), (0.62, 0.42), (0.10, 0.40)),
)
"""Distal and proximal transverse creases and the thenar crease, as they lie in an average palm."""


def palm_creases(points: HandPoints, waviness: Tensor) -> Tensor:
    """[N] in [0,1]: the three main lines of the palm."""
    on_palm = ((points.palm - 0.55) / 0.3).clamp(0, 1)
    fingers = torch.stack([finger_membership(points.skinning, joint) for joint in (1, 4, 7, 10)]).sum(0)
    on_palm = on_palm * (1 - 1.5 * fingers).clamp(0, 1)
    near = torch.nonzero(on_palm > 0)[:, 0]
    total = torch.zeros_like(points.palm)
    if len(near):
        total[near] = on_palm[near] * _bezier_lines(points.select(near), waviness[near])
    return total


def _bezier_lines(points: HandPoints, waviness: Tensor) -> Tensor:
    """[N] PALM_LINES drawn in the plane of wrist and knuckles, fading towards their ends."""
    wrist, index, little = points.joints[0], points.joints[1], points.joints[7]
    middle = (index + little) / 2
    upward, across = middle - wrist, little - index
    # (s, t) by least squares: s along the palm from the wrist, t across from the index knuckle
    inverse = torch.linalg.pinv(torch.stack([upward, across], dim=1))
    metric = torch.stack([upward.norm(), across.norm()])
    plane = (points.position - wrist - (index - middle)) @ inverse.T * metric
    total = torch.zeros_like(points.palm)
    parameter = torch.linspace(0, 1, 17, device=plane.device, dtype=plane.dtype)[:, None]
    for line in PALM_LINES:
        a, b, c = (plane.new_tensor(p) * metric for p in line)
        curve = (1 - parameter) ** 2 * a + 2 * parameter * (1 - parameter) * b + parameter**2 * c
        best, place = torch.full_like(total, 1.0), torch.zeros_like(total)
        for k in range(len(curve) - 1):
            start, step = curve[k], curve[k + 1] - curve[k]
            share = (((plane - start) @ step) / (step @ step)).clamp(0, 1)
            squared = ((plane - start - share[:, None] * step) ** 2).sum(1)
            nearer = squared < best
            best = torch.where(nearer, squared, best)
            place = torch.where(nearer, (k + share) / (len(curve) - 1), place)
        fade = (4 * (1 - place)).clamp(0, 1) * (0.55 + 0.45 * (6 * place).clamp(0, 1))
        total = torch.maximum(total, _line(best.sqrt() + waviness, 7e-4) * fade)
    return total
