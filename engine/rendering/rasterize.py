"""Which face each pixel sees, and where on it: z-buffer in Warp, differentiable barycentrics in torch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST_AREA_PX2 = 1e-6
"""Twice the area of the smallest triangle that is interpolated."""


class Fragments(NamedTuple):
    """The covered pixels of one picture, P of them, in row-major order."""

    pixels: Tensor
    """[P] int64 row * width + column."""
    faces: Tensor
    """[P] int64 the visible face."""
    barycentric: Tensor
    """[P,3] perspective-correct weights of the face's corners; carries gradients to the vertices."""
    depth: Tensor
    """[P] metres along the view axis."""
    height: int
    width: int


def project_vertices(vertices: Tensor, intrinsics: Tensor) -> Tensor:
    """Camera-frame vertices [V,3] (OpenCV axes, metres) → [V,3] of x px, y px and depth in metres."""
    homogeneous = vertices @ intrinsics.to(vertices).T
    return torch.cat([homogeneous[:, :2] / homogeneous[:, 2:3], vertices[:, 2:3]], dim=1)


def face_buffer(screen: Tensor, faces: Tensor, height: int, width: int) -> Tensor:
    """[height,width] int64: the visible face at each pixel's centre, -1 where none is.

    screen [V,3]: x px, y px and closeness, a positive quantity linear on the screen that grows towards the viewer (1/depth in
    perspective). Faces with a corner that is not closer than infinity (closeness <= 0) are left out. No gradient.
    """
    import warp as wp

    from .warp_kernels import launch, rasterize_faces

    if height < 1 or width < 1:
        raise ValueError(f"a picture of {width}×{height} pixels cannot be rendered")
    # A vertex that is not a number takes its faces with it; huge coordinates would overflow the kernel's pixel loops.
    corners = screen.detach().float()
    broken = ~torch.isfinite(corners).all(1, keepdim=True)
    corners = torch.where(broken, torch.full_like(corners, -1.0), corners).clamp(-1e9, 1e9).contiguous()
    indices = faces.to(torch.int32).contiguous()
    buffer = torch.full((height * width,), -1, dtype=torch.int64, device=screen.device)
    if len(faces):
        arrays = [wp.from_torch(corners, dtype=wp.vec3), wp.from_torch(indices), height, width, wp.from_torch(buffer)]
        launch(rasterize_faces, len(faces), arrays, screen.device)
    return torch.where(buffer < 0, buffer, buffer & 0xFFFFFFFF).reshape(height, width)


def rasterize(screen: Tensor, faces: Tensor, height: int, width: int) -> Fragments:
    """Visible surface of a mesh seen in perspective.

    screen [V,3] from `project_vertices`; faces [F,3] int64. Pixel (column j, row i) has its centre at (j + 0.5, i + 0.5).
    """
    depth = screen[:, 2]
    closeness = torch.where(depth > 1e-6, 1.0 / depth.clamp_min(1e-6), torch.zeros_like(depth))
    seen = face_buffer(torch.cat([screen[:, :2], closeness[:, None]], dim=1), faces, height, width).reshape(-1)
    pixels = torch.nonzero(seen >= 0)[:, 0]
    face = seen[pixels]
    barycentric, point_depth = barycentric_at(screen, faces[face], pixel_centres(pixels, width, screen))
    return Fragments(pixels, face, barycentric, point_depth, height, width)


def pixel_centres(pixels: Tensor, width: int, like: Tensor) -> Tensor:
    """[P,2] (x, y) px of flat pixel indices, in the dtype of `like`."""
    return torch.stack([pixels % width, torch.div(pixels, width, rounding_mode="floor")], dim=1).to(like) + 0.5


def barycentric_at(screen: Tensor, corners: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Perspective-correct barycentric coordinates and depth of screen points on given triangles.

    screen [V,3] x px, y px, depth m; corners [P,3] int64 vertex indices; points [P,2] px. Returns ([P,3], [P]).
    """
    triangle = screen[corners]
    offset = triangle[..., :2] - points[:, None]
    x, y = offset[..., 0], offset[..., 1]
    doubled_areas = torch.stack(
        [
            x[:, 1] * y[:, 2] - y[:, 1] * x[:, 2],
            x[:, 2] * y[:, 0] - y[:, 2] * x[:, 0],
            x[:, 0] * y[:, 1] - y[:, 0] * x[:, 1],
        ],
        dim=1,
    )
    total = doubled_areas.sum(1, keepdim=True)
    # a triangle seen edge-on may own a pixel by rounding alone
    total = torch.where(total.abs() < SMALLEST_AREA_PX2, torch.full_like(total, SMALLEST_AREA_PX2), total)
    on_screen = doubled_areas / total
    weighted = on_screen / triangle[..., 2]
    depth = 1.0 / weighted.sum(1)
    return weighted * depth[:, None], depth


def interpolate(values: Tensor, corners: Tensor, barycentric: Tensor) -> Tensor:
    """Attributes at surface points. values [N,C]; corners [P,3] int64 into values; barycentric [P,3] → [P,C]."""
    # A gather per corner with a multiply-add is about twice as fast as one einsum over [P,3,C].
    result = barycentric[:, 0:1] * values[corners[:, 0]]
    for corner in (1, 2):
        result = result + barycentric[:, corner : corner + 1] * values[corners[:, corner]]
    return result


def to_image(fragments: Fragments, values: Tensor, background: Tensor | float = 0.0) -> Tensor:
    """[height,width,C] picture with values [P,C] at the covered pixels.

    background: a number, a colour [C] or a picture [height,width,C].
    """
    height, width = fragments.height, fragments.width
    canvas = torch.as_tensor(background, dtype=values.dtype, device=values.device)
    canvas = canvas.expand(height, width, values.shape[1]).reshape(height * width, -1)
    return canvas.index_copy(0, fragments.pixels, values).reshape(height, width, -1)
