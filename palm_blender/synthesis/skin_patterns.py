"""One person's skin at points of the hand: pigment, blood, colour, relief and gloss. NumPy only.

Every pattern is evaluated at the point's place on the rest-pose hand, so texture charts leave no seams, and is softened to
the size of a texel, so that maps of any size agree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .skin_creases import flexion_creases, knuckle_wrinkles
from .skin_drawings import Drawings, draw
from .skin_noise import Noise, cell_ridges, make_noise, octaves, smooth_noise
from .skin_optics import ColorTable, Composition, color_table, look_up, skin_color
from .skin_regions import (
    HandSurface,
    NailFrame,
    Nails,
    SkinPoints,
    fingertips,
    joint_axis,
    knuckles,
    nail_frames,
    nails,
)
from .skin_ridges import RIDGE_M, friction_ridges
from .skin_traits import SkinTraits

PALM_PIGMENT = 0.2
"""Melanin of palms relative to the back: melanocytes are five times sparser there (Yamaguchi et al. 2004, J. Cell
Biol. 165, 275)."""
PALM_BLOOD = 1.85
NAIL_PLATE = np.array([0.80, 0.68, 0.56])
"""Linear colour of a thick nail plate over nothing: its free edge."""
WRIST_CREASE_M = -0.005
"""The distal wrist crease lies this far beyond the wrist joint, towards the fingers."""
RIDGE_HEIGHT_M = 1.7e-5
"""Half the height of friction ridges."""
FURROW_M = 0.95e-3
"""Between the furrows of skin on the back of the hand."""


class SkinModel(NamedTuple):
    """One person's skin, ready to be evaluated anywhere on the hand."""

    hand: HandSurface
    traits: SkinTraits
    drawings: Drawings
    noise: Noise
    colors: ColorTable
    frames: tuple[NailFrame, ...]


class SkinSample(NamedTuple):
    """Skin at N points."""

    albedo: np.ndarray
    """[N,3] linear Rec.709"""
    roughness: np.ndarray
    """[N]"""
    height: np.ndarray
    """[N] metres above the smooth surface"""
    fold: np.ndarray
    """[N] the part of the height that fine wrinkles on the back of joints are"""
    crease: np.ndarray
    """[N] the part that the fine lines of palm and fingers are"""
    valley: np.ndarray
    """[N] the part that the palm's main lines lie in"""


class _Features(NamedTuple):
    """What colour, relief and gloss share; [N] each."""

    points: SkinPoints
    palm: np.ndarray
    knuckle: np.ndarray
    tip: np.ndarray
    nail: Nails
    flexion: np.ndarray
    wrinkle: np.ndarray
    vein: np.ndarray
    pigment: np.ndarray
    mole: np.ndarray
    main_lines: np.ndarray
    fine_lines: np.ndarray
    valley: np.ndarray
    tendon: np.ndarray
    plateau: np.ndarray
    """0 in the furrows of the back's skin, 1 between them"""


def skin_model(hand: HandSurface, traits: SkinTraits) -> SkinModel:
    """Everything about a person's skin that does not depend on where it is looked at."""
    lines, noise = np.random.default_rng([traits.seed, 1]).spawn(2)
    return SkinModel(
        hand, traits, draw(hand, traits.spots, traits.fine_lines, lines), make_noise(noise),
        color_table(traits.oxygenation), nail_frames(hand),
    )  # fmt: skip


def evaluate(skin: SkinModel, points: SkinPoints, footprint: float) -> SkinSample:
    """Skin at points; footprint: metres that one of them stands for, below which detail is left out."""
    features = _features(skin, points, footprint)
    relief = _relief(skin, features)
    height = (_height(skin, features, footprint) + sum(relief)).astype(np.float32)
    return SkinSample(_albedo(skin, features), _roughness(skin, features), height, *relief)


