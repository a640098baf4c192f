"""Many frames of one mesh rendered at once: their pictures lie below one another in one tall picture.

The calls of a small picture cost more than its arithmetic. A stack of meshes is one mesh to every function that takes vertices,
faces and fragments, so nothing but this file knows of frames.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from .antialias import EdgeTable
from .mesh import MeshTopology, SurfaceView
from .rasterize import Fragments, project_vertices, rasterize


def stack_topology(topology: MeshTopology, count: int) -> MeshTopology:
    """The topology of `count` copies of a mesh whose vertices (and UV vertices) follow one another."""
    if count == 1:
        return topology
    vertices, charts, faces = int(topology.faces.max()) + 1, len(topology.uv), len(topology.faces)
    edges = topology.edges
    opposite_faces = torch.cat([torch.where(edges.faces < 0, -1, edges.faces + k * faces) for k in range(count)])
    return MeshTopology(
        _shifted(topology.faces, vertices, count),
        topology.uv.repeat(count, 1),
        _shifted(topology.uv_faces, charts, count),
        EdgeTable(_shifted(edges.vertices, vertices, count), opposite_faces, _shifted(edges.opposite, vertices, count)),
    )


def _shifted(indices: Tensor, step: int, count: int) -> Tensor:
    return torch.cat([indices + k * step for k in range(count)])


def see_stack(vertices: Tensor, topology: MeshTopology, intrinsics: Tensor, height: int, width: int) -> SurfaceView:
    """Visibility of a mesh in B frames: a view of height B·height.

    vertices [B,V,3] in each camera's frame; topology: `stack_topology` for B; intrinsics [B,3,3] px of the single pictures.
    What leaves its own picture upwards or downwards is not seen in the neighbour's.
    """
    count = len(vertices)
    screen = torch.cat(
        [
            project_vertices(vertices[k], intrinsics[k]) + vertices.new_tensor([0.0, k * height, 0.0])
            for k in range(count)
        ]
    )
    fragments = rasterize(screen, topology.faces, count * height, width)
    if count > 1:
        stray = frame_of_pixels(fragments.pixels, height, width) != torch.div(
            fragments.faces, len(topology.faces) // count, rounding_mode="floor"
        )
        if bool(stray.any()):
            keep = ~stray
            fragments = Fragments(
                fragments.pixels[keep],
                fragments.faces[keep],
                fragments.barycentric[keep],
                fragments.depth[keep],
                fragments.height,
                fragments.width,
            )
    return SurfaceView(fragments, screen, float(intrinsics[:, 0, 0].mean()))


def frame_of_pixels(pixels: Tensor, height: int, width: int) -> Tensor:
    """[P] int64: the frame that each flat pixel index of a stack belongs to."""
    return torch.div(pixels, height * width, rounding_mode="floor")


def frame_slices(pixels: Tensor, count: int, height: int, width: int) -> list[slice]:
    """Where each frame's pixels lie among a stack's, which are in row-major order."""
    borders = torch.arange(count + 1, device=pixels.device) * height * width
    places = torch.searchsorted(pixels.contiguous(), borders).tolist()
    return [slice(low, high) for low, high in pairwise(places)]
