"""Soft shadow test against a depth map seen from the light (HARP, Karunratanakul et al. 2023, Algorithm 1).

Two corrections to the published scheme: what the light sees past the mesh counts as lit (not as shadow), and the depth bias
follows from the map's texel size and the surface's slope (a fixed one detaches contact shadows or speckles grazing skin).

And one addition. Where a shadow ends depends on where its caster is, but the published scheme looks texels up by rounded
coordinates, so only depths carry gradients and those are flat wherever something is clearly in front. Here every texel stays
with the surface point that it shows: the filter weighs taps by their distance on the map, and that distance moves with the
point that is shaded, with the caster and with the light.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .rasterize import barycentric_at, face_buffer, pixel_centres

TAPS = 3
"""Texels on a side that a point's visibility is filtered over."""


class ShadowMap(NamedTuple):
    """A mesh seen from a light."""

    depth: Tensor
    """[N,N] metres from the light's plane or point, infinite where the mesh is not."""
    to_light_frame: Tensor
    """[3,3] rows: the light camera's x, y and viewing direction."""
    origin: Tensor
    """[3] the light camera's place."""
    scale: Tensor
    """() map pixels per metre (parallel light) or focal length in pixels (point light)."""
    parallel: bool
    drift: Tensor | None = None
    """[N·N,2] px that each texel's surface point has moved: zeros that carry gradients; None where there are none to carry."""

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """points [P,3] → map coordinates [P,2] px and depth [P] m."""
        local = (points - self.origin) @ self.to_light_frame.T
        depth = local[:, 2]
        spread = self.scale if self.parallel else self.scale / depth.clamp_min(1e-6)[:, None]
        return local[:, :2] * spread + self.depth.shape[0] / 2, depth

    def texel_size(self, depth: Tensor) -> Tensor:
        """[P] metres that a texel spans at these depths."""
        return torch.ones_like(depth) / self.scale if self.parallel else depth / self.scale


def parallel_shadow_map(vertices: Tensor, faces: Tensor, to_light: Tensor, size: int = 256) -> ShadowMap:
    """Map for a light at infinity. vertices [V,3]; to_light [3], towards the light, any length."""
    centre, radius = _bounds(vertices)
    direction = normalize(to_light, dim=0)
    return _shadow_map(vertices, faces, centre + 2 * radius * direction, centre, radius, size, parallel=True)


def point_shadow_map(vertices: Tensor, faces: Tensor, position: Tensor, size: int = 256) -> ShadowMap:
    """Map for a point light at `position` [3] metres, outside the mesh's bounding sphere."""
    centre, radius = _bounds(vertices)
    return _shadow_map(vertices, faces, position, centre, radius, size, parallel=False)


def _bounds(vertices: Tensor) -> tuple[Tensor, Tensor]:
    points = vertices.detach()
    centre = (points.min(0).values + points.max(0).values) / 2
    return centre, (points - centre).norm(dim=1).max()


def _shadow_map(
    vertices: Tensor, faces: Tensor, origin: Tensor, centre: Tensor, radius: Tensor, size: int, parallel: bool
) -> ShadowMap:
    forward = normalize(centre - origin, dim=0)
    helper = torch.zeros_like(forward)
    helper[int(forward.detach().abs().argmin())] = 1
    right = normalize(torch.linalg.cross(helper, forward), dim=0)
    frame = torch.stack([right, torch.linalg.cross(forward, right), forward])
    distance = (centre - origin).norm().detach()
    if parallel:
        scale = (size - 4) / 2 / radius
    else:
        reach = radius.clamp_max(0.95 * distance)
        scale = (size - 4) / 2 * torch.sqrt(distance**2 - reach**2) / reach
    shadow_map = ShadowMap(vertices.new_full((size, size), torch.inf), frame, origin, scale, parallel)
    map_px, depth = shadow_map.project(vertices)
    # A parallel light's depth is itself linear on its screen; a point light's inverse depth is.
    closeness = (4 * radius - depth) / radius if parallel else 1 / depth.clamp_min(1e-6)
    seen = face_buffer(torch.cat([map_px, closeness[:, None]], 1), faces, size, size).reshape(-1)
    pixels = torch.nonzero(seen >= 0)[:, 0]
    screen = torch.cat([map_px, torch.ones_like(depth[:, None]) if parallel else depth[:, None]], dim=1)
    corners = faces[seen[pixels]]
    weights, _ = barycentric_at(screen.detach(), corners, pixel_centres(pixels, size, vertices))
    hit_depth = (weights * depth[corners]).sum(1)
    filled = shadow_map.depth.reshape(-1).index_copy(0, pixels, hit_depth).reshape(size, size)
    if not map_px.requires_grad:
        return shadow_map._replace(depth=filled)
    hit_px = (weights[..., None] * map_px[corners]).sum(1)
    drift = torch.zeros(size * size, 2).to(hit_px).index_copy(0, pixels, hit_px - hit_px.detach())
    return shadow_map._replace(depth=filled, drift=drift)


