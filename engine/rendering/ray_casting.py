"""Rays against triangle meshes: nearest hits and shadow rays, on all of torch's CPU threads or on CUDA."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..threads import parallel_ranges

FAR = 1e3
"""Metres within which a ray looks for the mesh, unless told otherwise."""


class RayMesh(NamedTuple):
    """A mesh ready for rays; built by `ray_mesh`."""

    handle: Any
    """Warp's mesh, which owns the hierarchy."""
    device: torch.device


class Hits(NamedTuple):
    """What N rays met first."""

    faces: Tensor
    """[N] int64, −1 where nothing."""
    barycentric: Tensor
    """[N,3] float32 weights of the face's corners."""
    distance: Tensor
    """[N] float32 in units of the direction's length, infinite where nothing."""


def ray_mesh(vertices: Tensor, faces: Tensor) -> RayMesh:
    """Hierarchy over a mesh: vertices [V,3], faces [F,3] (F ≥ 1). Single precision, no gradient."""
    from ..warp_start import wp

    points = wp.from_torch(vertices.detach().float().contiguous(), dtype=wp.vec3)
    indices = wp.from_torch(faces.to(torch.int32).reshape(-1).contiguous())
    with wp.ScopedDevice(wp.device_from_torch(vertices.device)):
        return RayMesh(wp.Mesh(points=points, indices=indices), vertices.device)


def nearest_hits(mesh: RayMesh, origins: Tensor, directions: Tensor, max_distance: float = FAR) -> Hits:
    """First hits of rays: origins, directions [N,3], any length; max_distance in units of that length."""
    from ..warp_start import wp
    from .ray_kernels import find_nearest

    count = len(origins)
    faces = torch.full((count,), -1, dtype=torch.int32, device=mesh.device)
    weights = torch.zeros(count, 3, device=mesh.device)
    distance = torch.full((count,), torch.inf, device=mesh.device)
    arrays = [_vectors(origins), _vectors(directions)]
    results = [wp.from_torch(faces), wp.from_torch(weights, dtype=wp.vec3), wp.from_torch(distance)]
    _run(mesh, find_nearest, count, lambda first: [mesh.handle.id, *arrays, max_distance, first, *results])
    return Hits(faces.long(), weights, distance)


def any_hit(mesh: RayMesh, origins: Tensor, directions: Tensor, max_distance: float = FAR) -> Tensor:
    """Whether rays meet the mesh: origins, directions [N,3] → [N] bool. Cheaper than `nearest_hits`."""
    from ..warp_start import wp
    from .ray_kernels import find_any

    hit = torch.zeros(len(origins), dtype=torch.uint8, device=mesh.device)
    arrays = [_vectors(origins), _vectors(directions)]
    flags = wp.from_torch(hit)
    _run(mesh, find_any, len(hit), lambda first: [mesh.handle.id, *arrays, max_distance, first, flags])
    return hit.bool()


def _vectors(values: Tensor) -> Any:
    from ..warp_start import wp

    return wp.from_torch(values.detach().float().contiguous(), dtype=wp.vec3)


def _run(mesh: RayMesh, kernel: Any, count: int, arguments: Any) -> None:
    """Launch over `count` rays; arguments(first) lists a launch's inputs."""
    from ..warp_start import launch, load_kernels

    load_kernels(kernel, mesh.device)
    if mesh.device.type != "cpu":
        launch(kernel, count, arguments(0), mesh.device)
        return
    parallel_ranges(count, lambda start, stop: launch(kernel, stop - start, arguments(start), mesh.device))
