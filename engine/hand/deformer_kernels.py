"""Inverse skinning kernels, one source for CPU and CUDA. They carry no gradient; `deformer` attaches the implicit one."""

from __future__ import annotations

from typing import Any

from ..warp_start import wp

wp.set_module_options({"enable_backward": False})

mat34 = wp.types.matrix(shape=(3, 4), dtype=wp.float32)
SMALLEST_DETERMINANT = wp.constant(0.02)


@wp.struct
class BlendGrid:
    """Blended bone transforms of all hands at the nodes of their skinning grids."""

    transforms: wp.array(dtype=mat34)  # node rows of hand 0, of hand 1, ...
    first_row: wp.array(dtype=wp.int32)  # [B]
    row_of_node: wp.array(dtype=wp.int32)  # [G*R*R*R]
    first_node: wp.array(dtype=wp.int32)  # [B] g*R*R*R of the hand's shape
    low: wp.vec3  # the cube's low corner, metres
    nodes_per_metre: wp.float32
    resolution: wp.int32


@wp.struct
class Cell:
    """Where a canonical point lies in its hand's grid."""

    node: wp.int32  # the cell's low corner, in row_of_node
    row: wp.int32  # the hand's first row
    fraction: wp.vec3  # in [0,1], constant beyond the cube's faces


@wp.func
def low_corner(position: float, resolution: int) -> float:
    # written so that what is not a number becomes 0 and never an index
    if position >= 0.0:
        return wp.min(wp.floor(position), float(resolution - 2))
    return 0.0


@wp.func
def cell_of(grid: BlendGrid, hand: int, x: wp.vec3) -> Cell:
    r = grid.resolution
    p = (x - grid.low) * grid.nodes_per_metre
    base = wp.vec3(low_corner(p[0], r), low_corner(p[1], r), low_corner(p[2], r))
    f = p - base
    cell = Cell()
    cell.node = grid.first_node[hand] + (int(base[2]) * r + int(base[1])) * r + int(base[0])
    cell.row = grid.first_row[hand]
    cell.fraction = wp.vec3(wp.clamp(f[0], 0.0, 1.0), wp.clamp(f[1], 0.0, 1.0), wp.clamp(f[2], 0.0, 1.0))
    return cell


@wp.func
def corner(grid: BlendGrid, cell: Cell, x: int, y: int, z: int) -> mat34:
    r = grid.resolution
    return grid.transforms[cell.row + grid.row_of_node[cell.node + (z * r + y) * r + x]]


@wp.func
def blend(grid: BlendGrid, hand: int, x: wp.vec3) -> mat34:
    """The blended transform at a canonical point: trilinear in its cell."""
    cell = cell_of(grid, hand, x)
    f = cell.fraction
    g = wp.vec3(1.0, 1.0, 1.0) - f
    c00 = g[0] * corner(grid, cell, 0, 0, 0) + f[0] * corner(grid, cell, 1, 0, 0)
    c10 = g[0] * corner(grid, cell, 0, 1, 0) + f[0] * corner(grid, cell, 1, 1, 0)
    c01 = g[0] * corner(grid, cell, 0, 0, 1) + f[0] * corner(grid, cell, 1, 0, 1)
    c11 = g[0] * corner(grid, cell, 0, 1, 1) + f[0] * corner(grid, cell, 1, 1, 1)
    return g[2] * (g[1] * c00 + f[1] * c10) + f[2] * (g[1] * c01 + f[1] * c11)


@wp.func
def linear_part(m: mat34) -> wp.mat33:
    return wp.mat33(m[0, 0], m[0, 1], m[0, 2], m[1, 0], m[1, 1], m[1, 2], m[2, 0], m[2, 1], m[2, 2])


@wp.func
def carry(m: mat34, x: wp.vec3) -> wp.vec3:
    """m [x; 1]."""
    return wp.vec3(
        m[0, 0] * x[0] + m[0, 1] * x[1] + m[0, 2] * x[2] + m[0, 3],
        m[1, 0] * x[0] + m[1, 1] * x[1] + m[1, 2] * x[2] + m[1, 3],
        m[2, 0] * x[0] + m[2, 1] * x[1] + m[2, 2] * x[2] + m[2, 3],
    )