def soft_visibility(
    shadow_map: ShadowMap,
    points: Tensor,
    normals: Tensor,
    sharpness: float = 4000.0,
    bias_texels: float = 1.5,
) -> Tensor:
    """Share of the light that reaches surface points, [P] in [0,1]: percentage-closer filtering, the mean over 3 × 3 texels of
    sigmoid(sharpness · (map depth − point depth + bias)), a texel counting less the farther it is from the point.

    points, normals [P,3] (unit); sharpness 1/m; bias_texels: of the map's texel, times 1 + tan of the angle between normal
    and light (at most 5), plus the depth that the taps' own spread spans on a slope, plus the sigmoid's own width, without
    which a lit surface would stand half in its own shadow. Differentiable in points, in the map's mesh and in its light.
    """
    map_px, depth = shadow_map.project(points)
    towards = shadow_map.origin - points if not shadow_map.parallel else -shadow_map.to_light_frame[2].expand_as(points)
    # the bias only guards against self-shadowing: no gradient through it, whose root is steep where light falls straight
    cosine = (normalize(towards, dim=1) * normals).sum(1).detach().abs().clamp(0.15, 1)
    slope = (torch.sqrt(1 - cosine**2) / cosine).clamp_max(5.0)
    reach = (TAPS - 1) / 2
    bias = shadow_map.texel_size(depth.detach()) * (bias_texels + (bias_texels + reach) * slope) + 4 / sharpness
    nearer = (depth - bias) * sharpness
    # a rim of infinitely far texels stands for all that lies beyond the map
    rim = TAPS + 1
    size = shadow_map.depth.shape[0]
    side = size + 2 * rim
    stored = torch.nn.functional.pad(shadow_map.depth * sharpness, (rim,) * 4, value=torch.inf).reshape(-1)
    place = map_px.clamp(-1.0, size + 1.0)
    first = torch.floor(place.detach() - reach)
    away = place - first - 0.5
    cells = (first + rim).long()
    index = cells[:, 1] * side + cells[:, 0]
    moved = None if shadow_map.drift is None else _padded(shadow_map.drift, rim)
    across = [_spline((away - tap).abs()).unbind(1) for tap in range(TAPS)]
    shade = torch.zeros_like(depth)
    for row in range(TAPS):
        for column in range(TAPS):
            cell = index + (row * side + column)
            if moved is None:
                weight = across[column][0] * across[row][1]
            else:
                # what casts moves, and the light closes up behind it: the weights' sum of 1 stays out of this
                weight = _spline((away - moved[cell] - away.new_tensor([column, row])).abs()).prod(1)
            shade = shade + weight * torch.sigmoid(nearer - stored[cell])
    return 1 - shade


def _spline(distance: Tensor) -> Tensor:
    """Quadratic B-spline of a distance in texels: over three neighbouring texels it sums to 1 wherever it is centred."""
    return torch.where(distance < 0.5, 0.75 - distance**2, 0.5 * (1.5 - distance).clamp_min(0) ** 2)


def _padded(drift: Tensor, rim: int) -> Tensor:
    """[N·N,2] of a map as that of the map with a rim of zeros."""
    size = math.isqrt(len(drift))
    return torch.nn.functional.pad(drift.reshape(size, size, 2), (0, 0, rim, rim, rim, rim)).reshape(-1, 2)


def disc_visibility(
    vertices: Tensor,
    faces: Tensor,
    to_light: Tensor,
    points: Tensor,
    normals: Tensor,
    angular_radius: float,
    samples: int = 7,
) -> Tensor:
    """Share of a far, round lamp that reaches surface points, [P] in [0,1]: the mean test over directions on its disc.

    to_light [3] towards the lamp's centre; angular_radius rad; samples: 1 tests the centre alone. The penumbra widens with
    the distance from what casts it, as behind a window or a ceiling lamp.
    """
    total = torch.zeros_like(points[:, 0])
    for direction in disc_directions(to_light, angular_radius, samples):
        shadow_map = parallel_shadow_map(vertices, faces, direction)
        total = total + soft_visibility(shadow_map, points, normals)
    return total / samples


def disc_directions(centre: Tensor, angular_radius: float, samples: int) -> Tensor:
    """[samples,3] unit directions spread evenly over a disc of angular_radius rad about `centre` [3]."""
    axis = normalize(centre, dim=0)
    helper = torch.zeros_like(axis)
    helper[int(axis.detach().abs().argmin())] = 1
    side = normalize(torch.linalg.cross(helper, axis), dim=0)
    other = torch.linalg.cross(axis, side)
    index = torch.arange(samples, device=axis.device).to(axis)
    # a sunflower spiral has equal area per sample; the first lies in the centre
    radius = math.tan(angular_radius) * torch.sqrt(index / max(samples - 0.5, 1))
    angle = index * math.pi * (3 - math.sqrt(5))
    offset = radius[:, None] * (torch.cos(angle)[:, None] * side + torch.sin(angle)[:, None] * other)
    return normalize(axis + offset, dim=1)
