"""Midpoint subdivision of a hand model: every field of the finer hand is the linear interpolation of the coarse one.

Skinning, shape and correctives interpolate linearly, so at every pose the coarse vertices stay where they were.
"""

from __future__ import annotations

import dataclasses
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


def subdivide_model(model: HandModel, levels: int = 1) -> HandModel:
    """The hand with 4^levels as many triangles. Joints stay the same: the regressor's new columns are zero."""
    for _ in range(levels):
        split = split_faces(model.faces, len(model.v_template))
        uv_split = split_faces(model.uv_faces, len(model.uv))
        share, elbow = model.forearm_weight, model.elbow_regressor
        model = dataclasses.replace(
            model,
            v_template=interpolate(model.v_template, split.edges),
            shapedirs=interpolate(model.shapedirs, split.edges),
            posedirs=interpolate(model.posedirs, split.edges),
            skinning_weights=interpolate(model.skinning_weights, split.edges),
            palm_weight=interpolate(model.palm_weight, split.edges),
            nail_vertices=torch.cat([model.nail_vertices, model.nail_vertices[split.edges].all(1)]),
            joint_regressor=torch.nn.functional.pad(model.joint_regressor, (0, len(split.edges))),
            faces=split.faces,
            uv=interpolate(model.uv, uv_split.edges) if len(model.uv) else model.uv,
            uv_faces=uv_split.faces if len(model.uv) else model.uv_faces.repeat_interleave(4, 0),
            cap_faces=model.cap_faces.repeat_interleave(4, 0),
            forearm_weight=None if share is None else interpolate(share, split.edges),
            elbow_regressor=None if elbow is None else torch.nn.functional.pad(elbow, (0, len(split.edges))),
        )
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
