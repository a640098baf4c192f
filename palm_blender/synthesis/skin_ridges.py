"""Friction ridges: whorls and loops on the fingers' pads, lines across the phalanges, arcs over the palm. NumPy only.

A field over the surface counts ridges: its gradient has a length near 1, so that their distance stays the same wherever they
turn; where two flows meet, the greater field wins softly, which bends ridges as at a triradius. The phase of a random
complex field is added: it turns once about each of that field's zeros, where a ridge then ends or forks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .skin_noise import Noise, smooth_noise
from .skin_regions import HandSurface, NailFrame, SkinPoints, along_bone, bone_ends, finger_membership

RIDGE_M = 4.8e-4
"""From one ridge of a fingerprint to the next: men's pads hold 14 to 17 along the 7.1 mm diagonal of a 5 mm square
(Gutierrez-Redomero et al. 2013, J. Forensic Sci. 58)."""
ROOT_CREASE = 0.46
"""Where along its first phalanx a finger leaves the palm, as a share of the bone."""
FORKS_M = 0.0035
"""Wavelength of the complex field whose zeros are ends and forks: about one in 8 mm²."""


class _Print(NamedTuple):
    """What tells one finger's print from another's."""

    tilt: float
    """radians by which the core leans to a side"""
    core: float
    """metres, half the length of the line that ridges run around: 0 for a round whorl"""
    flow: float
    """radians by which the ridges under the core fall to a side: loops open there"""


def friction_ridges(
    hand: HandSurface, frames: tuple[NailFrame, ...], points: SkinPoints, noise: Noise, seed: int
) -> np.ndarray:
    """[N] in [-1,1], 1 on the ridges. frames: from `nail_frames`; seed: of the kinds of prints."""
    field = _palm_flow(hand, points.position)
    generator = np.random.default_rng([seed, 0xF1])
    for frame in frames:
        lean = generator.choice([-1, 1])
        style = _Print(
            lean * generator.uniform(0.0, 0.45), generator.uniform(0, 0.0022), lean * generator.uniform(0, 0.6)
        )
        own = np.flatnonzero(_beyond_root(hand, points, frame.joint))
        chosen = SkinPoints(*(values[own] for values in points))
        along = along_bone(hand, chosen, frame.joint)
        field[own] = np.where(along > 5e-4, _pad_flow(hand, frame, chosen.position, style), -along)
    warp = 4.5e-4 * smooth_noise(noise, points.position, 0.013, 46) + 1.2e-4 * smooth_noise(
        noise, points.position, 0.005, 47
    )
    turn = np.arctan2(*(smooth_noise(noise, points.position, FORKS_M, lattice) for lattice in (48, 49)))
    wave = np.sin(2 * np.pi * (field + warp) / RIDGE_M + turn)
    # ridges are broad, furrows narrow
    return (wave - 0.25 * (wave * wave - 0.5)).astype(np.float32)


def _beyond_root(hand: HandSurface, points: SkinPoints, joint: int) -> np.ndarray:
    """[N] bool: on the finger that ends in `joint`, beyond the crease at its root."""
    first = joint - 2
    if first == 13:
        return (finger_membership(points, joint) > 0.5) & (along_bone(hand, points, 14) > 0)
    start, end = bone_ends(hand, first)
    bone = end - start
    share = (points.position - start) @ (bone / (bone @ bone))
    return (finger_membership(points, joint) > 0.3) & (share > ROOT_CREASE)


def _pad_flow(hand: HandSurface, frame: NailFrame, position: np.ndarray, style: _Print) -> np.ndarray:
    """[N] metres: ridges about a core on the pad, arches above it, lines that run to the sides under it."""
    start, end = bone_ends(hand, frame.joint)
    axis = (end - start) / np.linalg.norm(end - start)
    across = frame.across - (frame.across @ axis) * axis
    across = across / np.linalg.norm(across)
    outward = np.cross(across, axis) * np.sign(np.cross(across, axis) @ frame.outward)
    core = start + 0.55 * (end - start)

    def unrolled(place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Along the bone, around it in radians, and the distance from it."""
        offset = place - core
        side, below = offset @ across, -(offset @ outward)
        return offset @ axis, np.arctan2(side, below), np.hypot(side, below)

    height, turn, thickness = unrolled(hand.vertices)
    own = (hand.skinning.argmax(1) == frame.joint) & (np.abs(height) < 0.006) & (np.abs(turn) < 1)
    usual = np.float32(np.median(thickness[own]))
    along, turn, radius = unrolled(position)
    around = radius * turn
    # over the finger's round end
    up = np.where(along > 0, np.hypot(along, np.maximum(usual - radius, 0)), along)
    leaning, beside = _turned(up, around, style.tilt)
    ring = np.hypot(np.sign(leaning) * np.maximum(np.abs(leaning) - style.core, 0), beside)
    falling, _ = _turned(up, around, style.flow)
    return _softly_greater(ring, 4e-4 - style.core - 1.15 * falling, 7e-4)


def _palm_flow(hand: HandSurface, position: np.ndarray) -> np.ndarray:
    """[N] metres: arcs about the ball of the thumb, slanting lines over the rest of the palm."""
    joints, place = hand.joints[:, [0, 2]], position[:, [0, 2]]
    thumb = joints[14]
    arcs = np.linalg.norm(place - thumb, axis=1)
    middle = 0.5 * (joints[0] + joints[4])
    across = joints[7] - joints[1]
    across = across / np.linalg.norm(across)
    upward = middle - joints[0]
    upward = upward - (upward @ across) * across
    upward = upward / np.linalg.norm(upward)
    lines = (place - middle) @ (0.8 * upward + 0.6 * across) + np.linalg.norm(middle - thumb)
    return _softly_greater(arcs, lines, 0.004)


def _turned(up: np.ndarray, aside: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cosine * up + sine * aside, cosine * aside - sine * up


def _softly_greater(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """The greater of two, rounded where they differ by less than a width."""
    return 0.5 * (a + b + np.sqrt((a - b) ** 2 + np.float32(width) ** 2))
