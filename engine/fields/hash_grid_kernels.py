"""The hash grid's kernels, one source for CPU and CUDA: features, Jacobian and their adjoints, written out by hand.

A kernel's thread takes one level and a run of consecutive points: on the CPU long runs, which keep a level's numbers in
registers and its table in the cache; on CUDA runs of one. Levels change slowest and points lie side by side in what is read
and written, so that memory is passed through in order. Where a point lies in its cell is worked out in float64: float32 would
lose the fraction on fine levels.
"""

from __future__ import annotations

from typing import Any

from ..warp_start import wp

__all__ = ["encode", "encode_with_jacobian", "point_gradient", "table_gradient"]

wp.set_module_options({"enable_backward": False})

Entries = wp.types.vector(length=8, dtype=wp.uint32)
Fraction = wp.types.vector(length=3, dtype=wp.float32)

PRIME_Y = wp.constant(wp.uint32(2654435761))
PRIME_Z = wp.constant(wp.uint32(805459861))
POSITIVE = wp.constant(wp.uint32(0x3FFFFFFF))
"""Masks that tell the compiler what holds anyway: no entry is negative, so Warp's support of negative indices falls away."""
HALF = wp.constant(wp.float64(0.5))


@wp.struct
class Level:
    """One resolution of the grid."""

    scale: wp.float32
    """Cells per unit length."""
    weight: wp.float32
    """What the level's features are multiplied with."""
    resolution: wp.uint32
    entries: wp.uint32
    offset: wp.uint32
    hashed: wp.int32


@wp.func
def read_level(number: int, shapes: wp.array2d(dtype=wp.int32), scales: wp.array2d(dtype=wp.float32)):
    """shapes [L,4]: resolution, entries, offset, hashed. scales [L,2]: scale, weight."""
    level = Level()
    level.scale = scales[number, 0]
    level.weight = scales[number, 1]
    level.resolution = wp.uint32(shapes[number, 0])
    level.entries = wp.uint32(shapes[number, 1]) & POSITIVE
    level.offset = wp.uint32(shapes[number, 2]) & POSITIVE
    level.hashed = shapes[number, 3]
    return level


@wp.func
def wrap(index: wp.uint32, entries: wp.uint32):
    """index modulo entries; only the outermost vertices of a dense level, or points outside the grid, need it."""
    if index >= entries:
        index = index % entries
    return index & POSITIVE


@wp.func
def locate(point: wp.vec3, level: Level):
    """The table entries of the eight vertices around a point (bit d of the number: axis d's upper side) and its place between."""
    x = wp.float64(point[0]) * wp.float64(level.scale) + HALF
    y = wp.float64(point[1]) * wp.float64(level.scale) + HALF
    z = wp.float64(point[2]) * wp.float64(level.scale) + HALF
    cell_x = wp.floor(x)
    cell_y = wp.floor(y)
    cell_z = wp.floor(z)
    fraction = Fraction(wp.float32(x - cell_x), wp.float32(y - cell_y), wp.float32(z - cell_z))
    x0 = wp.uint32(wp.int32(cell_x))
    y0 = wp.uint32(wp.int32(cell_y))
    z0 = wp.uint32(wp.int32(cell_z))
    x1 = x0 + wp.uint32(1)
    entries = Entries()
    if level.hashed != 0:
        mask = (level.entries - wp.uint32(1)) & POSITIVE
        y0 = y0 * PRIME_Y
        y1 = y0 + PRIME_Y
        z0 = z0 * PRIME_Z
        z1 = z0 + PRIME_Z
        entries = Entries(
            level.offset + ((x0 ^ y0 ^ z0) & mask),
            level.offset + ((x1 ^ y0 ^ z0) & mask),
            level.offset + ((x0 ^ y1 ^ z0) & mask),
            level.offset + ((x1 ^ y1 ^ z0) & mask),
            level.offset + ((x0 ^ y0 ^ z1) & mask),
            level.offset + ((x1 ^ y0 ^ z1) & mask),
            level.offset + ((x0 ^ y1 ^ z1) & mask),
            level.offset + ((x1 ^ y1 ^ z1) & mask),
        )
    else:
        step_z = level.resolution * level.resolution
        y0 = y0 * level.resolution
        y1 = y0 + level.resolution
        z0 = z0 * step_z
        z1 = z0 + step_z
        entries = Entries(
            level.offset + wrap(x0 + y0 + z0, level.entries),
            level.offset + wrap(x1 + y0 + z0, level.entries),
            level.offset + wrap(x0 + y1 + z0, level.entries),
            level.offset + wrap(x1 + y1 + z0, level.entries),
            level.offset + wrap(x0 + y0 + z1, level.entries),
            level.offset + wrap(x1 + y0 + z1, level.entries),
            level.offset + wrap(x0 + y1 + z1, level.entries),
            level.offset + wrap(x1 + y1 + z1, level.entries),
        )
    return entries, fraction


