"""One picture of a textured mesh: the renderer as a function from tensors to a named tuple."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .antialias import EdgeTable, antialias, edge_table
from .rasterize import Fragments, interpolate, project_vertices, rasterize, to_image


class MeshTopology(NamedTuple):
    """The constant part of a mesh."""

    faces: Tensor
    """[F,3] int64."""
    uv: Tensor
    """[T,2] V upward."""
    uv_faces: Tensor
    """[F,3] int64 into uv."""
    edges: EdgeTable


class SurfaceView(NamedTuple):
    """What a camera sees of a mesh, before shading."""

    fragments: Fragments
    screen: Tensor
    """[V,3] x px, y px, depth m."""
    focal_px: float


class Picture(NamedTuple):
    color: Tensor
    """[H,W,C] antialiased."""
    coverage: Tensor
    """[H,W] in [0,1], antialiased."""


def mesh_topology(faces: Tensor, uv: Tensor, uv_faces: Tensor) -> MeshTopology:
    """faces [F,3], uv [T,2], uv_faces [F,3]."""
    return MeshTopology(faces, uv, uv_faces, edge_table(faces))


def see(vertices: Tensor, topology: MeshTopology, intrinsics: Tensor, height: int, width: int) -> SurfaceView:
    """Visibility of a mesh. vertices [V,3] in the camera's frame (OpenCV axes, metres); intrinsics [3,3] px."""
    screen = project_vertices(vertices, intrinsics)
    fragments = rasterize(screen, topology.faces, height, width)
    return SurfaceView(fragments, screen, float(intrinsics[0, 0]))


def surface_values(view: SurfaceView, values: Tensor, corners: Tensor) -> Tensor:
    """Per-vertex (or per-UV-vertex) values [N,C] at the visible points [P,C]; corners [F,3] names each face's rows."""
    fragments = view.fragments
    return interpolate(values, corners[fragments.faces], fragments.barycentric)


def compose(view: SurfaceView, topology: MeshTopology, values: Tensor, background: Tensor | float = 0.0) -> Picture:
    """Antialiased picture of shaded surface points. values [P,C]; background: number, [C] or [H,W,C]."""
    fragments = view.fragments
    with_coverage = torch.cat([values, torch.ones_like(values[:, :1])], dim=1)
    behind = torch.as_tensor(background, dtype=values.dtype, device=values.device)
    behind = behind.expand(fragments.height, fragments.width, values.shape[1])
    behind = torch.cat([behind, torch.zeros_like(behind[..., :1])], dim=-1)
    image = to_image(fragments, with_coverage, behind)
    depth = to_image(fragments, fragments.depth[:, None].detach(), float("inf"))[..., 0]
    image = antialias(image, depth, view.screen, topology.faces, topology.edges, view.focal_px)
    return Picture(image[..., :-1], image[..., -1])
