"""The hand model's own mesh laid onto a field's surface: keeps its vertices, UVs and everything that animates it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..hand.normals import vertex_normals as numpy_vertex_normals

CHUNK = 1 << 16


@dataclass(frozen=True)
class ProjectionConfig:
    """How the template is moved onto the surface."""

    iterations: int = 30
    settling: int = 6
    """The last iterations, without smoothing: each vertex on its own."""
    smoothing_passes: int = 12
    """Passes over the displacements in the first iteration; fewer and fewer after it."""
    longest_step_m: float = 1e-3
    limit_m: float = 0.012
    """Greatest total displacement."""
    least_facing: float = 0.2
    """Cosine between the surface's and the mesh's normal below which a vertex follows its neighbours: what it sees there is
    another finger's skin."""


class Projected(NamedTuple):
    """The template on the surface."""

    vertices: Tensor
    """[V,3] metres."""
    distance: Tensor
    """[V] metres that are left to the surface, unsigned."""
    facing: Tensor
    """[V] bool: the vertex found skin that faces its own way."""


def project_template(
    vertices: Tensor,
    faces: Tensor,
    sdf_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    config: ProjectionConfig = ProjectionConfig(),
    held: Tensor | None = None,
) -> Projected:
    """Move a template along the field's gradient onto its zero level set. No gradient.

    vertices [V,3] metres, near the surface; faces [F,3]; sdf_and_gradient: points [N,3] → ([N] metres, [N,3]); held [V] bool:
    vertices that stay. Each iteration takes a Newton step along the gradient, short, and smooths the displacements, less and
    less: the mesh slides on as a whole before its vertices find their own places, so its triangles stay well shaped.
    """
    start = vertices.detach()
    displacement = torch.zeros_like(start)
    average = _neighbour_average(faces, len(start), start)
    moving = torch.ones_like(start[:, 0]) if held is None else (~held).to(start)
    smooth_iterations = max(1, config.iterations - config.settling)
    for iteration in range(config.iterations):
        here = start + displacement
        value, gradient = _ask(sdf_and_gradient, here)
        squared = (gradient**2).sum(1)
        step = -(value / squared.clamp_min(0.1))[:, None] * gradient
        step = step * (config.longest_step_m / step.norm(dim=1, keepdim=True).clamp_min(config.longest_step_m))
        facing = _facing(here, faces, gradient, config)
        displacement = displacement + step * (facing.to(start) * moving)[:, None]
        length = displacement.norm(dim=1, keepdim=True).clamp_min(1e-12)
        displacement = displacement * (config.limit_m / length).clamp_max(1.0)
        passes = round(config.smoothing_passes * max(0.0, 1 - iteration / smooth_iterations))
        for _ in range(passes):
            displacement = 0.5 * displacement + 0.5 * (average @ displacement)
        lost = ~facing & (moving > 0)
        if bool(lost.any()):
            displacement[lost] = (average @ displacement)[lost]
        displacement = displacement * moving[:, None]
    return template_on_surface(start + displacement, faces, sdf_and_gradient, config)


def template_on_surface(
    vertices: Tensor,
    faces: Tensor,
    sdf_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    config: ProjectionConfig = ProjectionConfig(),
) -> Projected:
    """How a template [V,3] lies to a surface, where it is: nothing moves. Arguments as `project_template`'s. No gradient."""
    here = vertices.detach()
    value, gradient = _ask(sdf_and_gradient, here)
    facing = _facing(here, faces, gradient, config)
    return Projected(here, value.abs() / gradient.norm(dim=1).clamp_min(0.3), facing)


def _ask(sdf_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]], points: Tensor) -> tuple[Tensor, Tensor]:
    parts = [sdf_and_gradient(part) for part in points.split(CHUNK)]
    value = torch.cat([part[0].detach() for part in parts]).to(points)
    return value, torch.cat([part[1].detach() for part in parts]).to(points)


def _facing(vertices: Tensor, faces: Tensor, gradient: Tensor, config: ProjectionConfig) -> Tensor:
    normals = torch.as_tensor(numpy_vertex_normals(vertices.cpu().numpy(), faces.cpu().numpy())).to(vertices)
    cosine = (normals * gradient).sum(1) / gradient.norm(dim=1).clamp_min(1e-6)
    return cosine > config.least_facing


def _neighbour_average(faces: Tensor, count: int, like: Tensor) -> Tensor:
    """Sparse [V,V] that replaces each vertex's value by the mean of its neighbours'."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = torch.unique(torch.cat([edges, edges.flip(1)]), dim=0)
    degree = torch.bincount(edges[:, 0], minlength=count).clamp_min(1).to(like)
    matrix = torch.sparse_coo_tensor(edges.T, 1 / degree[edges[:, 0]], (count, count), check_invariants=False)
    return matrix.coalesce()
