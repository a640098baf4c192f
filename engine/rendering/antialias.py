"""Silhouette gradients by analytic edge coverage.

A z-buffer picture changes in jumps when an outline moves. Here every outline edge is followed across the pixel grid; where
it crosses between two neighbouring pixel centres, the pixel on whose square the crossing lies becomes the mix of both sides
by the share that the edge leaves it. To first order this is the box-filtered picture, and it moves smoothly with the
vertices. (The idea of mixing across crossings: Laine et al. 2020, sec. 3.4. Following edges instead of testing the visible
triangles keeps it exact when triangles are smaller than a pixel, as they are near any outline of a fine mesh.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class EdgeTable(NamedTuple):
    """Edges of a triangle mesh."""

    vertices: Tensor
    """[E,2] int64."""
    faces: Tensor
    """[E,2] int64 the two faces of the edge; the second is -1 at a border."""
    opposite: Tensor
    """[E] int64 the first face's third vertex."""


class _Crossings(NamedTuple):
    position: Tensor  # [N] px along the scan direction, differentiable
    depth: Tensor  # [N] metres
    inner: Tensor  # [N] int64 flat index of the pixel on the surface's side
    outer: Tensor  # [N] int64 flat index of the pixel across the edge
    reach: Tensor  # [N] distance from the inner pixel's centre to the crossing, in pixels, in [0, 1]


def edge_table(faces: Tensor) -> EdgeTable:
    """Edges of faces [F,3] int64. An edge with more than two faces keeps two of them."""
    half = torch.stack([faces, faces.roll(-1, 1)], dim=-1).reshape(-1, 2).sort(-1).values
    face_of_half = torch.arange(len(faces), device=faces.device).repeat_interleave(3)
    opposite_of_half = faces.roll(-2, 1).reshape(-1)
    edges, index = torch.unique(half, dim=0, return_inverse=True)
    order = torch.argsort(index, stable=True)
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = index[order][1:] != index[order][:-1]
    second = torch.zeros_like(first)
    second[1:] = ~first[1:] & first[:-1]
    adjacent = torch.full((len(edges), 2), -1, dtype=torch.int64, device=faces.device)
    adjacent[index[order[first]], 0] = face_of_half[order[first]]
    adjacent[index[order[second]], 1] = face_of_half[order[second]]
    opposite = torch.zeros(len(edges), dtype=torch.int64, device=faces.device)
    opposite[index[order[first]]] = opposite_of_half[order[first]]
    return EdgeTable(edges, adjacent, opposite)


def antialias(
    image: Tensor,
    depth: Tensor,
    screen: Tensor,
    faces: Tensor,
    edges: EdgeTable,
    focal_px: float,
    depth_tolerance_px: float = 8.0,
) -> Tensor:
    """The picture with outlines mixed by coverage; differentiable in image and screen.

    image [H,W,C]; depth [H,W] metres, infinite on the background; screen [V,3] x px, y px, depth m; depth_tolerance_px: how
    far behind an outline edge the pixel on its inner side may lie, in pixel footprints (depth / focal_px). Where it lies farther
    behind, the edge's own surface is too thin to have covered that pixel's centre.
    """
    height, width, channels = image.shape
    outline = _outline_edges(screen, faces, edges)
    flat_image, flat_depth = image.reshape(-1, channels), depth.detach().reshape(-1)
    both = [_crossings(screen, edges, outline, axis, height, width) for axis in (0, 1)]
    found = _Crossings(*(torch.cat(parts) for parts in zip(*both, strict=True)))
    keep = _visible(found, flat_depth, depth_tolerance_px / focal_px)
    found = _Crossings(*(part[keep] for part in found))
    keep = _farthest_per_pair(found)
    found = _Crossings(*(part[keep] for part in found))
    excess = found.reach - 0.5
    spills = excess >= 0
    target = torch.where(spills, found.outer, found.inner)
    source = torch.where(spills, found.inner, found.outer)
    change = excess.abs()[:, None] * (flat_image[source] - flat_image[target])
    return flat_image.index_add(0, target, change).reshape(height, width, channels)


