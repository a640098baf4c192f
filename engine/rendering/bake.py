"""From a picture to a texture: which surface point each texel is, and what the camera saw of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .mesh import MeshTopology, SurfaceView
from .rasterize import barycentric_at, face_buffer, interpolate, pixel_centres, to_image


class TexelMap(NamedTuple):
    """The texels that lie on the mesh, N of them."""

    texels: Tensor
    """[N] int64 flat index into the size × size map, row-major from the top."""
    faces: Tensor
    """[N] int64"""
    barycentric: Tensor
    """[N,3]"""
    size: int

    def gather(self, values: Tensor, corners: Tensor) -> Tensor:
        """Per-vertex values [V,C] at the texels [N,C]; corners [F,3] names each face's rows."""
        return interpolate(values, corners[self.faces], self.barycentric)

    def to_map(self, values: Tensor, outside: float = 0.0) -> Tensor:
        """Values [N,C] → map [size,size,C]."""
        canvas = values.new_full((self.size * self.size, values.shape[1]), outside)
        return canvas.index_copy(0, self.texels, values).reshape(self.size, self.size, -1)

    def inside(self) -> Tensor:
        """[size,size] bool: texels whose centre lies in a chart."""
        flag = torch.zeros(self.size * self.size, dtype=torch.bool, device=self.texels.device)
        flag[self.texels] = True
        return flag.reshape(self.size, self.size)


def texel_map(topology: MeshTopology, size: int) -> TexelMap:
    """Rasterise a mesh in its texture's plane. Where charts overlap, the face with the greater index wins."""
    uv = topology.uv
    screen = torch.stack([uv[:, 0] * size, (1 - uv[:, 1]) * size, torch.ones_like(uv[:, 0])], dim=1)
    seen = face_buffer(screen, topology.uv_faces, size, size).reshape(-1)
    texels = torch.nonzero(seen >= 0)[:, 0]
    faces = seen[texels]
    barycentric, _ = barycentric_at(screen, topology.uv_faces[faces], pixel_centres(texels, size, uv))
    return TexelMap(texels, faces, barycentric.clamp(0, 1), size)


class Projection(NamedTuple):
    """Surface points as one camera sees them."""

    pixels: Tensor
    """[N,2] px"""
    facing: Tensor
    """[N] cosine between normal and viewing ray, negative on the far side."""
    visible: Tensor
    """[N] in [0,1]: 1 where nothing lies in front."""


def project_points(
    points: Tensor, normals: Tensor, intrinsics: Tensor, view: SurfaceView, tolerance_px: float = 1.5
) -> Projection:
    """Where points [N,3] of a mesh's surface appear and whether the camera sees them.

    points, normals in the camera's frame; view: the same mesh seen with the same intrinsics. A point is visible where its
    depth is at most the picture's there, plus tolerance_px pixel footprints along the surface's slope.
    """
    fragments = view.fragments
    homogeneous = points @ intrinsics.T
    pixels = homogeneous[:, :2] / homogeneous[:, 2:3].clamp_min(1e-6)
    facing = -(normalize(points, dim=1) * normals).sum(1)
    depth_image = to_image(fragments, fragments.depth[:, None].detach(), float("inf"))[..., 0]
    footprint = points[:, 2] / view.focal_px
    cosine = facing.clamp(0.1, 1)
    allowance = footprint * tolerance_px * (1 + torch.sqrt(1 - cosine**2) / cosine)
    cell = torch.floor(pixels).long()
    inside = (cell[:, 0] >= 0) & (cell[:, 0] < fragments.width) & (cell[:, 1] >= 0) & (cell[:, 1] < fragments.height)
    index = cell[:, 1].clamp(0, fragments.height - 1) * fragments.width + cell[:, 0].clamp(0, fragments.width - 1)
    ahead = points[:, 2] - depth_image.reshape(-1)[index]
    visible = inside & (ahead < allowance) & (facing > 0) & (points[:, 2] > 1e-6)
    return Projection(pixels, facing, visible.to(points))


def depth_edges(view: SurfaceView, jump: float = 0.004) -> Tensor:
    """[H,W] bool: pixels beside a jump in depth of more than `jump` metres, or beside the background."""
    fragments = view.fragments
    depth = to_image(fragments, fragments.depth[:, None].detach(), 1e3)[..., 0]
    edge = torch.zeros_like(depth, dtype=torch.bool)
    for axis in (0, 1):
        difference = depth.diff(dim=axis).abs() > jump
        size = depth.shape[axis] - 1
        edge.narrow(axis, 0, size).logical_or_(difference)
        edge.narrow(axis, 1, size).logical_or_(difference)
    return edge


class Padding(NamedTuple):
    """How a map is extended beyond its charts."""

    source: Tensor
    """[H,W] int64 flat index of the nearest texel inside a chart, itself where already inside"""
    near: Tensor
    """[H,W] bool: inside, or within the padding's width"""


def chart_padding(inside: Tensor, width_px: float) -> Padding:
    """Padding of a map whose charts cover inside [H,W] bool (any on)."""
    from scipy.ndimage import distance_transform_edt

    distance, (rows, columns) = distance_transform_edt(~inside.cpu().numpy(), return_indices=True)
    source = torch.as_tensor(rows).long() * inside.shape[1] + torch.as_tensor(columns).long()
    return Padding(source.to(inside.device), torch.as_tensor(distance <= width_px).to(inside.device))


def pad_map(texture: Tensor, padding: Padding, inside: Tensor) -> Tensor:
    """A map [H,W,C] extended by nearest texels, and filled with its mean farther out."""
    flat = texture.reshape(-1, texture.shape[-1])
    mean = flat[inside.reshape(-1)].mean(0)
    return torch.where(padding.near[..., None], flat[padding.source], mean)
