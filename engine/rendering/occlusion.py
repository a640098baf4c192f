"""Ambient occlusion by ray casting (Warp's BVH; CPU and CUDA)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..lighting.sphere_sampling import fibonacci_sphere


def occluded(vertices: Tensor, faces: Tensor, origins: Tensor, directions: Tensor, max_distance: float = 1.0) -> Tensor:
    """[P,D] bool: whether the mesh blocks the ray from origins [P,3] along directions [D,3] (unit) within max_distance m."""
    import warp as wp

    from .warp_kernels import cast_shadow_rays, launch

    device = wp.device_from_torch(vertices.device)
    points = wp.from_torch(vertices.detach().float().contiguous(), dtype=wp.vec3)
    indices = wp.from_torch(faces.to(torch.int32).reshape(-1).contiguous())
    with wp.ScopedDevice(device):
        mesh = wp.Mesh(points=points, indices=indices)
    hit = torch.zeros(len(origins), len(directions), dtype=torch.uint8, device=vertices.device)
    starts = wp.from_torch(origins.detach().float().contiguous(), dtype=wp.vec3)
    rays = wp.from_torch(directions.detach().float().contiguous(), dtype=wp.vec3)
    launch(
        cast_shadow_rays,
        (len(origins), len(directions)),
        [mesh.id, starts, rays, max_distance, wp.from_torch(hit)],
        vertices.device,
    )
    return hit.bool()


def ambient_visibility(
    vertices: Tensor, faces: Tensor, points: Tensor, normals: Tensor, rays: int = 128, offset: float = 5e-4
) -> Tensor:
    """Cosine-weighted share of the hemisphere that surface points see past the mesh, [P] in [0,1]. No gradient.

    vertices [V,3], faces [F,3]: the mesh; points, normals [P,3]; rays: directions over the whole sphere; offset: metres by
    which rays start above the surface.
    """
    directions = fibonacci_sphere(rays, vertices.detach())
    blocked = occluded(vertices, faces, points + offset * normals, directions)
    cosine = (normals.detach() @ directions.T).clamp_min(0)
    return (cosine * ~blocked).sum(1) / cosine.sum(1).clamp_min(1e-6)


def multiple_bounce(visibility: Tensor, albedo: Tensor) -> Tensor:
    """Ambient occlusion with the light that neighbouring skin of the same colour throws back (Jimenez et al. 2016, eq. 10).

    visibility [*,1] in [0,1]; albedo [*,C] linear in [0,1]. Returns [*,C], between visibility and 1.
    """
    a = 2.0404 * albedo - 0.3324
    b = -4.7951 * albedo + 0.6417
    c = 2.7552 * albedo + 0.6903
    return torch.maximum(visibility.expand_as(albedo), ((visibility * a + b) * visibility + c) * visibility)


def bounced_lamp(visibility: Tensor, albedo: Tensor, mean_cosine: float = 0.4) -> Tensor:
    """Lamp light that neighbouring skin throws into a fold: mean_cosine · (1 − visibility) · albedo, [*,C].

    The part of a point's hemisphere that is not sky is skin of the same albedo, lit on average at `mean_cosine` of full
    strength (half of it in shadow, the rest at some angle). Without it, folds would be black where the lamp is hidden.
    visibility [*,1] of the sky; albedo [*,C].
    """
    return mean_cosine * (1 - visibility) * albedo
