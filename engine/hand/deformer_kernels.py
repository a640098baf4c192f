"""Inverse skinning kernels, one source for CPU and CUDA. They carry no gradient; `deformer` attaches the implicit one."""

from __future__ import annotations

from typing import Any

from ..warp_start import wp

wp.set_module_options({"enable_backward": False})

mat34 = wp.types.matrix(shape=(3, 4), dtype=wp.float32)


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


@wp.func
def cell_coordinate(position: float, resolution: int) -> float:
    """The low corner of the cell that holds a position (in nodes); beyond the cube, of the nearest cell."""
    return wp.clamp(wp.floor(position), 0.0, float(resolution - 2))


@wp.func
def corner(grid: BlendGrid, node: int, row: int) -> mat34:
    return grid.transforms[row + grid.row_of_node[node]]


@wp.func
def blend_at(grid: BlendGrid, node: int, row: int, f: wp.vec3) -> mat34:
    """Trilinear interpolation in the cell whose low corner is `node`; f in [0,1]³."""
    r = grid.resolution
    gx = 1.0 - f[0]
    c00 = gx * corner(grid, node, row) + f[0] * corner(grid, node + 1, row)
    c10 = gx * corner(grid, node + r, row) + f[0] * corner(grid, node + r + 1, row)
    c01 = gx * corner(grid, node + r * r, row) + f[0] * corner(grid, node + r * r + 1, row)
    c11 = gx * corner(grid, node + r * r + r, row) + f[0] * corner(grid, node + r * r + r + 1, row)
    return (1.0 - f[2]) * ((1.0 - f[1]) * c00 + f[1] * c10) + f[2] * ((1.0 - f[1]) * c01 + f[1] * c11)


@wp.func
def blend(grid: BlendGrid, hand: int, x: wp.vec3) -> mat34:
    """The blended transform at a canonical point, constant beyond the cube's faces."""
    p = (x - grid.low) * grid.nodes_per_metre
    base = wp.vec3(
        cell_coordinate(p[0], grid.resolution),
        cell_coordinate(p[1], grid.resolution),
        cell_coordinate(p[2], grid.resolution),
    )
    f = p - base
    f = wp.vec3(wp.clamp(f[0], 0.0, 1.0), wp.clamp(f[1], 0.0, 1.0), wp.clamp(f[2], 0.0, 1.0))
    node = (int(base[2]) * grid.resolution + int(base[1])) * grid.resolution + int(base[0])
    return blend_at(grid, grid.first_node[hand] + node, grid.first_row[hand], f)


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
def start_allowed(grid: BlendGrid, starts: wp.array(dtype=wp.int32), hand: int, x: wp.vec3, bone: int) -> bool:
    """Whether a search from bone `bone` may begin at x: inside the cube, and where that bone has some weight."""
    p = (x - grid.low) * grid.nodes_per_metre
    last = float(grid.resolution - 1)
    if p[0] < 0.0 or p[1] < 0.0 or p[2] < 0.0 or p[0] > last or p[1] > last or p[2] > last:
        return False
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
    number = int(0)
    size = 2.0 * float(grid.resolution - 1) / grid.nodes_per_metre * 0.5
    for bone in range(bones.shape[1]):
        rigid = bones[hand, bone]
        offset = target - wp.vec3(rigid[0, 3], rigid[1, 3], rigid[2, 3])
        x = wp.transpose(linear_part(rigid)) * offset
        if start_allowed(grid, starts, hand, x, bone):
            m = blend(grid, hand, x)
            residual = carry(m, x) - target
            inverse = wp.transpose(linear_part(m))
            error = wp.length(residual)
            step = int(0)
            while error >= converged and error <= diverged and step < iterations:
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
            inside = x - grid.low
            if (
                error < converged
                and wp.min(inside[0], wp.min(inside[1], inside[2])) >= 0.0
                and wp.max(inside[0], wp.max(inside[1], inside[2])) <= size
            ):
                new = bool(True)
                for other in range(number):
                    if wp.length(found[index, other] - x) < duplicate:
                        new = False
                if new:
                    found[index, number] = x
                    number += 1
    count[index] = number


@wp.kernel
def differentiate(
    first: int,
    points: wp.array(dtype=wp.vec3),
    hands: wp.array(dtype=wp.int32),
    grid: BlendGrid,
    linear: wp.array(dtype=wp.mat33),
    inverse_jacobian: wp.array(dtype=wp.mat33),
):
    """At canonical points: the blended 3x3 and the inverse of the skinning map's whole Jacobian, the weights' change included."""
    index = first + wp.tid()
    x = points[index]
    hand = hands[index]
    r = grid.resolution
    p = (x - grid.low) * grid.nodes_per_metre
    base = wp.vec3(cell_coordinate(p[0], r), cell_coordinate(p[1], r), cell_coordinate(p[2], r))
    f = p - base
    f = wp.vec3(wp.clamp(f[0], 0.0, 1.0), wp.clamp(f[1], 0.0, 1.0), wp.clamp(f[2], 0.0, 1.0))
    node = grid.first_node[hand] + (int(base[2]) * r + int(base[1])) * r + int(base[0])
    row = grid.first_row[hand]
    rotation = linear_part(blend_at(grid, node, row, f))
    jacobian = rotation
    for axis in range(3):
        if p[axis] >= 0.0 and p[axis] <= float(r - 1):
            low, high = f, f
            low[axis] = 0.0
            high[axis] = 1.0
            slope = (carry(blend_at(grid, node, row, high), x) - carry(blend_at(grid, node, row, low), x)) * (
                grid.nodes_per_metre
            )
            for component in range(3):
                jacobian[component, axis] = jacobian[component, axis] + slope[component]
    linear[index] = rotation
    # where the map folds, its inverse has no bound: there the rotation's serves
    if wp.abs(wp.determinant(jacobian)) > 0.02:
        inverse_jacobian[index] = wp.inverse(jacobian)
    else:
        inverse_jacobian[index] = wp.transpose(rotation)


def struct_of(**values: Any) -> Any:
    """A BlendGrid with its fields set."""
    grid = BlendGrid()
    for name, value in values.items():
        setattr(grid, name, value)
    return grid
