"""A hand model of about a wanted number of vertices, with triangles of nearly one size.

Midpoint subdivision quarters every triangle; the rest is made up by splitting the longest edges. The result is conforming:
two triangles that share an edge split it at the same point. As in `subdivide`, every field of a new vertex is the mean of the
edge's ends, so the coarse vertices stay where they were at every pose.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import HandModelError
from .model import HandModel
from .subdivide import finer_model, interpolate, spread

NEAR = 0.05
"""Share of the wanted vertices by which whole levels alone may miss it: MANO's third has 49,281 of 50,000."""
LONG = 0.7
"""Of the longest edge: what is split in one pass, before lengths are looked at again."""


class Split(NamedTuple):
    """Some edges of a triangle mesh split at their middles."""

    edges: Tensor
    """[E,2] int64, sorted vertex pairs; the middle of edge e becomes vertex V + e."""
    faces: Tensor
    """[F',3] int64"""
    parents: Tensor
    """[F'] int64: the face that each one was cut from."""


class Refinement(NamedTuple):
    """How a coarse mesh becomes a fine one, pass by pass; what a file keeps so that a hand is refined alike everywhere."""

    edges: tuple[Tensor, ...]
    """[E_k,2] int64 of each pass: its new vertices lie in the middle of these, and follow those before in this order."""
    uv_edges: tuple[Tensor, ...]
    """The same for the UV vertices; empty without UVs."""
    faces: Tensor
    """[F,3] int64 in the end."""
    uv_faces: Tensor
    """[F,3] int64"""
    parents: Tensor
    """[F] int64: the coarse face that each was cut from."""

    def spread(self, values: Tensor) -> Tensor:
        """Per-vertex values of the coarse mesh [V,...] on the fine one."""
        return spread(values, self.edges)


def refine_model(model: HandModel, vertices: int) -> HandModel:
    """The hand with about `vertices` vertices, never more than NEAR above, and at least as many as it has.

    Raises HandModelError for a number that is not positive.
    """
    return refined(model, refinement(model, vertices))


def refinement(model: HandModel, vertices: int) -> Refinement:
    """The passes of `refine_model`."""
    if vertices < 1:
        raise HandModelError(f"a hand of {vertices} vertices cannot be made: ask for 1,000 or more")
    points, faces, uv_faces = model.v_template.double(), model.faces, model.uv_faces
    parents = torch.arange(len(faces), device=faces.device)
    edges, uv_edges, uv_count = [], [], len(model.uv)
    while len(points) < (1 - NEAR) * vertices:
        if 4 * len(points) <= (1 + NEAR) * vertices:
            marked = torch.ones_like(faces, dtype=torch.bool)
        else:
            marked = _longest(points, faces, vertices - len(points))
        turned = _shorter_turned(points, faces, marked)
        split = split_edges(faces, len(points), marked, turned)
        if uv_count:
            of_uv = split_edges(uv_faces, uv_count, marked, turned)
            uv_edges.append(of_uv.edges)
            uv_faces, uv_count = of_uv.faces, uv_count + len(of_uv.edges)
        else:
            uv_faces = uv_faces[split.parents]
        edges.append(split.edges)
        points, faces, parents = interpolate(points, split.edges), split.faces, parents[split.parents]
    return Refinement(tuple(edges), tuple(uv_edges), faces, uv_faces, parents)


def refined(model: HandModel, how: Refinement) -> HandModel:
    """The fine hand of a coarse one."""
    return finer_model(model, how.edges, how.uv_edges, how.faces, how.uv_faces, how.parents)


def split_edges(faces: Tensor, vertex_count: int, marked: Tensor, turned: Tensor) -> Split:
    """Faces cut at the marked edges.

    faces [F,3] int64; marked [F,3] bool: edge k of a face runs from its corner k to the next; both faces of an edge mark it.
    turned [F] bool: of faces with two marked edges, whether the four-sided rest is cut along its other diagonal.
    """
    ends = torch.stack([faces, faces.roll(-1, 1)], dim=-1).sort(-1).values
    edges, index = torch.unique(ends[marked], dim=0, return_inverse=True)
    middle = torch.full_like(faces, -1)
    middle[marked] = index + vertex_count
    count = marked.sum(1)
    # the corners are turned so that the only marked edge comes first, or the only unmarked one last
    single = marked.to(torch.int64).argmax(1)
    unmarked = (~marked).to(torch.int64).argmax(1)
    shift = torch.where(count == 1, single, torch.where(count == 2, (unmarked + 1) % 3, torch.zeros_like(single)))
    places = (torch.arange(3, device=faces.device) + shift[:, None]) % 3
    a, b, c = faces.gather(1, places).unbind(1)
    ab, bc, ca = middle.gather(1, places).unbind(1)
    all_faces = torch.arange(len(faces), device=faces.device)

    def cut(chosen: Tensor, *triangles: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        pieces = torch.stack([torch.stack(corners, -1)[chosen] for corners in triangles], dim=1)
        return pieces.reshape(-1, 3), all_faces[chosen].repeat_interleave(len(triangles))

    parts = (
        cut(count == 0, (a, b, c)),
        cut(count == 1, (a, ab, c), (ab, b, c)),
        cut((count == 2) & ~turned, (ab, b, bc), (a, ab, bc), (a, bc, c)),
        cut((count == 2) & turned, (ab, b, bc), (a, ab, c), (ab, bc, c)),
        cut(count == 3, (a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)),
    )
    finer, parents = (torch.cat(column) for column in zip(*parts, strict=True))
    return Split(edges, finer, parents)


def _longest(points: Tensor, faces: Tensor, most: int) -> Tensor:
    """[F,3] bool: the longest edges of a mesh, at most `most` of them."""
    ends = torch.stack([faces, faces.roll(-1, 1)], dim=-1).sort(-1).values
    edges, index = torch.unique(ends.reshape(-1, 2), dim=0, return_inverse=True)
    lengths = (points[edges[:, 0]] - points[edges[:, 1]]).norm(dim=1)
    order = torch.argsort(lengths, descending=True, stable=True)
    long = int((lengths >= LONG * lengths.max()).sum())
    chosen = torch.zeros(len(edges), dtype=torch.bool, device=faces.device)
    chosen[order[: min(long, most)]] = True
    return chosen[index].reshape(-1, 3)


def _shorter_turned(points: Tensor, faces: Tensor, marked: Tensor) -> Tensor:
    """[F] bool: whether, of faces with two marked edges, the diagonal from the first middle to the last corner is shorter."""
    shift = ((~marked).to(torch.int64).argmax(1) + 1) % 3
    places = (torch.arange(3, device=faces.device) + shift[:, None]) % 3
    a, b, c = points[faces.gather(1, places)].unbind(1)
    return ((a + b) / 2 - c).norm(dim=1) < (a - (b + c) / 2).norm(dim=1)
