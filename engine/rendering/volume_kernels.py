"""Kernels of the empty-space grid, one source for CPU and CUDA; they carry no gradient."""

from __future__ import annotations

from ..warp_start import wp

wp.set_module_options({"enable_backward": False})


@wp.kernel
def splat_vertices(
    first: int,
    vertices: wp.array2d(dtype=wp.vec3),
    lowest: wp.array(dtype=wp.vec3),
    cell_size: wp.array(dtype=float),
    band: float,
    cells: wp.array4d(dtype=wp.uint8),
):
    """One thread a hand and vertex: sets every cell that comes nearer to the vertex than the band."""
    row, vertex = wp.tid()
    hand = first + row
    size = cell_size[hand]
    resolution = cells.shape[1]
    point = (vertices[hand, vertex] - lowest[hand]) / size
    reach = band / size
    i_first = wp.max(int(wp.floor(point[0] - reach)), 0)
    j_first = wp.max(int(wp.floor(point[1] - reach)), 0)
    i_last = wp.min(int(wp.floor(point[0] + reach)), resolution - 1)
    j_last = wp.min(int(wp.floor(point[1] + reach)), resolution - 1)
    for i in range(i_first, i_last + 1):
        x = wp.max(wp.max(float(i) - point[0], point[0] - float(i) - 1.0), 0.0)
        for j in range(j_first, j_last + 1):
            y = wp.max(wp.max(float(j) - point[1], point[1] - float(j) - 1.0), 0.0)
            rest = reach * reach - x * x - y * y
            if rest > 0.0:
                half = wp.sqrt(rest)
                k_first = wp.max(int(wp.floor(point[2] - half)), 0)
                k_last = wp.min(int(wp.floor(point[2] + half)), resolution - 1)
                for k in range(k_first, k_last + 1):
                    cells[hand, i, j, k] = wp.uint8(1)


@wp.kernel
def march_lattice(
    first: int,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    hand: wp.array(dtype=wp.int64),
    phase: wp.array(dtype=float),
    step: float,
    max_distance: float,
    lowest: wp.array(dtype=wp.vec3),
    cell_size: wp.array(dtype=float),
    cells: wp.array4d(dtype=wp.uint8),
    fill: int,
    row_start: wp.array(dtype=wp.int64),
    count: wp.array(dtype=wp.int64),
    ray_index: wp.array(dtype=wp.int64),
    interval_start: wp.array(dtype=float),
    interval_end: wp.array(dtype=float),
):
    """One thread a ray: counts, or writes from row_start on, the lattice intervals whose midpoint lies in an occupied cell."""
    ray = first + wp.tid()
    owner = int(hand[ray])
    size = cell_size[owner]
    resolution = cells.shape[1]
    origin = (origins[ray] - lowest[owner]) / size
    direction = directions[ray] / size
    enter = float(0.0)
    leave = float(max_distance)
    for axis in range(3):
        if wp.abs(direction[axis]) > 1.0e-12:
            near = -origin[axis] / direction[axis]
            far = (float(resolution) - origin[axis]) / direction[axis]
            # what is not a number bounds nothing: such a ray would march to the end of the world
            if wp.abs(near + far) >= 0.0:
                enter = wp.max(enter, wp.min(near, far))
                leave = wp.min(leave, wp.max(near, far))
            else:
                leave = -1.0
        elif not (origin[axis] >= 0.0 and origin[axis] <= float(resolution)):
            leave = -1.0
    found = wp.int64(0)
    if enter < leave:
        k = wp.max(int(wp.floor((enter - phase[ray]) / step)), 0)
        middle = phase[ray] + (float(k) + 0.5) * step
        while middle < leave:
            point = origin + middle * direction
            i = int(wp.floor(point[0]))
            j = int(wp.floor(point[1]))
            m = int(wp.floor(point[2]))
            inside = i >= 0 and j >= 0 and m >= 0 and i < resolution and j < resolution and m < resolution
            if inside:  # noqa: SIM102 - Warp would evaluate both sides
                if cells[owner, i, j, m] != wp.uint8(0):
                    if fill == 1:
                        row = int(row_start[ray] + found)
                        ray_index[row] = wp.int64(ray)
                        interval_start[row] = phase[ray] + float(k) * step
                        interval_end[row] = phase[ray] + float(k + 1) * step
                    found += wp.int64(1)
            k += 1
            middle = phase[ray] + (float(k) + 0.5) * step
    if fill == 0:
        count[ray] = found
