"""Signed distance to a closed mesh, and where to ask for it: the targets of the field's pre-training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import HandModelError
from ..threads import parallel_ranges

NOISE_M = 0.005
UNIFORM_SHARE = 4096 / (40960 + 4096)
UNIFORM_HALF_SIZE_M = (0.18, 0.09, 0.18)
"""The published 0.9 m along y lies almost wholly outside the canonical cube, where no field is asked."""


def signed_distance(vertices: Tensor, faces: Tensor, points: Tensor) -> Tensor:
    """[N] metres from points [N,3] to the mesh, negative inside. No gradient.

    vertices [V,3] metres; faces [F,3] int64, counter-clockwise from outside, closed (`sealing.seal` closes a hand). Inside is
    where the winding number (Barill et al. 2018) exceeds a half, so small self-intersections do no harm. Raises HandModelError
    for a mesh without faces or with vertices that are not finite.
    """
    from ..warp_start import launch, load_kernels, wp
    from .signed_distance_kernels import query_distance

    if not len(faces) or not bool(torch.isfinite(vertices).all()):
        raise HandModelError(
            "signed distances need a closed mesh of finite vertices: check the hand model and its betas"
        )
    corners = vertices.detach().float().contiguous()
    indices = faces.to(torch.int32).reshape(-1).contiguous()
    queries = points.detach().float().contiguous()
    distance = torch.empty(len(queries), dtype=torch.float32, device=queries.device)
    device = queries.device
    with wp.ScopedDevice(wp.device_from_torch(device)):
        mesh = wp.Mesh(
            points=wp.from_torch(corners, dtype=wp.vec3), indices=wp.from_torch(indices), support_winding_number=True
        )
    arrays = [mesh.id, wp.from_torch(queries, dtype=wp.vec3), wp.from_torch(distance)]
    load_kernels(query_distance, device)
    if device.type == "cpu":
        parallel_ranges(len(queries), lambda a, b: launch(query_distance, b - a, [a, *arrays], device), minimum=512)
    elif len(queries):
        launch(query_distance, len(queries), [0, *arrays], device)
    return distance.to(points.dtype)


class SurfacePlaces(NamedTuple):
    """N points on a mesh."""

    faces: Tensor
    """[N] int64"""
    barycentric: Tensor
    """[N,3]"""


def surface_places(vertices: Tensor, faces: Tensor, count: int, generator: torch.Generator) -> SurfacePlaces:
    """`count` places spread evenly over the mesh's area. vertices [V,3]; faces [F,3]; generator on any device."""
    corners = vertices.detach()[faces]
    area = torch.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=1).norm(dim=1)
    random = torch.rand(count, 3, generator=generator, device=generator.device).to(corners)
    # by the cumulated area rather than torch.multinomial, which ends at 2^24 faces and differs between devices
    cumulated = area.cumsum(0)
    face = torch.searchsorted(cumulated, random[:, 0] * cumulated[-1]).clamp_max(len(faces) - 1)
    root = random[:, 1:2].sqrt()
    return SurfacePlaces(face, torch.cat([1 - root, root * (1 - random[:, 2:3]), root * random[:, 2:3]], dim=1))


def surface_points(vertices: Tensor, faces: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """[count,3] points spread evenly over the mesh's area. vertices [V,3]; faces [F,3]; generator on any device."""
    places = surface_places(vertices, faces, count, generator)
    a, b, c = vertices.detach()[faces[places.faces]].unbind(1)
    first, second, third = places.barycentric.split(1, dim=1)
    return first * a + second * b + third * c


def pretraining_points(
    vertices: Tensor,
    faces: Tensor,
    count: int,
    generator: torch.Generator,
    noise_m: float = NOISE_M,
    uniform_share: float = UNIFORM_SHARE,
    uniform_half_size_m: tuple[float, float, float] = UNIFORM_HALF_SIZE_M,
) -> Tensor:
    """[count,3] points at which a field learns a mesh's distance (published code): near its surface, and some anywhere.

    Surface points moved by normal noise of noise_m, and `uniform_share` of the count uniform in the box of half sizes
    uniform_half_size_m around the origin. vertices [V,3] metres; faces [F,3]; generator on any device.
    """
    anywhere = round(count * uniform_share)
    near = surface_points(vertices, faces, count - anywhere, generator)
    noise = torch.randn(near.shape, generator=generator, device=generator.device).to(near)
    uniform = torch.rand(anywhere, 3, generator=generator, device=generator.device).to(near) * 2 - 1
    return torch.cat([near + noise_m * noise, uniform * near.new_tensor(uniform_half_size_m)])
