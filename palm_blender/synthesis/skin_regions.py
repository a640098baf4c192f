"""Parts of a hand that differ in skin, at points of the hand model's own surface. NumPy only.

The torch counterpart for avatars from photos is `engine.avatar.regions`; words and sizes are the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

TIP_OF_JOINT = {3: 1, 6: 2, 9: 4, 12: 3, 15: 0}
"""Last joint of each finger → its row in the hand model's tip vertices."""


NAIL_TO_TIP_M = 0.0016
"""A nail's plate reaches at least this near to the end of its finger."""


class HandSurface(NamedTuple):
    """The hand model as far as skin needs it: rest mesh at betas = 0, metres. V vertices, F triangles, T texture points."""

    vertices: np.ndarray
    """[V,3]"""
    normals: np.ndarray
    """[V,3] unit"""
    faces: np.ndarray
    """[F,3]"""
    uv: np.ndarray
    """[T,2]"""
    uv_faces: np.ndarray
    """[F,3]"""
    palm: np.ndarray
    """[V] 1 on palmar skin, 0 on the back"""
    nail: np.ndarray
    """[V] bool"""
    skinning: np.ndarray
    """[V,16]"""
    joints: np.ndarray
    """[16,3]"""
    tips: np.ndarray
    """[5,3] thumb to little finger"""


class NailFrame(NamedTuple):
    """Where a finger's nail lies: an origin, the way to the tip, the way across and half its size."""

    joint: int
    centre: np.ndarray
    along: np.ndarray
    across: np.ndarray
    outward: np.ndarray
    half_length: float
    half_width: float


class SkinPoints(NamedTuple):
    """N points of the surface."""

    position: np.ndarray
    """[N,3]"""
    normal: np.ndarray
    """[N,3] not of unit length"""
    palm: np.ndarray
    """[N]"""
    skinning: np.ndarray
    """[N,16]"""


def hand_surface(model: dict[str, np.ndarray]) -> HandSurface:
    """From the arrays of a hand model's file (`engine.hand.model_file.read_model_file`), which must hold UVs."""
    vertices, faces = np.asarray(model["v_template"], float), np.asarray(model["f"])
    across = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], across)
    return HandSurface(
        vertices, _unit(normals), faces, np.asarray(model["vt"], float), np.asarray(model["ft"]),
        np.asarray(model["palm_weight"], float), np.asarray(model["nail_vertices"], bool),
        np.asarray(model["weights"], float), (model["J_regressor"] @ vertices).astype(np.float32),
        vertices[model["tip_vertices"]].astype(np.float32),
    )  # fmt: skip


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def squared_length(vectors: np.ndarray) -> np.ndarray:
    """[N] of vectors [N,3]."""
    return np.einsum("nk,nk->n", vectors, vectors)


def nail_frames(hand: HandSurface) -> tuple[NailFrame, ...]:
    """One for each finger, from the vertices that the model calls its nail."""
    frames = []
    for joint, tip in TIP_OF_JOINT.items():
        own = hand.nail & (hand.skinning.argmax(1) == joint)
        points = hand.vertices[own]
        outward = _unit(hand.normals[own].mean(0))
        along = hand.tips[tip] - hand.joints[joint]
        along = _unit(along - (along @ outward) * outward)
        across = np.cross(along, outward)
        place = points @ np.stack([along, across], 1)
        low, high = place.min(0), place.max(0)
        # the model marks only the root half of the little finger's nail
        high[0] = max(high[0], hand.tips[tip] @ along - NAIL_TO_TIP_M)
        middle = (low + high) / 2
        centre = middle[0] * along + middle[1] * across + (points.mean(0) @ outward) * outward
        half_length, half_width = (high - low) / 2
        axes = (vector.astype(np.float32) for vector in (centre, along, across, outward))
        frames.append(NailFrame(joint, *axes, float(half_length), float(half_width)))
    return tuple(frames)


