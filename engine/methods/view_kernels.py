"""Normals of a mesh that moves every frame: one thread a vertex, no sums across threads. CPU and CUDA from one source."""

# mypy: ignore-errors
from __future__ import annotations

import torch
from torch import Tensor

from ..threads import parallel_ranges
from ..warp_start import launch, load_kernels, wp


@wp.kernel
def corner_weighted_normals(
    vertices: wp.array(dtype=wp.vec3),
    around: wp.array2d(dtype=wp.int32),
    starts: wp.array(dtype=wp.int32),
    first: int,
    normals: wp.array(dtype=wp.vec3),
):
    """Mean of the faces' normals about a vertex, weighted by their angles there (Thürmer and Wüthrich 1998).

    around [N,2]: the two other corners, in the face's order, of each face about each vertex; starts [V+1] into it.
    """
    vertex = wp.tid() + first
    here = vertices[vertex]
    total = wp.vec3(0.0, 0.0, 0.0)
    for place in range(starts[vertex], starts[vertex + 1]):
        one = vertices[around[place, 0]] - here
        other = vertices[around[place, 1]] - here
        across = wp.cross(one, other)
        area = wp.sqrt(wp.max(wp.dot(across, across), 1.0e-30))
        total += across * (wp.atan2(area, wp.dot(one, other)) / area)
    normals[vertex] = total / wp.max(wp.length(total), 1.0e-12)


class FastNormals:
    """`rendering.surface.vertex_normals` of one mesh, with what its faces say worked out once. No gradient."""

    def __init__(self, faces: Tensor, vertex_count: int):
        """faces [F,3] int64."""
        corners = faces.reshape(-1)
        order = torch.argsort(corners, stable=True)
        others = torch.stack([faces.roll(-1, 1), faces.roll(-2, 1)], dim=-1).reshape(-1, 2)
        counts = torch.bincount(corners, minlength=vertex_count)
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        self.count = vertex_count
        self._kept = (others[order].to(torch.int32).contiguous(), starts.to(torch.int32).contiguous())
        self._around, self._starts = (wp.from_torch(part) for part in self._kept)
        load_kernels(corner_weighted_normals, faces.device)

    def __call__(self, vertices: Tensor) -> Tensor:
        """Unit normals [V,3] of vertices [V,3] float32."""
        vertices = vertices.detach().contiguous()
        normals = torch.empty_like(vertices)
        points, out = wp.from_torch(vertices, dtype=wp.vec3), wp.from_torch(normals, dtype=wp.vec3)

        def run(start: int, stop: int) -> None:
            given = [points, self._around, self._starts, start, out]
            launch(corner_weighted_normals, stop - start, given, vertices.device)

        if vertices.device.type == "cpu":
            parallel_ranges(self.count, run)
        else:
            run(0, self.count)
        return normals