def _relief(skin: SkinModel, at: _Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights [N] of what bending changes: wrinkles of the back, lines of palm and fingers, valleys of the palm's lines."""
    lines = np.maximum(at.flexion, at.main_lines)
    return -(1.1e-4 + 1.8e-4 * skin.traits.wrinkles) * at.wrinkle, -2.2e-4 * lines, -3.5e-4 * at.valley


def _features(skin: SkinModel, points: SkinPoints, footprint: float) -> _Features:
    hand = skin.hand
    edge = 0.06 * smooth_noise(skin.noise, points.position, 0.006, 20)
    palm = np.clip((points.palm + edge - 0.15) / 0.7, 0, 1)
    palm = palm * palm * (3 - 2 * palm)
    # Past the wrist's crease, skin is not palmar any more, only paler than the back
    past = (hand.joints[0] - points.position) @ joint_axis(hand, 4) + WRIST_CREASE_M + 0.009 * edge
    wrist = 1 / (1 + np.exp(np.clip(-past / 0.0016, -30, 30)))
    wrist_lines = np.exp(-((past / 5e-4) ** 2)) + 0.6 * np.exp(-(((past - 0.0042) / 4e-4) ** 2))
    nail = nails(skin.frames, points, footprint)
    back_sheet, palm_sheet = skin.drawings.back.read(points.position), skin.drawings.palm.read(points.position)
    upper, lower = np.clip(1 - 2.2 * points.palm, 0, 1), np.clip(2.2 * points.palm - 1.2, 0, 1)
    on_finger = np.clip(1.4 * (1 - points.skinning[:, 0]) - 0.2, 0, 1)
    bare = 1 - nail.plate
    plateau = _plateaus(skin, points, footprint, nail.plate)
    return _Features(
        points=points,
        palm=palm * bare * (1 - 0.6 * wrist),
        knuckle=knuckles(hand, points) * bare,
        tip=fingertips(hand, points) * bare,
        nail=nail,
        flexion=flexion_creases(hand, points, skin.noise) * bare,
        wrinkle=knuckle_wrinkles(hand, points, skin.noise) * bare,
        vein=back_sheet[:, 0] * upper * (1 - 0.8 * on_finger) * bare,
        pigment=back_sheet[:, 1] * upper * bare,
        mole=back_sheet[:, 2] * upper * bare,
        main_lines=np.maximum(palm_sheet[:, 0] * (1 - on_finger), 0.8 * np.clip(wrist_lines, 0, 1)) * lower,
        fine_lines=palm_sheet[:, 1] * lower * bare,
        valley=palm_sheet[:, 2] * (1 - on_finger) * lower,
        tendon=back_sheet[:, 3] * upper,
        plateau=plateau,
    )


def _plateaus(skin: SkinModel, points: SkinPoints, footprint: float, plate: np.ndarray) -> np.ndarray:
    """[N] in [0,1]: the small fields between the furrows of the back's skin, coarse ones that finer furrows divide.

    Furrows are stretched across the hand, the more the older the skin.
    """
    age = skin.traits.wrinkles
    result = np.full_like(points.palm, 0.5)
    back = np.flatnonzero((points.palm < 0.85) & (plate < 0.97))
    here = points.position[back]
    # bent out of the lattice's straight rows
    bend = [smooth_noise(skin.noise, here, 2.6e-3, field) for field in (57, 58, 59)]
    here = here + 0.28 * FURROW_M * np.stack(bend, axis=1)
    stretched = (FURROW_M * (1 - 0.15 * age), FURROW_M, FURROW_M * (1.15 + 0.6 * age))
    coarse = cell_ridges(skin.noise, here, stretched, 50) - 0.5
    fine = cell_ridges(skin.noise, here, 0.5 * FURROW_M, 51) - 0.5
    result[back] += 0.7 * coarse * _kept(FURROW_M, footprint) + 0.3 * fine * _kept(0.4 * FURROW_M, footprint)
    return result


def _albedo(skin: SkinModel, at: _Features) -> np.ndarray:
    traits, position, noise = skin.traits, at.points.position, skin.noise
    lines = np.maximum(at.flexion, at.main_lines)
    darkness = np.clip((28 - traits.angle) / 60, 0, 1)
    # The lines of dark skin's palms hold its pigment
    palm_share = PALM_PIGMENT * (1 + 0.2 * darkness)
    mottled = octaves(noise, position, (0.021, 0.008, 0.003, 0.0011), (0.05, 0.045, 0.04, 0.045), 0) * traits.mottling
    log_melanin = np.log(traits.melanin) + at.palm * (np.log(palm_share) + 0.1 * mottled)
    log_melanin += mottled * (1 - 0.7 * at.palm) + 0.5 * at.pigment
    log_melanin += (0.22 + 0.3 * darkness) * at.knuckle + (0.14 + 0.12 * darkness) * at.wrinkle * (1 - at.palm)
    log_melanin += at.palm * darkness * (0.85 * lines + 0.5 * at.fine_lines)
    log_melanin += 0.35 * darkness * at.nail.fold + 0.28 * (0.6 - at.plateau) * (1 - at.palm)
    # spots make pigment of their own, so that they show on the lightest skin too
    melanin = np.exp(log_melanin) + 0.022 * at.pigment + 0.09 * at.mole
    blotches = octaves(noise, position, (0.016, 0.006, 0.0024), (0.10, 0.08, 0.06), 6) * traits.ruddiness
    # White and red specks of a palm's uneven blood supply
    specks = octaves(noise, position, (0.0034, 0.0015), (0.07, 0.07), 10) * at.palm
    log_blood = np.log(traits.blood) + np.log(PALM_BLOOD) * at.palm + blotches + specks
    log_blood += traits.ruddiness * (0.42 * at.knuckle + 0.5 * at.tip + 0.25 * at.nail.fold + _mounds(skin, at))
    log_blood += (0.35 * lines + 0.15 * at.fine_lines + 0.10 * at.valley) * at.palm + 0.3 * at.wrinkle
    color = look_up(skin.colors, melanin, np.exp(log_blood), at.palm * (1 - 0.5 * lines))
    # A vein takes red light from deep below while the skin above still scatters blue (Kienle et al. 1996)
    vein = (0.35 + 0.65 * traits.veins) * at.vein * (1 - 0.6 * darkness)
    color = color * np.exp(-vein[:, None] * np.array([0.17, 0.07, 0.04], np.float32))
    # furrows are darker: light that enters them seldom comes out again
    deep = 0.20 * lines + 0.15 * at.fine_lines + 0.03 * at.valley + 0.10 * at.wrinkle
    color = color * np.exp(-deep[:, None] * np.array([0.8, 1.15, 1.2], np.float32))
    plate = at.nail.plate[:, None]
    return np.clip(color + plate * (_nail_color(skin, at) - color), 0.005, 0.9).astype(np.float32)


def _mounds(skin: SkinModel, at: _Features) -> np.ndarray:
    """[N] about -0.2 to 0.4: the balls of thumb and little finger are redder, the hollow of the palm paler."""
    joints = skin.hand.joints
    thenar = 0.55 * joints[13] + 0.45 * joints[14]
    hypothenar = 0.5 * joints[0] + 0.5 * joints[7]
    hollow = 0.45 * joints[0] + 0.55 * joints[4]
    place = at.points.position

    def near(centre: np.ndarray, radius: float) -> np.ndarray:
        return np.exp(-((place - centre)[:, [0, 2]] ** 2).sum(1) / radius**2)

    return at.palm * (0.28 * near(thenar, 0.020) + 0.32 * near(hypothenar, 0.022) - 0.25 * near(hollow, 0.022))


def _nail_color(skin: SkinModel, at: _Features) -> np.ndarray:
    """[N,3] linear: pink bed through a clear plate, white half-moon at the root, ivory free edge."""
    traits, nail, position = skin.traits, at.nail, at.points.position
    bed = skin_color(Composition(0.5 * traits.melanin + 0.002, 2.4 * traits.blood, traits.oxygenation, 0.2))
    plate = 0.9 * bed + 0.1 * 0.75 * NAIL_PLATE
    thumb = at.points.skinning[:, 13:].sum(1) > 0.5
    # The half-moon: large on thumbs, hidden on the little finger
    reach = np.where(thumb, 0.52, 0.34) * np.where(at.points.skinning[:, 7:10].sum(1) > 0.5, 0.45, 1.0)
    moon = np.clip(0.5 + (reach - (nail.along + 1) - 0.42 * nail.across**2) / 0.12, 0, 1)
    edge_at = 0.86 - 0.22 * traits.nail_length + 0.10 * (1 - nail.across**2)
    edge = np.clip(0.5 + (nail.along - edge_at) / 0.07, 0, 1)
    smile = np.exp(-(((nail.along - edge_at + 0.08) / 0.06) ** 2))
    rim = np.clip((np.abs(nail.across) - 0.78) / 0.2, 0, 1)
    lengthwise = np.stack([0.004 * nail.across, 0 * nail.across, 0.02 * position[:, 2]], axis=1)
    streaks = 1 + 0.010 * smooth_noise(skin.noise, lengthwise, 3.5e-4, 30)
    color = plate * streaks[:, None]
    color = color * np.exp(-(0.10 * smile + 0.16 * rim)[:, None] * np.array([0.7, 1.2, 1.2]))
    color = color + (0.24 * moon * (1 - edge))[:, None] * (
        np.array([0.66, 0.55, 0.47]) * (0.35 + 0.65 * bed[0] / 0.45) - color
    )
    return color + (0.75 * edge)[:, None] * (NAIL_PLATE * 0.82 - color)


def _roughness(skin: SkinModel, at: _Features) -> np.ndarray:
    """[N] Principled roughness: nails shine, palms and tips are satin, the back and knuckles are dull."""
    value = 0.50 - 0.04 * at.palm + 0.06 * at.knuckle - 0.03 * at.tip * at.palm + 0.05 * skin.traits.dryness
    value = value + octaves(skin.noise, at.points.position, (6e-3, 1.5e-3), (0.014, 0.012), 14)
    value = value + 0.06 * np.maximum(at.flexion, at.main_lines)
    shine = 0.34 - 0.16 * skin.traits.polish
    return np.clip(value + at.nail.plate * (shine - value), 0.12, 0.85).astype(np.float32)


def _height(skin: SkinModel, at: _Features, footprint: float) -> np.ndarray:
    """[N] all but `_relief`."""
    traits, position, noise = skin.traits, at.points.position, skin.noise
    bare, palm, age = 1 - at.nail.plate, at.palm, traits.wrinkles
    back = np.flatnonzero(palm < 0.98)
    there = position[back]
    furrows = np.zeros_like(palm)
    uneven = np.clip(1 + 0.25 * smooth_noise(noise, there, 0.007, 52), 0.3, 2)
    furrows[back] = (2.8e-5 + 4.6e-5 * age) * at.plateau[back] * uneven
    crosswise = smooth_noise(noise, there, (1.3e-3, 3e-3, 6.5e-3), 53)
    crosswise += 0.6 * smooth_noise(noise, there, (0.7e-3, 2e-3, 4e-3), 54)
    furrows[back] -= 7e-5 * age * np.clip(1 - np.abs(crosswise) / 0.5, 0, 1) ** 1.5
    furrows *= (1 - palm) * bare
    pores = -1.0e-5 * np.clip(smooth_noise(noise, position, 5.5e-4, 55) - 1.1, 0, 1) * _kept(4e-4, footprint) * bare
    grain = octaves(noise, position, (1.4e-3, 0.7e-3), (7e-6, 5e-6), 56) * bare
    ridge_height = RIDGE_HEIGHT_M * _kept(0.5 * RIDGE_M, footprint)
    ridges = ridge_height * _ridges(skin, at) * bare if ridge_height > 0 else 0.0
    creases = -7.0e-5 * at.fine_lines
    veins = (1.2e-4 + 4.2e-4 * traits.veins) * at.vein + (1.2e-4 + 3.2e-4 * age) * at.tendon
    spots = 2.0e-4 * at.mole
    fold = 7e-5 * at.nail.fold * bare
    ribs = 3e-6 * at.nail.plate * np.sin(at.nail.across * 60)
    return furrows + pores + grain + ridges + creases + veins + spots + fold + ribs


def _ridges(skin: SkinModel, at: _Features) -> np.ndarray:
    """[N] in [-1,1]: friction ridges where skin is palmar, worn down in creases."""
    result = np.zeros_like(at.palm)
    there = np.flatnonzero(at.points.palm > 0.35)
    points = SkinPoints(*(values[there] for values in at.points))
    shown = np.clip((at.points.palm[there] - 0.35) / 0.3, 0, 1) * (
        1 - 0.7 * np.maximum(at.flexion, at.main_lines)[there]
    )
    result[there] = shown * friction_ridges(skin.hand, skin.frames, points, skin.noise, skin.traits.seed)
    return result


def _kept(detail: float, footprint: float) -> float:
    """Share in [0,1] of a detail of some size (metres) that survives texels of a footprint: none below two texels."""
    return float(np.clip((detail / footprint - 2) / 1.5, 0, 1))