def finger_membership(points: SkinPoints, joint: int) -> np.ndarray:
    """[N] in [0,1]: how much a point belongs to the finger of `joint` (1..15)."""
    first, weights = (joint - 1) // 3 * 3 + 1, points.skinning
    # several times faster than a sum over so short an axis
    return weights[:, first] + weights[:, first + 1] + weights[:, first + 2]


def bone_ends(hand: HandSurface, joint: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and end [3] of the bone that begins at a finger joint 1..15."""
    return hand.joints[joint], hand.tips[TIP_OF_JOINT[joint]] if joint in TIP_OF_JOINT else hand.joints[joint + 1]


def joint_axis(hand: HandSurface, joint: int) -> np.ndarray:
    """[3] unit: mean direction of the bones before and after a joint, towards the tip."""
    start, end = bone_ends(hand, joint)
    before = hand.joints[joint - 1] if (joint - 1) % 3 else hand.joints[0]
    return _unit(_unit(end - start) + _unit(start - before))


def along_bone(hand: HandSurface, points: SkinPoints, joint: int) -> np.ndarray:
    """[N] metres along `joint_axis`, 0 at the joint."""
    return (points.position - hand.joints[joint]) @ joint_axis(hand, joint)


def knuckles(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[N] in [0,1]: skin on the back of finger joints."""
    total = np.zeros_like(points.palm)
    for joint in range(1, 16):
        rank = (joint - 1) % 3
        width = (0.009, 0.0075, 0.005)[rank]
        if joint == 13:
            continue
        if rank == 0:
            offset = points.position - hand.joints[joint]
            total += 0.6 * np.exp(-(offset[:, 0] ** 2 + offset[:, 2] ** 2) / 0.009**2)
        else:
            band = np.exp(-((along_bone(hand, points, joint) / width) ** 2))
            total += band * finger_membership(points, joint)
    return np.clip(total * (1 - points.palm), 0, 1)


def fingertips(hand: HandSurface, points: SkinPoints) -> np.ndarray:
    """[N] in [0,1]: towards the ends of the fingers."""
    total = np.zeros_like(points.palm)
    for joint, tip in TIP_OF_JOINT.items():
        offset = points.position - hand.tips[tip]
        total += np.exp(-squared_length(offset) / 0.013**2) * finger_membership(points, joint)
    return np.clip(total, 0, 1)


class Nails(NamedTuple):
    """How points lie on nails; [N] each, 0 away from them."""

    plate: np.ndarray
    """in [0,1], 1 on the plate"""
    fold: np.ndarray
    """in [0,1], 1 on the skin right beside and behind it"""
    along: np.ndarray
    """-1 at the root, 1 at the free edge's end"""
    across: np.ndarray
    """-1 to 1 from side to side"""


def nails(frames: tuple[NailFrame, ...], points: SkinPoints, footprint: float) -> Nails:
    """Nails at points; footprint: metres over which their outline is softened."""
    result = Nails(*(np.zeros_like(points.palm) for _ in range(4)))
    for frame in frames:
        offset = points.position - frame.centre
        near = np.flatnonzero(squared_length(offset) < (2.2 * max(frame.half_length, frame.half_width)) ** 2)
        near = near[points.normal[near] @ frame.outward > -0.1]
        along = offset[near] @ frame.along / frame.half_length
        across = offset[near] @ frame.across / frame.half_width
        # A rounded rectangle, rounder behind than in front
        power = np.where(along < 0, 2.6, 3.4)
        radius = (np.abs(across) ** power + np.abs(along * 0.97) ** power) ** (1 / power)
        distance = (radius - 1) * min(frame.half_length, frame.half_width)
        plate = np.clip(0.5 - distance / max(footprint, 2.5e-4), 0, 1)
        fold = np.exp(-((distance / 8e-4) ** 2)) * (along < 0.75)
        result.plate[near] = np.maximum(result.plate[near], plate)
        result.fold[near] = np.maximum(result.fold[near], fold)
        result.along[near], result.across[near] = along, across
    return result