@wp.func
def inside(grid: BlendGrid, x: wp.vec3) -> bool:
    """Whether a point lies in the cube."""
    p = (x - grid.low) * grid.nodes_per_metre
    last = float(grid.resolution - 1)
    return wp.min(p[0], wp.min(p[1], p[2])) >= 0.0 and wp.max(p[0], wp.max(p[1], p[2])) <= last


@wp.func
def start_matters(grid: BlendGrid, starts: wp.array(dtype=wp.int32), hand: int, x: wp.vec3, bone: int) -> bool:
    """Whether the hand is near and the bone has some weight around x, a point in the cube."""
    p = (x - grid.low) * grid.nodes_per_metre
    cell = (int(p[2]) * grid.resolution + int(p[1])) * grid.resolution + int(p[0])
    return ((starts[grid.first_node[hand] + cell] >> bone) & 1) == 1


@wp.kernel
def search(
    first: int,
    points: wp.array(dtype=wp.vec3),
    hands: wp.array(dtype=wp.int32),
    bones: wp.array2d(dtype=mat34),
    grid: BlendGrid,
    starts: wp.array(dtype=wp.int32),
    iterations: int,
    converged: float,
    diverged: float,
    duplicate: float,
    found: wp.array2d(dtype=wp.vec3),
    count: wp.array(dtype=wp.int32),
):
    """All canonical points of one posed point: Broyden's method once per bone, equal results kept once.

    bones [B,J] canonical → posed, rigid. found[i, 0 .. count[i]-1] are the results; the rest of a row is left as it was.
    """
    index = first + wp.tid()
    target = points[index]
    hand = hands[index]
    bone_count = bones.shape[1]
    number = int(0)
    attempt = int(0)
    # every bone that matters where its rigid frame puts the point; the others only when those find nothing
    while attempt < bone_count or (attempt < 2 * bone_count and number == 0):
        again = attempt >= bone_count
        bone = attempt % bone_count
        attempt += 1
        rigid = bones[hand, bone]
        offset = target - wp.vec3(rigid[0, 3], rigid[1, 3], rigid[2, 3])
        x = wp.transpose(linear_part(rigid)) * offset
        if inside(grid, x) and start_matters(grid, starts, hand, x, bone) != again:
            m = blend(grid, hand, x)
            residual = carry(m, x) - target
            inverse = wp.transpose(linear_part(m))
            error = wp.length(residual)
            step = int(0)
            allowed = iterations
            if again:
                allowed = 3 * iterations
            while error >= converged and error <= diverged and step < allowed:
                dx = -(inverse * residual)
                x = x + dx
                m = blend(grid, hand, x)
                after = carry(m, x) - target
                change = after - residual
                moved = inverse * change
                curvature = wp.dot(dx, moved)
                if wp.abs(curvature) > 1.0e-20:
                    inverse = inverse + wp.outer(dx - moved, wp.transpose(inverse) * dx) / curvature
                residual = after
                error = wp.length(residual)
                step += 1
            if error < converged and inside(grid, x):
                new = bool(True)
                for other in range(number):
                    if wp.length(found[index, other] - x) < duplicate:
                        new = False
                if new:
                    found[index, number] = x
                    number += 1
    count[index] = number


