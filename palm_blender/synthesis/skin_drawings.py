"""Lines and spots of one person's hand, drawn once on two sheets (the back, the palm) over the flat rest pose. NumPy only.

A sheet spans the rest frame's x and z; a texel reads the sheet of its own side. Distances are metres.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from .skin_regions import HandSurface

CELL_M = 1.5e-4
MARGIN_M = 0.004
AT_ONCE = 8
"""Segments of a line that are drawn together."""

PALM_LINES = (
    # cubic Bezier points (s from the wrist 0 to the knuckles 1, t from the index knuckle 0 to the little one 1)
    ((0.79, 1.24), (0.72, 0.84), (0.80, 0.40), (1.08, 0.24)),
    ((0.77, -0.24), (0.80, 0.24), (0.73, 0.62), (0.46, 1.00)),
    ((0.765, -0.24), (0.76, 0.20), (0.46, 0.50), (0.05, 0.40)),
)
"""Distal and proximal transverse creases and the thenar crease."""


class Sheet(NamedTuple):
    """Drawings over a rectangle of the rest frame's x and z."""

    origin: np.ndarray
    """[2]"""
    values: np.ndarray
    """[X,Z,C] float32"""

    def read(self, position: np.ndarray) -> np.ndarray:
        """Values [N,C] at points [N,3], bilinear, clamped at the rim."""
        limit = np.array(self.values.shape[:2]) - 1.001
        place = np.clip((position[:, [0, 2]] - self.origin) / CELL_M, 0, limit).astype(np.float32)
        cell = place.astype(np.intp)
        x, z = (place - cell).T[..., None]
        i, j = cell.T
        near = self.values[i, j] * (1 - z) + self.values[i, j + 1] * z
        far = self.values[i + 1, j] * (1 - z) + self.values[i + 1, j + 1] * z
        return near * (1 - x) + far * x


class Drawings(NamedTuple):
    """What is drawn on a hand."""

    back: Sheet
    """Channels: vein, pigment (natural logarithm of melanin's multiple), mole in [0,1], tendon."""
    palm: Sheet
    """Channels: main creases, fine creases, the valleys about the main ones."""


class SpotCounts(NamedTuple):
    """How many spots of each kind a back of the hand has."""

    freckles: int
    moles: int
    age_spots: int


def draw(hand: HandSurface, counts: SpotCounts, fine_lines: float, generator: np.random.Generator) -> Drawings:
    """One person's drawings; fine_lines: multiple of the usual number of fine creases in the palm."""
    low = hand.vertices[:, [0, 2]].min(0) - MARGIN_M
    shape = np.ceil((hand.vertices[:, [0, 2]].max(0) + MARGIN_M - low) / CELL_M).astype(int) + 2
    back = Sheet(low, np.zeros((*shape, 4), np.float32))
    palm = Sheet(low, np.zeros((*shape, 3), np.float32))
    # a generator each, so that one kind of drawing does not shift another
    veins, spots, creases, fine = generator.spawn(4)
    _draw_veins(back, hand, veins)
    _draw_tendons(back, hand)
    _draw_spots(back, hand, counts, spots)
    _draw_palm_lines(palm, hand, creases)
    _draw_fine_lines(palm, hand, fine_lines, fine)
    return Drawings(back, palm)


def _stroke(sheet: Sheet, channel: int, points: np.ndarray, widths: np.ndarray, strengths: np.ndarray) -> None:
    """A line through points [P,2], Gaussian across with widths [P] and strengths [P]; the stronger stays where lines meet."""
    for first in range(0, len(points) - 1, AT_ONCE):
        part = slice(first, first + AT_ONCE + 1)
        nodes, width, strength = (values[part].astype(np.float32) for values in (points, widths, strengths))
        reach = 2.6 * width.max()
        box = _window(sheet, nodes.min(0) - reach, nodes.max(0) + reach)
        if box is None:
            continue
        x, z, target = box
        step = np.diff(nodes, axis=0)
        # [X,Z,segments], but for the corners' coordinates, which depend on one of the sheet's axes each
        from_x, from_z = (c.astype(np.float32)[..., None] - nodes[:-1, k] for k, c in enumerate((x, z)))
        share = (from_x * step[:, 0] + from_z * step[:, 1]) / np.maximum((step**2).sum(1), 1e-12)
        share = np.clip(share, 0, 1, out=share)
        squared = (from_x - share * step[:, 0]) ** 2 + (from_z - share * step[:, 1]) ** 2
        here = width[:-1] + share * np.diff(width)
        value = (strength[:-1] + share * np.diff(strength)) * np.exp(-squared / here**2)
        target[..., channel] = np.maximum(target[..., channel], value.max(-1))


