"""Repeatable noise in space from one generator: patterns made of it have no seams, whatever the charts. NumPy only.

`engine.avatar.noise` says the same for torch; this one reads its random numbers from a small lattice that repeats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LATTICE = 32
"""Cells after which noise repeats; at the wavelengths used, farther than any part of a hand looks alike."""


class Noise(NamedTuple):
    """Smooth random fields of unit variance."""

    values: np.ndarray
    """[LATTICE³ + padding] even in [-1, 1)"""
    offsets: np.ndarray
    """[64,3] where each field lies in the lattice, in cells"""


def make_noise(generator: np.random.Generator) -> Noise:
    """One person's noise."""
    values = generator.uniform(-1, 1, LATTICE**3).astype(np.float32)
    return Noise(values, generator.uniform(0, LATTICE, (64, 3)).astype(np.float32))


def smooth_noise(noise: Noise, points: np.ndarray, wavelength: float | tuple[float, ...], field: int) -> np.ndarray:
    """Noise [N] of unit variance and about a wavelength (metres; or one for each axis) at points [N,3] metres."""
    scaled = points / np.asarray(wavelength, np.float32) + noise.offsets[field]
    floor = np.floor(scaled)
    fraction = (scaled - floor).astype(np.float32)
    fade = fraction * fraction * fraction * (fraction * (fraction * 6 - 15) + 10)
    cell = floor.astype(np.int32) & (LATTICE - 1)
    following = (cell + 1) & (LATTICE - 1)
    rows = (cell[:, 0] * LATTICE**2, following[:, 0] * LATTICE**2)
    columns = (cell[:, 1] * LATTICE, following[:, 1] * LATTICE)
    layers = (cell[:, 2], following[:, 2])

    def along_z(x: int, y: int) -> np.ndarray:
        base = rows[x] + columns[y]
        near, far = noise.values[base + layers[0]], noise.values[base + layers[1]]
        return near + fade[:, 2] * (far - near)

    def along_y(x: int) -> np.ndarray:
        near = along_z(x, 0)
        return near + fade[:, 1] * (along_z(x, 1) - near)

    left = along_y(0)
    right = along_y(1)
    # Even lattice values have variance 1/3; the blend keeps about 0.48 of it on average over a cell.
    return (left + fade[:, 0] * (right - left)) * np.float32((3 / 0.48) ** 0.5)


def octaves(
    noise: Noise, points: np.ndarray, wavelengths: tuple[float, ...], deviations: tuple[float, ...], field: int
) -> np.ndarray:
    """Sum of noises [N] of several wavelengths (metres), each with its standard deviation."""
    parts = zip(wavelengths, deviations, strict=True)
    return sum(
        (np.float32(d) * smooth_noise(noise, points, w, field + k) for k, (w, d) in enumerate(parts)),
        np.zeros(len(points), np.float32),
    )


def cell_ridges(noise: Noise, points: np.ndarray, spacing: float | tuple[float, ...], field: int) -> np.ndarray:
    """Skin-like relief [N] in [0,1]: 0 in the furrows between cells, 1 on the plateaus (second minus first nearest point
    of a jittered lattice, Worley 1996). Points [N,3] and spacing (or one for each axis) in metres."""
    scaled = points / np.asarray(spacing, np.float32) + noise.offsets[field]
    floor = np.floor(scaled)
    fraction = (scaled - floor).astype(np.float32)
    cell = floor.astype(np.int32)
    first = np.full(len(points), 9.0, np.float32)
    second = first.copy()
    # Only the nearer neighbours along each axis can hold the two nearest of points that stray by 0.3 of a cell
    side = np.where(fraction > 0.5, 1, -1).astype(np.int32)
    for index in range(8):
        step = side * np.array([index & 1, index >> 1 & 1, index >> 2 & 1], np.int32)
        neighbour = (cell + step) & (LATTICE - 1)
        at = neighbour[:, 0] * LATTICE**2 + neighbour[:, 1] * LATTICE + neighbour[:, 2]
        squared = np.zeros(len(points), np.float32)
        for axis in range(3):
            jitter = noise.values[(at + 7001 * axis) % LATTICE**3]
            squared += (step[:, axis] + 0.5 + 0.3 * jitter - fraction[:, axis]) ** 2
        distance = np.sqrt(squared)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return np.clip((second - first) / 0.35, 0, 1)
