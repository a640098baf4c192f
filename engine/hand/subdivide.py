"""Midpoint subdivision of a hand model: every field of the finer hand is the linear interpolation of the coarse one.

Skinning, shape and correctives interpolate linearly, so at every pose the coarse vertices stay where they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .model import HandModel


class Midpoints(NamedTuple):
    """How a triangle mesh splits: each triangle into three at its corners and one in the middle."""

    edges: Tensor
    """[E,2] int64, sorted vertex pairs; midpoint e becomes vertex V + e."""
    faces: Tensor
    """[4F,3] int64; face 4f+k (k<3) touches corner k of face f, face 4f+3 is the middle one."""


def split_faces(faces: Tensor, vertex_count: int) -> Midpoints:
    """Edges and finer faces of a mesh. faces: [F,3] int64."""
    corners = torch.stack([faces, faces.roll(-1, dims=1)], dim=-1)
    edges, index = torch.unique(corners.sort(-1).values.reshape(-1, 2), dim=0, return_inverse=True)
    middle = index.reshape(-1, 3) + vertex_count
    a, b, c = faces.unbind(1)
    ab, bc, ca = middle.unbind(1)
    finer = torch.stack([torch.stack(t, -1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))], dim=1)
    return Midpoints(edges, finer.reshape(-1, 3))


def interpolate(values: Tensor, edges: Tensor) -> Tensor:
    """Per-vertex values [V,...] → [V+E,...] with the means of the edges' ends appended."""
    return torch.cat([values, values[edges].mean(1)], dim=0)


def spread(values: Tensor, edges: Sequence[Tensor]) -> Tensor:
    """Per-vertex values [V,...] with those of the passes' new vertices appended, each the mean of its edge's ends."""
    for ends in edges:
        values = interpolate(values, ends)
    return values


def finer_model(
    model: HandModel,
    edges: Sequence[Tensor],
    uv_edges: Sequence[Tensor],
    faces: Tensor,
    uv_faces: Tensor,
    parents: Tensor,
) -> HandModel:
    """The hand with new vertices in the middle of edges. Joints stay the same: the regressor's new columns are zero.

    edges: [E,2] int64 of each pass, of the vertices that there are then; uv_edges: the same of UV vertices, none without UVs;
    faces [F',3] and uv_faces [F',3] int64 in the end; parents [F'] int64: the old face of each.
    """
    added = (0, sum(len(ends) for ends in edges))
    share, elbow = model.forearm_weight, model.elbow_regressor
    return dataclasses.replace(
        model,
        v_template=spread(model.v_template, edges),
        shapedirs=spread(model.shapedirs, edges),
        posedirs=spread(model.posedirs, edges),
        skinning_weights=spread(model.skinning_weights, edges),
        palm_weight=spread(model.palm_weight, edges),
        # a new vertex lies on a nail where both ends do
        nail_vertices=spread(model.nail_vertices.double(), edges) > 1 - 1e-9,
        joint_regressor=torch.nn.functional.pad(model.joint_regressor, added),
        faces=faces,
        uv=spread(model.uv, uv_edges),
        uv_faces=uv_faces,
        cap_faces=model.cap_faces[parents],
        forearm_weight=None if share is None else spread(share, edges),
        elbow_regressor=None if elbow is None else torch.nn.functional.pad(elbow, added),
    )


def subdivide_model(model: HandModel, levels: int = 1) -> HandModel:
    """The hand with 4^levels as many triangles."""
    for _ in range(levels):
        split = split_faces(model.faces, len(model.v_template))
        parents = torch.arange(len(model.faces), device=model.faces.device).repeat_interleave(4)
        uv_edges: tuple[Tensor, ...] = ()
        uv_faces = model.uv_faces[parents]
        if len(model.uv):
            uv_split = split_faces(model.uv_faces, len(model.uv))
            uv_edges, uv_faces = (uv_split.edges,), uv_split.faces
        model = finer_model(model, (split.edges,), uv_edges, split.faces, uv_faces, parents)
    return model


def smooth_template(model: HandModel) -> HandModel:
    """The hand whose every template vertex is the mean of itself and its neighbours; joints move with the template.

    Once, after subdivision: the published PALM priors were trained on such a MANO (its code asks for three passes and does one).
    """
    vertices = model.v_template
    edges = split_faces(model.faces, len(vertices)).edges
    total, count = vertices.clone(), torch.ones_like(vertices[:, :1])
    for near, far in ((0, 1), (1, 0)):
        total = total.index_add(0, edges[:, near], vertices[edges[:, far]])
        count = count.index_add(0, edges[:, near], torch.ones_like(vertices[edges[:, far], :1]))
    return dataclasses.replace(model, v_template=total / count)