def _window(sheet: Sheet, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Coordinates and a view of the sheet's cells between two corners."""
    first = np.maximum(np.floor((low - sheet.origin) / CELL_M).astype(int), 0)
    last = np.minimum(np.ceil((high - sheet.origin) / CELL_M).astype(int) + 1, sheet.values.shape[:2])
    if (last <= first).any():
        return None
    x = (sheet.origin[0] + CELL_M * np.arange(first[0], last[0]))[:, None]
    z = (sheet.origin[1] + CELL_M * np.arange(first[1], last[1]))[None, :]
    return x, z, sheet.values[first[0] : last[0], first[1] : last[1]]


def _wander(
    start: np.ndarray, end: np.ndarray, sway: float, generator: np.random.Generator, count: int = 24
) -> np.ndarray:
    """A winding way [count,2] between two points: a few random sines across the straight line, ends fixed."""
    share = np.linspace(0, 1, count)
    step = end - start
    across = np.array([-step[1], step[0]]) / max(np.linalg.norm(step), 1e-9)
    offset = sum(
        generator.normal()
        * sway
        / wave
        * np.sin(np.pi * wave * share + generator.uniform(0, 0.8) * np.sin(np.pi * share))
        for wave in (1, 2, 3, 5)
    )
    return start + share[:, None] * step + (offset * np.sin(np.pi * share) ** 0.5)[:, None] * across


def _draw_veins(sheet: Sheet, hand: HandSurface, generator: np.random.Generator) -> None:
    """The dorsal network: veins from between the knuckles join in an arch and run to the wrist, with branches between."""
    joints = hand.joints[:, [0, 2]]
    wrist, knuckles = joints[0], joints[[1, 4, 10, 7]]
    across = knuckles[3] - knuckles[0]
    webs = [knuckles[0] - 0.12 * across, *((knuckles[:-1] + knuckles[1:]) / 2), knuckles[3] + 0.10 * across]
    gates = [wrist + across * share + np.array([0.004, 0]) for share in (-0.22, 0.02, 0.26)]
    nodes = []
    for k, web in enumerate(webs):
        gate = gates[min(2, max(0, round(k / 2 + generator.normal() * 0.3)))]
        node = web + (gate - web) * generator.uniform(0.3, 0.55) + generator.normal(size=2) * 0.003
        nodes.append(node)
        thin, strength = generator.uniform(0.0012, 0.0019), generator.uniform(0.4, 0.9)
        for start, end, sway in ((web, node, 0.0022), (node, gate, 0.003)):
            way = _wander(start, end, sway, generator)
            grow = np.linspace(0.75 if start is web else 1.0, 1.0 if start is web else 1.25, len(way))
            rise = np.clip(np.linspace(0.2, 2.0, len(way)) if start is web else 1.0, 0, 1)
            fade = strength * rise * np.clip(0.85 + 0.16 * _waves(len(way), 3, generator), 0.5, 1.1)
            if end is gate:
                beyond = gate + np.array([0.03, generator.normal() * 0.004])
                tail = _wander(gate, beyond, 0.001, generator, 8)
                _stroke(sheet, 0, tail, np.full(8, thin * 1.25), np.full(8, strength))
            _stroke(sheet, 0, way, thin * grow, fade)
    for first, second in itertools.pairwise(nodes):
        if generator.random() < 0.75:
            way = _wander(first, second, 0.003, generator)
            sunk = np.sin(np.linspace(0.1, np.pi - 0.1, len(way))) ** 0.8
            _stroke(sheet, 0, way, np.full(len(way), 0.0013), generator.uniform(0.25, 0.6) * sunk)


def _draw_tendons(sheet: Sheet, hand: HandSurface) -> None:
    """The fingers' extensor tendons fan out from the wrist to the knuckles."""
    joints = hand.joints[:, [0, 2]]
    for knuckle, aside in ((1, 0.003), (4, 0.001), (10, -0.002), (7, -0.004)):
        way = np.linspace(joints[0] + [0.0, aside], joints[knuckle], 12)
        share = np.linspace(0, 1, 12)
        _stroke(sheet, 3, way, 0.0019 + 0.0008 * share, np.sin(np.pi * np.clip(share, 0.06, 0.94)) ** 0.7)


def _draw_spots(sheet: Sheet, hand: HandSurface, counts: SpotCounts, generator: np.random.Generator) -> None:
    """Freckles, moles and age spots, scattered over the back and the backs of the fingers."""
    centres = hand.vertices[hand.faces].mean(1)
    edges = hand.vertices[hand.faces]
    area = np.linalg.norm(np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]), axis=1)
    area *= (hand.palm[hand.faces].mean(1) < 0.2) & ~hand.nail[hand.faces].any(1)
    area *= 0.3 + 0.7 * hand.skinning[hand.faces, 0].mean(1)
    for kind, count in zip(("freckle", "mole", "age spot"), counts, strict=True):
        chosen = generator.choice(len(area), count, p=area / area.sum())
        places = centres[chosen][:, [0, 2]] + generator.normal(size=(count, 2)) * 0.0015
        for place in places:
            if kind == "freckle":
                radius, pigment = generator.gamma(3, 0.00022) + 0.0003, generator.uniform(0.2, 0.7)
            elif kind == "mole":
                radius, pigment = generator.gamma(3, 0.00013) + 0.0004, generator.uniform(1.3, 2.2)
            else:
                radius, pigment = generator.gamma(3, 0.0006) + 0.001, generator.uniform(0.4, 1.2)
            _blot(sheet, place, radius, pigment, kind == "mole", generator)


