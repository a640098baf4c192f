"""Closing a hand mesh that is open at the wrist, so that it has an inside (spec of PALM's pre-training targets)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import HandModelError


def boundary_loop(faces: Tensor) -> Tensor:
    """Vertices [L] int64 along the single open border of a mesh, in the order of its faces' edges; empty if closed.

    faces [F,3]. Raises HandModelError where the border is not one simple loop.
    """
    directed = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = int(faces.max()) + 1
    forward = directed[:, 0] * count + directed[:, 1]
    backward = directed[:, 1] * count + directed[:, 0]
    border = directed[~torch.isin(forward, backward)].tolist()
    if not border:
        return faces.new_zeros(0)
    following = dict(border)
    loop = [border[0][0]]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
        if len(loop) > len(border) or loop[-1] not in following:
            break
    if len(loop) != len(border) or len(following) != len(border):
        raise HandModelError("the hand mesh has more than one hole: give a mesh that is open at the wrist only")
    return torch.tensor(loop, dtype=faces.dtype, device=faces.device)


def seal(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """The mesh with a fan of triangles over its wrist: vertices [*,V,3] → [*,V+1,3], faces [F,3] → [F+L,3].

    A closed mesh comes back as it is. The new vertex is the mean of the border.
    """
    loop = boundary_loop(faces)
    if len(loop) == 0:
        return vertices, faces
    centre = vertices[..., loop, :].mean(-2, keepdim=True)
    middle = torch.full_like(loop, vertices.shape[-2])
    # the border runs along its faces, so the lid runs against it
    lid = torch.stack([loop.roll(-1), loop, middle], dim=1)
    return torch.cat([vertices, centre], dim=-2), torch.cat([faces, lid])