@wp.func
def change_of_blend(grid: BlendGrid, hand: int, x: wp.vec3) -> wp.mat33:
    """d/dp of blend(p) [x; 1] at p = x: the part of the map's Jacobian that comes from the weights' change."""
    cell = cell_of(grid, hand, x)
    f = cell.fraction
    g = wp.vec3(1.0, 1.0, 1.0) - f
    y000 = carry(corner(grid, cell, 0, 0, 0), x)
    y100 = carry(corner(grid, cell, 1, 0, 0), x)
    y010 = carry(corner(grid, cell, 0, 1, 0), x)
    y110 = carry(corner(grid, cell, 1, 1, 0), x)
    y001 = carry(corner(grid, cell, 0, 0, 1), x)
    y101 = carry(corner(grid, cell, 1, 0, 1), x)
    y011 = carry(corner(grid, cell, 0, 1, 1), x)
    y111 = carry(corner(grid, cell, 1, 1, 1), x)
    along_x = g[2] * (g[1] * (y100 - y000) + f[1] * (y110 - y010)) + f[2] * (
        g[1] * (y101 - y001) + f[1] * (y111 - y011)
    )
    along_y = g[2] * (g[0] * (y010 - y000) + f[0] * (y110 - y100)) + f[2] * (
        g[0] * (y011 - y001) + f[0] * (y111 - y101)
    )
    along_z = g[1] * (g[0] * (y001 - y000) + f[0] * (y101 - y100)) + f[1] * (
        g[0] * (y011 - y010) + f[0] * (y111 - y110)
    )
    return wp.matrix_from_cols(along_x, along_y, along_z) * grid.nodes_per_metre


@wp.func
def inverse_of_map(grid: BlendGrid, hand: int, x: wp.vec3, rotation: wp.mat33) -> wp.mat33:
    """The inverse Jacobian of the skinning map at a canonical point in the cube; rotation: the blended 3x3 there."""
    jacobian = rotation + change_of_blend(grid, hand, x)
    # where the map folds, its inverse has no bound: there the rotation's serves
    if wp.abs(wp.determinant(jacobian)) > SMALLEST_DETERMINANT:
        return wp.inverse(jacobian)
    return wp.transpose(rotation)


@wp.kernel
def differentiate(
    first: int,
    points: wp.array(dtype=wp.vec3),
    hands: wp.array(dtype=wp.int32),
    grid: BlendGrid,
    inverse_jacobian: wp.array(dtype=wp.mat33),
):
    """The inverse Jacobian at canonical points."""
    index = first + wp.tid()
    rotation = linear_part(blend(grid, hands[index], points[index]))
    inverse_jacobian[index] = inverse_of_map(grid, hands[index], points[index], rotation)


@wp.kernel
def pack(
    first: int,
    hands: wp.array(dtype=wp.int32),
    found: wp.array2d(dtype=wp.vec3),
    end: wp.array(dtype=wp.int64),
    count: wp.array(dtype=wp.int32),
    packed: wp.array(dtype=wp.vec3),
    packed_hands: wp.array(dtype=wp.int64),
):
    """All points' candidates one after another; end [N]: where each point's stop."""
    index = first + wp.tid()
    begin = int(end[index]) - count[index]
    for candidate in range(count[index]):
        packed[begin + candidate] = found[index, candidate]
        packed_hands[begin + candidate] = wp.int64(hands[index])


@wp.kernel
def choose(
    first: int,
    hands: wp.array(dtype=wp.int32),
    packed: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    end: wp.array(dtype=wp.int64),
    count: wp.array(dtype=wp.int32),
    grid: BlendGrid,
    no_hit: float,
    points: wp.array(dtype=wp.vec3),
    least: wp.array(dtype=wp.float32),
    inverse_jacobian: wp.array(dtype=wp.mat33),
    linear: wp.array(dtype=wp.mat33),
):
    """Each point's candidate of least signed distance, and the map's derivatives there; identity where there is none."""
    index = first + wp.tid()
    if count[index] == 0:
        points[index] = wp.vec3(0.0, 0.0, 0.0)
        least[index] = no_hit
        inverse_jacobian[index] = wp.identity(n=3, dtype=float)
        linear[index] = wp.identity(n=3, dtype=float)
        return
    stop = int(end[index])
    best = int(stop - count[index])
    for candidate in range(best + 1, stop):
        if distance[candidate] < distance[best]:
            best = candidate
    x = packed[best]
    rotation = linear_part(blend(grid, hands[index], x))
    points[index] = x
    least[index] = distance[best]
    inverse_jacobian[index] = inverse_of_map(grid, hands[index], x, rotation)
    linear[index] = rotation


def struct_of(**values: Any) -> Any:
    """A BlendGrid with its fields set."""
    grid = BlendGrid()
    for name, value in values.items():
        setattr(grid, name, value)
    return grid
