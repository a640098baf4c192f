"""How an environment lights a posed hand: shadows and light between fingers included, as a plane through every vertex."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..lighting.brdf import principled_brdf
from ..lighting.environment import equirect_grid, opencv_world
from ..lighting.sg_light import shrunk_environment
from ..rendering.ray_casting import nearest_hits, ray_mesh

ROWS = 16
"""rows × 2 rows cells of the sphere, each with its mean radiance: as many directions as a personalisation looks along."""
OFFSET_M = 3e-4
"""Metres above the surface at which rays start."""
REACH_M = 0.3
"""Within which the hand may stand in its own light."""
VERTICES_AT_ONCE = 1_024


class VertexLight(NamedTuple):
    """Light at V vertices of normals n: a surface there of albedo a shows a · E(m) + gloss, with E linear in its normal m ≈ n."""

    diffuse: Tensor
    """[V,3,3] rows x, y, z and columns red, green, blue: E(m) = m · diffuse, which is exact while m and n see the same lights."""
    gloss: Tensor
    """[V,3] radiance that the skin's coat reflects towards the camera."""


@torch.no_grad()
def vertex_light(
    vertices: Tensor,
    faces: Tensor,
    normals: Tensor,
    camera: Tensor,
    albedo: Tensor,
    roughness: Tensor,
    environment: Tensor,
    rows: int = ROWS,
) -> VertexLight:
    """Light that reaches a hand's vertices [V,3] (world, OpenCV axes, metres) and leaves for a camera at [3].

    faces [F,3]; normals [V,3] unit; albedo [V,3] linear; roughness [V]; environment [H,2H,3] linear, equirectangular, +Z up.
    What a ray meets of the hand itself shines with the light it gets from the environment, spread evenly.
    """
    image = shrunk_environment(environment.to(vertices), rows)
    along, solid_angles = equirect_grid(len(image), vertices)
    directions = opencv_world(along).reshape(-1, 3)
    radiance = (image * solid_angles[..., None]).reshape(-1, 3)
    mesh = ray_mesh(vertices, faces)
    parts = torch.arange(len(vertices), device=vertices.device).split(VERTICES_AT_ONCE)
    met = []
    received = []
    for part in parts:
        cosine = normals[part] @ directions.T
        point, towards = torch.nonzero(cosine > 0, as_tuple=True)
        start = vertices[part] + OFFSET_M * normals[part]
        hit = torch.full(cosine.shape, -1, dtype=torch.int32, device=vertices.device)
        hit[point, towards] = nearest_hits(mesh, start[point], directions[towards], REACH_M).faces.int()
        met.append(hit)
        received.append((cosine.clamp_min(0) * (hit < 0)) @ radiance)
    shining = (albedo * torch.cat(received) / math.pi)[faces].mean(1)
    to_camera = torch.nn.functional.normalize(camera - vertices, dim=1)
    zero = vertices.new_zeros(())
    diffuse, gloss = [], []
    for part, hit in zip(parts, met, strict=True):
        inner = shining[hit.long().clamp_min(0)] * solid_angles.reshape(-1, 1)
        incoming = torch.where(hit[..., None] < 0, radiance, inner)
        incoming = incoming * ((normals[part] @ directions.T) > 0)[..., None]
        plane = torch.einsum("vdc,dx->vxc", incoming, directions)
        reflected = torch.zeros_like(vertices[part])
        faced = torch.nonzero((normals[part] * to_camera[part]).sum(1) > 0)[:, 0]
        here = part[faced]
        reflection = principled_brdf(
            normals[here][:, None], to_camera[here][:, None], directions, zero, roughness[here][:, None], zero
        )
        cosine = (normals[here] @ directions.T).clamp_min(1e-6)
        # the coat takes the same share of the diffuse light from all directions
        share = torch.pi * (reflection.diffuse / cosine).amax(1)
        plane[faced] *= share[:, None, None]
        reflected[faced] = (incoming[faced] * reflection.specular).sum(1)
        diffuse.append(plane)
        gloss.append(reflected)
    return VertexLight(torch.cat(diffuse), torch.cat(gloss))
