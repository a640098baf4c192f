"""Visibility kernels, one source for CPU and CUDA. Warp compiles them on first use and caches the result per user.

They carry no gradient: which face a pixel sees is a constant, and all that depends on it smoothly is recomputed in torch.
"""

from __future__ import annotations

from ..warp_start import launch, wp

__all__ = ["cast_shadow_rays", "launch", "rasterize_faces"]


@wp.kernel
def rasterize_faces(
    screen: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=wp.int32),
    height: int,
    width: int,
    buffer: wp.array(dtype=wp.int64),
):
    """One thread a face. buffer keeps, per pixel, the greatest (closeness bits << 32 | face) that covers its centre."""
    face = wp.tid()
    a = screen[faces[face, 0]]
    b = screen[faces[face, 1]]
    c = screen[faces[face, 2]]
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    if a[2] <= 0.0 or b[2] <= 0.0 or c[2] <= 0.0 or wp.abs(area) < 1.0e-6:
        return
    left = wp.clamp(wp.floor(wp.min(a[0], wp.min(b[0], c[0])) - 0.5), 0.0, float(width))
    right = wp.clamp(wp.ceil(wp.max(a[0], wp.max(b[0], c[0])) + 0.5), 0.0, float(width))
    top = wp.clamp(wp.floor(wp.min(a[1], wp.min(b[1], c[1])) - 0.5), 0.0, float(height))
    bottom = wp.clamp(wp.ceil(wp.max(a[1], wp.max(b[1], c[1])) + 0.5), 0.0, float(height))
    for row in range(int(top), int(bottom)):
        y = float(row) + 0.5
        for column in range(int(left), int(right)):
            x = float(column) + 0.5
            weight_a = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
            weight_b = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
            weight_c = ((a[0] - x) * (b[1] - y) - (a[1] - y) * (b[0] - x)) / area
            if weight_a >= 0.0 and weight_b >= 0.0 and weight_c >= 0.0:
                closeness = weight_a * a[2] + weight_b * b[2] + weight_c * c[2]
                # The bits of positive floats sort as the floats do, so one atomic maximum is the whole depth test.
                key = (wp.int64(wp.cast(closeness, wp.int32)) << wp.int64(32)) | wp.int64(face)
                wp.atomic_max(buffer, row * width + column, key)


@wp.kernel
def cast_shadow_rays(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    max_distance: float,
    hit: wp.array2d(dtype=wp.uint8),
):
    """hit[i,j] = 1 where the ray from origins[i] along directions[j] meets the mesh within max_distance."""
    origin_index, direction_index = wp.tid()
    query = wp.mesh_query_ray_anyhit(mesh, origins[origin_index], directions[direction_index], max_distance)
    if query:
        hit[origin_index, direction_index] = wp.uint8(1)
