"""Which directions of the sky the points of a mesh see past the mesh itself."""

from __future__ import annotations

import torch
from torch import Tensor

from .ray_casting import any_hit, ray_mesh
from .surface import vertex_normals

LIFT_M = 2e-3
"""Above the surface, where rays start: the chords of a coarse mesh would hide a rounded one from itself."""
BEHIND = -0.35
"""Cosine from which on a direction is surely below the surface: finer meshes' normals differ from the coarse one's."""


@torch.no_grad()
def sky_visibility(vertices: Tensor, faces: Tensor, directions: Tensor) -> Tensor:
    """[V,D] bool: whether a closed mesh's vertices [V,3] (metres) see along unit directions [D,3] past its faces [F,3].

    What lies below the horizon counts as seen: its cosine says the rest. Single precision, no gradient; CPU and CUDA.
    """
    normals = vertex_normals(vertices, faces)
    cosine = normals @ directions.to(normals).T
    points, rays = torch.nonzero(cosine > BEHIND, as_tuple=True)
    starts = vertices + LIFT_M * normals
    hidden = any_hit(ray_mesh(vertices, faces), starts[points], directions[rays])
    seen = torch.ones_like(cosine, dtype=torch.bool)
    seen[points, rays] = ~hidden
    return seen