def _outline_edges(screen: Tensor, faces: Tensor, edges: EdgeTable) -> Tensor:
    """Indices of edges between a face that looks at the camera and one that looks away, or at a border."""
    corners = screen.detach()[faces][..., :2]
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    away = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] > 0
    border = edges.faces[:, 1] < 0
    turned = away[edges.faces[:, 0]] != away[edges.faces[:, 1].clamp_min(0)]
    in_front = (screen.detach()[edges.vertices][..., 2] > 1e-6).all(1)
    return torch.nonzero((border | turned) & in_front)[:, 0]


def _crossings(screen: Tensor, edges: EdgeTable, outline: Tensor, axis: int, height: int, width: int) -> _Crossings:
    """Where steep outline edges cross rows of pixel centres (axis 0), or flat ones cross columns (axis 1)."""
    ends = screen[edges.vertices[outline]]
    along, across = ends[..., axis], ends[..., 1 - axis]
    # Each edge is met along the direction it is most perpendicular to: there the mix equals the covered area.
    rise, run = (across[:, 1] - across[:, 0]).abs(), (along[:, 1] - along[:, 0]).abs()
    mine = (rise >= run) if axis == 0 else (rise > run)
    along, across, depth = along[mine], across[mine], ends[mine][..., 2]
    third = screen.detach()[edges.opposite[outline[mine]]]
    limit_along, limit_across = (width, height) if axis == 0 else (height, width)
    low = torch.ceil(across.detach().min(1).values - 0.5).clamp(0, limit_across)
    high = torch.ceil(across.detach().max(1).values - 0.5).clamp(0, limit_across)
    count = (high - low).clamp_min(0).long()
    edge = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    step = torch.arange(len(edge), device=count.device) - (count.cumsum(0) - count)[edge]
    line = low.long()[edge] + step
    share = (line + 0.5 - across[edge, 0]) / (across[edge, 1] - across[edge, 0])
    position = along[edge, 0] + share * (along[edge, 1] - along[edge, 0])
    closeness = 1 / depth[edge, 0] + share * (1 / depth[edge, 1] - 1 / depth[edge, 0])
    before = torch.floor(position.detach() - 0.5).long()
    # The surface lies on the side of its third vertex, measured against the edge's own line at that vertex.
    slope = ((along[:, 1] - along[:, 0]) / (across[:, 1] - across[:, 0])).detach()
    on_line = along[:, 0].detach() + slope * (third[:, 1 - axis] - across[:, 0].detach())
    surface_before = (third[:, axis] < on_line)[edge]
    inner = torch.where(surface_before, before, before + 1)
    outer = torch.where(surface_before, before + 1, before)
    reach = (position - (inner.to(position) + 0.5)).abs()
    inside = (before >= 0) & (before + 1 < limit_along)
    stride_along, stride_across = (1, width) if axis == 0 else (width, 1)
    flat = [(cell * stride_along + line * stride_across)[inside] for cell in (inner, outer)]
    return _Crossings(position[inside], (1 / closeness.detach())[inside], flat[0], flat[1], reach[inside])


def _visible(found: _Crossings, depth: Tensor, relative_tolerance: float) -> Tensor:
    """[N] bool: the inner pixel shows the edge's own surface and the outer one something farther away.

    Another surface in front of the edge covers the outer pixel as well, but for the rare pair that two outlines share.
    """
    inner, outer = depth[found.inner], depth[found.outer]
    return (inner < (1 + relative_tolerance) * found.depth) & (outer > found.depth)


def _farthest_per_pair(found: _Crossings) -> Tensor:
    """Indices of one crossing per pair of pixels: where outline edges zigzag, the one that reaches farthest out."""
    key = found.inner * (found.outer.max() + 1 if len(found.outer) else 1) + found.outer
    order = torch.argsort(found.reach.detach(), descending=True, stable=True)
    order = order[torch.argsort(key[order], stable=True)]
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = key[order][1:] != key[order][:-1]
    return order[first]