@wp.kernel
def encode(
    points: wp.array(dtype=wp.vec3),
    table: wp.array(dtype=wp.vec2),
    active: wp.array(dtype=wp.int32),
    shapes: wp.array2d(dtype=wp.int32),
    scales: wp.array2d(dtype=wp.float32),
    first: int,
    end: int,
    run: int,
    features: wp.array2d(dtype=wp.float32),
):
    """features[2 level + f, i] of points first ≤ i < end on the active levels."""
    slot, block = wp.tid()
    number = active[slot]
    row = 2 * number
    level = read_level(number, shapes, scales)
    start = first + block * run
    for i in range(start, wp.min(start + run, end)):
        entries, fraction = locate(points[i], level)
        v0 = table[entries[0]]
        v2 = table[entries[2]]
        v4 = table[entries[4]]
        v6 = table[entries[6]]
        a0 = v0 + fraction[0] * (table[entries[1]] - v0)
        a1 = v2 + fraction[0] * (table[entries[3]] - v2)
        a2 = v4 + fraction[0] * (table[entries[5]] - v4)
        a3 = v6 + fraction[0] * (table[entries[7]] - v6)
        b0 = a0 + fraction[1] * (a1 - a0)
        b1 = a2 + fraction[1] * (a3 - a2)
        value = level.weight * (b0 + fraction[2] * (b1 - b0))
        features[row, i] = value[0]
        features[row + 1, i] = value[1]


@wp.kernel
def encode_with_jacobian(
    points: wp.array(dtype=wp.vec3),
    table: wp.array(dtype=wp.vec2),
    active: wp.array(dtype=wp.int32),
    shapes: wp.array2d(dtype=wp.int32),
    scales: wp.array2d(dtype=wp.float32),
    first: int,
    end: int,
    run: int,
    features: wp.array2d(dtype=wp.float32),
    jacobian: wp.array3d(dtype=wp.float32),
):
    """As `encode`, and jacobian[2 level + f, axis, i] = d features / d point."""
    slot, block = wp.tid()
    number = active[slot]
    row = 2 * number
    level = read_level(number, shapes, scales)
    slope = level.weight * level.scale
    start = first + block * run
    for i in range(start, wp.min(start + run, end)):
        entries, fraction = locate(points[i], level)
        v0 = table[entries[0]]
        v2 = table[entries[2]]
        v4 = table[entries[4]]
        v6 = table[entries[6]]
        e0 = table[entries[1]] - v0
        e1 = table[entries[3]] - v2
        e2 = table[entries[5]] - v4
        e3 = table[entries[7]] - v6
        a0 = v0 + fraction[0] * e0
        a1 = v2 + fraction[0] * e1
        a2 = v4 + fraction[0] * e2
        a3 = v6 + fraction[0] * e3
        b0 = a0 + fraction[1] * (a1 - a0)
        b1 = a2 + fraction[1] * (a3 - a2)
        f0 = e0 + fraction[1] * (e1 - e0)
        f1 = e2 + fraction[1] * (e3 - e2)
        by_x = slope * (f0 + fraction[2] * (f1 - f0))
        g0 = a1 - a0
        by_y = slope * (g0 + fraction[2] * (a3 - a2 - g0))
        by_z = slope * (b1 - b0)
        value = level.weight * (b0 + fraction[2] * (b1 - b0))
        features[row, i] = value[0]
        features[row + 1, i] = value[1]
        jacobian[row, 0, i] = by_x[0]
        jacobian[row, 1, i] = by_y[0]
        jacobian[row, 2, i] = by_z[0]
        jacobian[row + 1, 0, i] = by_x[1]
        jacobian[row + 1, 1, i] = by_y[1]
        jacobian[row + 1, 2, i] = by_z[1]


@wp.func
def add(table: wp.array(dtype=wp.vec2), entry: wp.uint32, value: wp.vec2):
    wp.atomic_add(table, wp.int32(entry), value)


