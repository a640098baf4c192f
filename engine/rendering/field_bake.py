"""From fields in canonical space to an avatar's textures: what each texel's surface point is made of and how it is tilted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .bake import TexelMap, chart_padding, pad_map, texel_map
from .mesh import MeshTopology
from .rasterize import interpolate
from .surface import corner_tangents, vertex_normals

CHUNK = 1 << 16
STEPS = 4
LONGEST_MOVE_M = 0.003
"""How far a texel may lie from the field's surface: farther, it shows the mesh's own point and normal."""
SETTLED_M = 1e-5
"""A move after which a texel counts as arrived."""
STEEPEST_TILT = 0.25
"""Least cosine between the mesh's and the field's normal; below it the field's belongs to another fold of skin."""
PADDING_SHARE = 24 / 1024
"""By which charts are extended, as a share of the texture's side, for filtering and mip levels."""


class CanonicalField(NamedTuple):
    """A hand as functions of canonical points [N,3] metres, at zero pose."""

    sdf_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]]
    """→ [N] metres, [N,3]."""
    materials: Callable[[Tensor], tuple[Tensor, Tensor]]
    """→ albedo [N,3] linear in [0,1], roughness [N] in [0,1] of the principled shader."""
    sdf: Callable[[Tensor], Tensor] | None = None
    """→ [N] metres, where the distance alone is cheaper."""

    def distance(self, points: Tensor) -> Tensor:
        """[N] metres."""
        return self.sdf(points) if self.sdf is not None else self.sdf_and_gradient(points)[0]


def mirrored_field(field: CanonicalField) -> CanonicalField:
    """The same hand in a mirror, x turned: the left hand of a right one's field."""

    def flip(values: Tensor) -> Tensor:
        return values * values.new_tensor([-1.0, 1.0, 1.0])

    def sdf_and_gradient(points: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = field.sdf_and_gradient(flip(points))
        return value, flip(gradient)

    return CanonicalField(
        sdf_and_gradient,
        lambda points: field.materials(flip(points)),
        lambda points: field.distance(flip(points)),
    )


class FieldMaps(NamedTuple):
    """Textures of size S."""

    albedo: Tensor
    """[S,S,3] linear."""
    normal: Tensor
    """[S,S,3] unit, tangent space, +Y along +V."""
    roughness: Tensor
    """[S,S]."""
    inside: Tensor
    """[S,S] bool: texels of charts, without padding."""
    on_surface: Tensor
    """[S,S] bool: texels that reached the field's surface."""


class SurfacePoints(NamedTuple):
    """Texels' points, moved onto the field's surface where it is near."""

    points: Tensor
    """[N,3] metres."""
    normals: Tensor
    """[N,3] unit."""
    reached: Tensor
    """[N] bool."""


def bake_field(vertices: Tensor, topology: MeshTopology, field: CanonicalField, size: int) -> FieldMaps:
    """Textures of a canonical mesh [V,3] m that lies on (or within 3 mm of) the field's surface. No gradient.

    The normal map holds what the field's gradient says beyond the mesh's smooth normals. size: side of the maps, px.
    """
    with torch.no_grad():
        texels = texel_map(topology, size)
        normals = vertex_normals(vertices, topology.faces)
        tangents = corner_tangents(vertices, normals, topology.faces, topology.uv, topology.uv_faces)
        start = texels.gather(vertices, topology.faces)
        smooth = texels.gather(normals, topology.faces)
        surface = find_surface(start, normalize(smooth, dim=1), field)
        tilt = to_tangent_space(surface.normals, smooth, tangents, topology, texels)
        parts = [field.materials(part) for part in surface.points.split(CHUNK)]
        albedo = torch.cat([part[0] for part in parts]).to(start)
        roughness = torch.cat([part[1] for part in parts]).to(start)
        inside = texels.inside()
        values = texels.to_map(torch.cat([albedo, tilt, roughness[:, None]], dim=1))
        padded = pad_map(values, chart_padding(inside, max(2.0, PADDING_SHARE * size)), inside)
        reached = texels.to_map(surface.reached.to(start)[:, None])[..., 0] > 0
        normal = normalize(padded[..., 3:6], dim=-1)
        return FieldMaps(padded[..., :3].clamp(0, 1), normal, padded[..., 6].clamp(0, 1), inside, reached)


def find_surface(start: Tensor, smooth: Tensor, field: CanonicalField) -> SurfacePoints:
    """Newton steps from points [N,3] near the surface onto it; smooth [N,3] unit: the mesh's normals there."""
    point, gradient = start.clone(), torch.empty_like(start)
    moving = torch.arange(len(start), device=start.device)
    for step in range(STEPS + 1):
        parts = [field.sdf_and_gradient(part) for part in point[moving].split(CHUNK)]
        if not parts:
            break
        value = torch.cat([part[0].detach() for part in parts]).to(start)
        slope = torch.cat([part[1].detach() for part in parts]).to(start)
        gradient[moving] = slope
        if step == STEPS:
            break
        move = -(value / (slope**2).sum(1).clamp_min(0.1))[:, None] * slope
        move = move * (LONGEST_MOVE_M / move.norm(dim=1, keepdim=True).clamp_min(LONGEST_MOVE_M))
        point[moving] += move
        moving = moving[move.norm(dim=1) > SETTLED_M]
    normals = normalize(gradient, dim=1, eps=1e-9)
    near = (point - start).norm(dim=1) <= LONGEST_MOVE_M
    reached = near & ((normals * smooth).sum(1) > STEEPEST_TILT) & torch.isfinite(point).all(1)
    kept = reached[:, None]
    return SurfacePoints(torch.where(kept, point, start), torch.where(kept, normals, smooth), reached)


def to_tangent_space(
    normals: Tensor, smooth: Tensor, tangents: Tensor, topology: MeshTopology, texels: TexelMap
) -> Tensor:
    """[N,3] unit normals in the frame in which a renderer undoes them (`surface.perturb_normal`, MikkTSpace).

    normals [N,3] unit; smooth [N,3] interpolated vertex normals, not normalised; tangents [T,4]. The interpolated frame is not
    orthogonal, so it is inverted rather than transposed.
    """
    tangent = interpolate(tangents[:, :3], topology.uv_faces[texels.faces], texels.barycentric)
    sign = tangents[topology.uv_faces[texels.faces, 0], 3:4]
    bitangent = sign * torch.cross(smooth, tangent, dim=1)
    frame = torch.stack([tangent, bitangent, smooth], dim=2)
    flat = torch.linalg.det(frame).abs() < 1e-3
    frame[flat] = torch.eye(3).to(frame)
    tilt = torch.linalg.solve(frame, normals[..., None])[..., 0]
    upright = tilt.new_tensor([0.0, 0.0, 1.0])
    return normalize(torch.where(flat[:, None], upright, tilt), dim=1)
