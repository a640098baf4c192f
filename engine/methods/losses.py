"""HARP's energy terms (Karunratanakul et al. 2023, eqs. 5-12) as functions of tensors. Each returns a scalar."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..rendering.antialias import EdgeTable


def masked_l1(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean of |prediction − target| over channels and weighted pixels: eqs. 6 and E_photo.

    prediction, target [H,W,C]; weight [H,W] ≥ 0. Divides by the weight's sum, so the term does not depend on how much of
    the picture the hand fills.
    """
    difference = (prediction - target).abs().mean(-1)
    return (difference * weight).sum() / weight.sum().clamp_min(1.0)


def joint_anchor(joints: Tensor, reference: Tensor) -> Tensor:
    """Mean squared distance in decimetres of joints [*,J,3] from reference ones, both relative to the first: E_init."""
    difference = (joints - joints[..., :1, :]) - (reference - reference[..., :1, :])
    return ((10 * difference) ** 2).sum(-1).mean()


class UniformLaplacian(NamedTuple):
    """Neighbourhoods of a mesh, precomputed."""

    edges: Tensor
    """[E,2]"""
    degree: Tensor
    """[V]"""


def uniform_laplacian(edges: EdgeTable, vertex_count: int) -> UniformLaplacian:
    """Neighbour table of a mesh's edges."""
    ones = torch.ones(2 * len(edges.vertices), device=edges.vertices.device)
    degree = torch.zeros(vertex_count, device=ones.device).index_add(0, edges.vertices.reshape(-1), ones)
    return UniformLaplacian(edges.vertices, degree.clamp_min(1))


def laplacian_vectors(values: Tensor, table: UniformLaplacian) -> Tensor:
    """[V,C] mean of the neighbours minus the vertex itself. values [V,C]."""
    a, b = table.edges.unbind(1)
    total = torch.zeros_like(values).index_add(0, a, values[b]).index_add(0, b, values[a])
    return total / table.degree.to(values)[:, None] - values


def laplacian_energy(vertices: Tensor, reference: Tensor, table: UniformLaplacian) -> Tensor:
    """Mean length of the change of the uniform Laplacian: E_lap, metres.

    Against the undisplaced mesh and not against zero: otherwise the term shrinks thin fingers whatever the photo shows.
    """
    change = laplacian_vectors(vertices - reference, table)
    return torch.sqrt((change**2).sum(1) + 1e-16).mean()


def normal_consistency(vertices: Tensor, faces: Tensor, edges: EdgeTable) -> Tensor:
    """Mean of 1 − cosine between the normals of neighbouring faces: E_norm."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = normalize(torch.cross(b - a, c - a, dim=1), dim=1, eps=1e-12)
    inner = edges.faces[:, 1] >= 0
    return (1 - (normals[edges.faces[inner, 0]] * normals[edges.faces[inner, 1]]).sum(1)).mean()


def edge_length_energy(vertices: Tensor, reference: Tensor, edges: EdgeTable) -> Tensor:
    """Mean squared change of edge lengths in millimetres: eq. 8."""

    def lengths(points: Tensor) -> Tensor:
        return (points[edges.vertices[:, 0]] - points[edges.vertices[:, 1]]).norm(dim=1)

    return ((1000 * (lengths(vertices) - lengths(reference))) ** 2).mean()


def limit_energy(hand_pose: Tensor, axes: Tensor, limits: Tensor) -> Tensor:
    """Squared radians beyond the limits, summed, the mean of frames. hand_pose [*,45]; axes [15,3,3] rows; limits [15,3,2]."""
    components = (axes @ hand_pose.unflatten(-1, (15, 3))[..., None])[..., 0]
    beyond = (components - limits[..., 1]).clamp_min(0) + (limits[..., 0] - components).clamp_min(0)
    return (beyond**2).sum((-1, -2)).mean()


def acceleration_energy(values: Tensor, before: Tensor, after: Tensor, strength: Tensor) -> Tensor:
    """Sum of squares of 2 v − before − after, the mean over frames with strength [T] in [0,1]; values, before, after [T,C].

    Holds a track to the line through its neighbours in time (not in the paper, whose METRO poses are smoothed beforehand).
    """
    bend = 2 * values - before - after
    return ((bend**2).sum(-1) * strength).mean()


def random_offset(deviation_px: float, generator: torch.Generator) -> tuple[int, int]:
    """A random Gaussian displacement in whole texels, not (0, 0): ε of eqs. 11 and 12.

    One for all texels of a step: shifted slices cost a fraction of gathered neighbours, and over the steps every texel
    still meets the same distribution of neighbours.
    """
    while True:
        rows, columns = (round(float(x)) for x in torch.randn(2, generator=generator) * deviation_px)
        if rows or columns:
            return rows, columns


def map_smoothness(texture: Tensor, offset: tuple[int, int], inside: Tensor) -> Tensor:
    """Mean absolute difference of texels and their displaced neighbours: eq. 11 and the first term of eq. 12.

    texture [H,W,C]; offset in texels from `random_offset`; inside [H,W] bool: pairs that leave the charts do not count.
    """
    rows, columns = offset
    height, width = inside.shape
    if abs(rows) >= height or abs(columns) >= width:
        return texture.new_zeros(())
    here = (slice(max(0, rows), height + min(0, rows)), slice(max(0, columns), width + min(0, columns)))
    there = (slice(max(0, -rows), height + min(0, -rows)), slice(max(0, -columns), width + min(0, -columns)))
    both = inside[here] & inside[there]
    difference = (texture[here] - texture[there]).abs().mean(-1)
    return (difference * both).sum() / both.sum().clamp_min(1)


def upright_normals(normal_map: Tensor, inside: Tensor) -> Tensor:
    """Mean squared distance of tangent-space normals [H,W,3] from +z over the charts: second term of eq. 12."""
    up = normal_map.new_tensor([0.0, 0.0, 1.0])
    squared = ((normal_map - up) ** 2).sum(-1) / 3
    return (squared * inside).sum() / inside.sum().clamp_min(1)