def _blot(
    sheet: Sheet, place: np.ndarray, radius: float, pigment: float, raised: bool, generator: np.random.Generator
) -> None:
    """An irregular round spot with a soft rim."""
    box = _window(sheet, place - 2 * radius, place + 2 * radius)
    shape, turn = generator.normal(size=4), generator.uniform(0, 2 * np.pi, 4)
    if box is None:
        return
    x, z, target = box
    angle = np.arctan2(z - place[1], x - place[0])
    ragged = 1 + (0.04 if raised else 0.11) * sum(
        shape[k] / (k + 1) * np.cos((k + 1) * angle + turn[k]) for k in range(4)
    )
    distance = np.hypot(x - place[0], z - place[1]) / (radius * np.clip(ragged, 0.5, 1.6))
    soft = np.clip((1.25 - distance) / 0.5, 0, 1) if raised else np.clip((1.5 - distance) / 1.1, 0, 1)
    soft = soft * soft * (3 - 2 * soft)
    target[..., 1] += pigment * soft
    if raised:
        target[..., 2] = np.maximum(target[..., 2], soft)


def _palm_frame(hand: HandSurface) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Origin, the way from wrist to knuckles and the way from index to little knuckle, [2] each."""
    joints = hand.joints[:, [0, 2]]
    across = joints[7] - joints[1]
    upward = (joints[1] + joints[7]) / 2 - joints[0]
    return joints[0] - across / 2, upward, across


def _draw_palm_lines(sheet: Sheet, hand: HandSurface, generator: np.random.Generator) -> None:
    """The three main creases: each a bundle of strands that part and join, in a valley, frayed towards its end."""
    origin, upward, across = _palm_frame(hand)
    count = 60
    share = np.linspace(0, 1, count)[:, None]
    bernstein = [(1 - share) ** 3, 3 * share * (1 - share) ** 2, 3 * share**2 * (1 - share), share**3]
    for line in PALM_LINES:
        control = [np.array(point) + generator.normal(size=2) * 0.032 for point in line]
        curve = sum(weight * point for weight, point in zip(bernstein, control, strict=True))
        way = origin + curve[:, :1] * upward + curve[:, 1:] * across + _shake(count, 3.0e-4, generator)
        fade = np.clip(3.2 * (1 - share[:, 0]), 0, 1) * (0.55 + 0.45 * np.clip(7 * share[:, 0], 0, 1))
        sideways = np.gradient(way, axis=0)[:, ::-1] * [-1, 1]
        sideways /= np.linalg.norm(sideways, axis=1, keepdims=True)
        _stroke(sheet, 2, way[::4], np.full(count // 4, generator.uniform(1.6e-3, 2.2e-3)), fade[::4])
        for strand in range(3):
            aside = (0.0, 4.5e-4, -4.5e-4)[strand] + 2.6e-4 * _waves(count, 5, generator)
            strength = fade * np.clip((0.82, 0.34, 0.34)[strand] + 0.34 * _waves(count, 9, generator), 0, 1)
            width = (3.0e-4, 2.1e-4, 2.1e-4)[strand] * (0.8 + 0.4 * strength)
            _stroke(sheet, 0, way + aside[:, None] * sideways, width, strength)
        _fray(sheet, way, generator)


def _fray(sheet: Sheet, way: np.ndarray, generator: np.random.Generator) -> None:
    """Branches that leave a main crease [P,2] at a narrow angle, more of them towards its end."""
    for _ in range(generator.integers(6, 12)):
        at = int(len(way) * generator.uniform(0.1, 1) ** 0.6) - 2
        heading = way[min(at + 3, len(way) - 1)] - way[max(at - 3, 0)]
        heading = heading / np.linalg.norm(heading) * generator.choice([-1, 1], p=[0.25, 0.75])
        turn = generator.choice([-1, 1]) * generator.uniform(0.25, 0.8)
        cosine, sine = np.cos(turn), np.sin(turn)
        direction = np.array([cosine * heading[0] - sine * heading[1], sine * heading[0] + cosine * heading[1]])
        length = generator.gamma(3, 0.0022)
        branch = _wander(way[at], way[at] + length * direction, 0.05 * length, generator, 10)
        _stroke(sheet, 1, branch, np.full(10, 1.9e-4), generator.uniform(0.5, 0.95) * np.linspace(1, 0.05, 10))


def _waves(count: int, waves: int, generator: np.random.Generator) -> np.ndarray:
    """[count] smooth, of about unit variance, with up to so many waves along it."""
    share = np.linspace(0, 2 * np.pi, count)
    turn, size = generator.uniform(0, 2 * np.pi, waves), generator.normal(size=waves)
    return sum(size[k] * np.sin((k + 1) * share / 1.3 + turn[k]) for k in range(waves)) * (2 / waves) ** 0.5


def _shake(count: int, size: float, generator: np.random.Generator) -> np.ndarray:
    steps = generator.normal(size=(count + 6, 2))
    smooth = np.stack([np.convolve(steps[:, k], np.ones(7) / 7, "valid") for k in range(2)], axis=1)
    return size * 2.6 * smooth


def _draw_fine_lines(sheet: Sheet, hand: HandSurface, amount: float, generator: np.random.Generator) -> None:
    """Short faint creases over the palm, most across it, and along the fingers' pads."""
    origin, upward, across = _palm_frame(hand)
    upward_unit, across_unit = upward / np.linalg.norm(upward), across / np.linalg.norm(across)
    for _ in range(int(300 * amount)):
        s, t = generator.uniform(0.0, 1.12), generator.uniform(-0.3, 1.25)
        start = origin + s * upward + t * across
        # mostly along the hand below the fingers, across it on the ball of the little finger, both on the thumb's
        heading = generator.choice([0.15, 1.2, 1.9], p=[0.45, 0.3, 0.25] if s > 0.6 else [0.2, 0.4, 0.4])
        heading += generator.normal() * 0.28
        length = generator.gamma(2, 0.0032)
        direction = np.cos(heading) * upward_unit + np.sin(heading) * across_unit
        way = _wander(start, start + length * direction, length * 0.05, generator, 10)
        strength = (0.10 + 0.55 * generator.random() ** 2.5) * np.sin(np.linspace(0.15, np.pi - 0.15, 10)) ** 0.7
        _stroke(sheet, 1, way, np.full(10, generator.uniform(1.4e-4, 2.2e-4)), strength)
    for joint in range(1, 16):
        if joint in (13,):
            continue
        start = hand.joints[joint][[0, 2]]
        follows = hand.tips[{3: 1, 6: 2, 9: 4, 12: 3, 15: 0}[joint]] if joint % 3 == 0 else hand.joints[joint + 1]
        bone = follows[[0, 2]] - start
        sideways = np.array([-bone[1], bone[0]]) / np.linalg.norm(bone)
        for _ in range(int(16 * amount)):
            place = start + generator.uniform(0.1, 0.9) * bone + generator.normal() * 0.003 * sideways
            length, tilt = generator.gamma(3, 0.0011), generator.normal() * 0.35
            direction = sideways + tilt * bone / np.linalg.norm(bone)
            if generator.random() < 0.3:
                direction = bone / np.linalg.norm(bone) + 0.3 * tilt * sideways
            way = _wander(place - length * direction / 2, place + length * direction / 2, length * 0.05, generator, 8)
            strength = (0.1 + 0.45 * generator.random() ** 2) * np.sin(np.linspace(0.15, np.pi - 0.15, 8))
            _stroke(sheet, 1, way, np.full(8, 1.8e-4), strength)
