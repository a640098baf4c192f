"""Distance queries against a mesh, one source for CPU and CUDA."""

from __future__ import annotations

from ..warp_start import wp

wp.set_module_options({"enable_backward": False})

FARTHEST_M = wp.constant(10.0)


@wp.kernel
def query_distance(
    first: int,
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
):
    """Distance of each point to the mesh, negative where the winding number says inside."""
    index = first + wp.tid()
    query = wp.mesh_query_point_sign_winding_number(mesh, points[index], FARTHEST_M)
    if query.result:
        closest = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
        distance[index] = query.sign * wp.length(points[index] - closest)
    else:
        distance[index] = FARTHEST_M
