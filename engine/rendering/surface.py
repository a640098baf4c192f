"""Normals and tangent frames of triangle meshes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .rasterize import interpolate


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals [V,3], the mean of the adjacent faces' weighted by their angles there. vertices [V,3], faces [F,3].

    Unlike weights by area they do not depend on how a flat piece is cut (Thürmer and Wüthrich 1998), and Blender shades so.
    """
    corners = vertices[faces]
    edges = corners.roll(-1, dims=1) - corners
    across = torch.cross(edges[:, 0], edges[:, 1], dim=1)
    twice_area = across.square().sum(1, keepdim=True).clamp_min(1e-30).sqrt()
    cosine = -(edges * edges.roll(1, dims=1)).sum(2)
    weighted = (across / twice_area)[:, None] * torch.atan2(twice_area, cosine)[..., None]
    total = torch.zeros_like(vertices).index_add(0, faces.reshape(-1), weighted.reshape(-1, 3))
    return normalize(total, dim=1, eps=1e-12)


def corner_tangents(vertices: Tensor, normals: Tensor, faces: Tensor, uv: Tensor, uv_faces: Tensor) -> Tensor:
    """Tangents of the UV frame as MikkTSpace defines them: [T,4], xyz unit along +U in the surface, w the sign of the bitangent.

    One per UV vertex (all corners that share position, normal and UV), the mean of its faces' dP/du projected into the
    plane of the normal and weighted by the corner's angle. bitangent = w · normal × tangent.
    vertices, normals [V,3]; faces, uv_faces [F,3]; uv [T,2].
    """
    p, q = vertices[faces], uv[uv_faces]
    edge1, edge2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    uv1, uv2 = q[:, 1] - q[:, 0], q[:, 2] - q[:, 0]
    signed_area = uv1[:, 0] * uv2[:, 1] - uv1[:, 1] * uv2[:, 0]
    sign = torch.where(signed_area < 0, -1.0, 1.0).to(vertices)
    along_u = (edge1 * uv2[:, 1:2] - edge2 * uv1[:, 1:2]) * sign[:, None]
    total = torch.zeros(len(uv), 3, dtype=vertices.dtype, device=vertices.device)
    signs = torch.zeros(len(uv), dtype=vertices.dtype, device=vertices.device)
    for corner in range(3):
        normal = normals[faces[:, corner]]
        to_next = _in_plane(p[:, (corner + 1) % 3] - p[:, corner], normal)
        to_last = _in_plane(p[:, (corner + 2) % 3] - p[:, corner], normal)
        angle = torch.acos((to_next * to_last).sum(1).clamp(-1 + 1e-7, 1 - 1e-7))
        total = total.index_add(0, uv_faces[:, corner], _in_plane(along_u, normal) * angle[:, None])
        signs = signs.index_add(0, uv_faces[:, corner], sign * angle)
    w = torch.where(signs < 0, -1.0, 1.0).to(vertices)
    return torch.cat([normalize(total, dim=1, eps=1e-12), w[:, None]], dim=1)


def _in_plane(vector: Tensor, normal: Tensor) -> Tensor:
    return normalize(vector - (vector * normal).sum(1, keepdim=True) * normal, dim=1, eps=1e-12)


def perturb_normal(
    normals: Tensor,
    tangents: Tensor,
    faces: Tensor,
    uv_faces: Tensor,
    face_index: Tensor,
    barycentric: Tensor,
    tangent_normal: Tensor,
) -> Tensor:
    """World normals from a tangent-space normal map (OpenGL: +X along +U, +Y along +V).

    As MikkTSpace asks, the frame is interpolated and left as it is; only the result is normalised.
    normals [V,3]; tangents [T,4]; face_index [P]; barycentric [P,3]; tangent_normal [P,3] in [-1,1]. Returns [P,3] unit.
    """
    normal = interpolate(normals, faces[face_index], barycentric)
    tangent = interpolate(tangents[:, :3], uv_faces[face_index], barycentric)
    return mapped_normals(normal, tangent, tangents[uv_faces[face_index, 0], 3:4], tangent_normal)


def mapped_normals(normal: Tensor, tangent: Tensor, sign: Tensor, tangent_normal: Tensor) -> Tensor:
    """The same from what is interpolated already: normal, tangent [P,3], sign [P,1] of the bitangent → [P,3] unit."""
    bitangent = sign * torch.cross(normal, tangent, dim=1)
    x, y, z = tangent_normal[:, 0:1], tangent_normal[:, 1:2], tangent_normal[:, 2:3]
    return normalize(x * tangent + y * bitangent + z * normal, dim=1, eps=1e-12)
