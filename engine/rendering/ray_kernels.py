"""Rays against a mesh's BVH, one source for CPU and CUDA. No gradients: what a ray meets is a constant."""

from __future__ import annotations

from ..warp_start import wp

__all__ = ["find_any", "find_nearest"]


@wp.kernel
def find_nearest(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    max_distance: float,
    first: int,
    faces: wp.array(dtype=wp.int32),
    weights: wp.array(dtype=wp.vec3),
    distances: wp.array(dtype=wp.float32),
):
    """The nearest face on each ray (left as it was where there is none), the weights of its corners, the distance."""
    ray = first + wp.tid()
    query = wp.mesh_query_ray(mesh, origins[ray], directions[ray], max_distance)
    if query.result:
        faces[ray] = query.face
        weights[ray] = wp.vec3(query.u, query.v, 1.0 - query.u - query.v)
        distances[ray] = query.t


@wp.kernel
def find_any(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    max_distance: float,
    first: int,
    hit: wp.array(dtype=wp.uint8),
):
    """hit[i] = 1 where the ray from origins[i] along directions[i] meets the mesh."""
    ray = first + wp.tid()
    if wp.mesh_query_ray_anyhit(mesh, origins[ray], directions[ray], max_distance):
        hit[ray] = wp.uint8(1)