@wp.kernel
def table_gradient(
    points: wp.array(dtype=wp.vec3),
    d_features: wp.array2d(dtype=wp.float32),
    d_jacobian: wp.array3d(dtype=wp.float32),
    active: wp.array(dtype=wp.int32),
    shapes: wp.array2d(dtype=wp.int32),
    scales: wp.array2d(dtype=wp.float32),
    with_jacobian: int,
    first_slot: int,
    end: int,
    run: int,
    d_table: wp.array(dtype=wp.vec2),
):
    """Adds the adjoint of `encode_with_jacobian` in the table; of `encode` where with_jacobian is 0.

    Warp's atomics are plain sums on the CPU: there, one launch at a time may work on a level.
    """
    slot, block = wp.tid()
    number = active[first_slot + slot]
    row = 2 * number
    level = read_level(number, shapes, scales)
    slope = level.weight * level.scale
    start = block * run
    for i in range(start, wp.min(start + run, end)):
        entries, fraction = locate(points[i], level)
        x = fraction[0]
        y = fraction[1]
        z = fraction[2]
        value = level.weight * wp.vec2(d_features[row, i], d_features[row + 1, i])
        by_x = wp.vec2()
        by_y = wp.vec2()
        by_z = wp.vec2()
        if with_jacobian != 0:
            by_x = slope * wp.vec2(d_jacobian[row, 0, i], d_jacobian[row + 1, 0, i])
            by_y = slope * wp.vec2(d_jacobian[row, 1, i], d_jacobian[row + 1, 1, i])
            by_z = slope * wp.vec2(d_jacobian[row, 2, i], d_jacobian[row + 1, 2, i])
        # what flows to the four edges along x: its value, then its slope along x
        low = (1.0 - z) * value - by_z
        high = z * value + by_z
        a0 = (1.0 - y) * low - (1.0 - z) * by_y
        a1 = y * low + (1.0 - z) * by_y
        a2 = (1.0 - y) * high - z * by_y
        a3 = y * high + z * by_y
        e0 = x * a0 + ((1.0 - y) * (1.0 - z)) * by_x
        e1 = x * a1 + (y * (1.0 - z)) * by_x
        e2 = x * a2 + ((1.0 - y) * z) * by_x
        e3 = x * a3 + (y * z) * by_x
        add(d_table, entries[0], a0 - e0)
        add(d_table, entries[1], e0)
        add(d_table, entries[2], a1 - e1)
        add(d_table, entries[3], e1)
        add(d_table, entries[4], a2 - e2)
        add(d_table, entries[5], e2)
        add(d_table, entries[6], a3 - e3)
        add(d_table, entries[7], e3)


@wp.kernel
def point_gradient(
    points: wp.array(dtype=wp.vec3),
    table: wp.array(dtype=wp.vec2),
    d_features: wp.array2d(dtype=wp.float32),
    d_jacobian: wp.array3d(dtype=wp.float32),
    active: wp.array(dtype=wp.int32),
    shapes: wp.array2d(dtype=wp.int32),
    scales: wp.array2d(dtype=wp.float32),
    with_jacobian: int,
    first: int,
    end: int,
    run: int,
    d_points: wp.array(dtype=wp.vec3),
):
    """Adds the adjoint of `encode_with_jacobian` in points first ≤ i < end; of `encode` where with_jacobian is 0.

    Trilinear interpolation has mixed second derivatives only.
    """
    slot, block = wp.tid()
    number = active[slot]
    row = 2 * number
    level = read_level(number, shapes, scales)
    slope = level.weight * level.scale
    bend = slope * level.scale
    start = first + block * run
    for i in range(start, wp.min(start + run, end)):
        entries, fraction = locate(points[i], level)
        v0 = table[entries[0]]
        v2 = table[entries[2]]
        v4 = table[entries[4]]
        v6 = table[entries[6]]
        e0 = table[entries[1]] - v0
        e1 = table[entries[3]] - v2
        e2 = table[entries[5]] - v4
        e3 = table[entries[7]] - v6
        a0 = v0 + fraction[0] * e0
        a2 = v4 + fraction[0] * e2
        f0 = e0 + fraction[1] * (e1 - e0)
        f1 = e2 + fraction[1] * (e3 - e2)
        g0 = v2 + fraction[0] * e1 - a0
        g1 = v6 + fraction[0] * e3 - a2
        d_value = slope * wp.vec2(d_features[row, i], d_features[row + 1, i])
        by_x = wp.dot(d_value, f0 + fraction[2] * (f1 - f0))
        by_y = wp.dot(d_value, g0 + fraction[2] * (g1 - g0))
        by_z = wp.dot(d_value, (a2 + fraction[1] * g1) - (a0 + fraction[1] * g0))
        if with_jacobian != 0:
            d_x = bend * wp.vec2(d_jacobian[row, 0, i], d_jacobian[row + 1, 0, i])
            d_y = bend * wp.vec2(d_jacobian[row, 1, i], d_jacobian[row + 1, 1, i])
            d_z = bend * wp.vec2(d_jacobian[row, 2, i], d_jacobian[row + 1, 2, i])
            h0 = e1 - e0
            by_xy = h0 + fraction[2] * (e3 - e2 - h0)
            by_xz = f1 - f0
            by_yz = g1 - g0
            by_x += wp.dot(d_y, by_xy) + wp.dot(d_z, by_xz)
            by_y += wp.dot(d_x, by_xy) + wp.dot(d_z, by_yz)
            by_z += wp.dot(d_x, by_xz) + wp.dot(d_y, by_yz)
        wp.atomic_add(d_points, i, wp.vec3(by_x, by_y, by_z))


def as_points(tensor: Any) -> Any:
    """[N,3] float32 → Warp array of N vectors that shares its memory."""
    return wp.from_torch(tensor.detach(), dtype=wp.vec3)


def as_pairs(tensor: Any) -> Any:
    """[E,2] float32 → Warp array of E pairs that shares its memory."""
    return wp.from_torch(tensor.detach(), dtype=wp.vec2)


def as_numbers(tensor: Any) -> Any:
    """Any tensor → Warp array of scalars that shares its memory."""
    return wp.from_torch(tensor.detach())
