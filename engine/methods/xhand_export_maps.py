"""What depends on the pose and is finer than the exported mesh, as a few maps whose weights follow the pose.

Normals (as slopes in the exported mesh's own tangent frame, MikkTSpace, +Y along +V) and albedo are regressed on functions of the
joints' bending; of what each group of joints does, the strongest combination becomes a map and its weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..avatar.pose_extras import PoseWeight
from ..avatar.pose_terms import Hinge, Term, evaluate_terms
from ..hand.joints import JOINT_NAMES
from ..rendering.bake import TexelMap
from ..rendering.field_bake import to_tangent_space
from ..rendering.mesh import MeshTopology
from ..rendering.rasterize import interpolate
from ..rendering.surface import corner_tangents, mapped_normals, vertex_normals

CHANNELS = 5
"""Two slopes, three of linear albedo."""
LEAST_UPRIGHT = 0.5
"""Cosine between the mesh's and the fine normal below which a closed crease shows another fold of skin: not to learn from."""
CANDIDATES = 64
"""Faces with the nearest middles, one of which holds a point: charts have slivers at fingertips."""
RIDGE = 3e-3
LEAST_SHARE = 0.004
"""Of all that the maps could explain, below which a map is not worth a texture."""
NOTHING = 1e-9
SLOPE_FLOOR, ALBEDO_FLOOR = 0.01, 0.004
"""Root mean squares that count as nothing: so much is noise of the training."""


@dataclass(frozen=True)
class JointGroup:
    """Joints that bend one piece of skin."""

    name: str
    terms: tuple[Term, ...]


class FinePlaces(NamedTuple):
    """Where the fine mesh's texture vertices [T] lie on the coarse mesh."""

    vertices: Tensor
    """[T] the fine mesh's vertex."""
    faces: Tensor
    """[T] of the coarse mesh."""
    barycentric: Tensor
    """[T,3]"""
    lid: Tensor
    """[T] bool: on faces that touch the wrist's lid, whose rim is sharp in Blender and shall look so."""


class MapModes(NamedTuple):
    """The pose's part in normals and albedo, at the fine mesh's texture vertices."""

    mean: Tensor
    """[T,5]: slopes x/z and y/z, albedo."""
    weights: tuple[PoseWeight, ...]
    differences: Tensor
    """[K,T,5] at weight 1."""
    names: tuple[str, ...]
    """Of each mode's joints."""

    def values(self, pose: Tensor) -> Tensor:
        """[T,5] at a pose [45]."""
        shares = torch.tensor([float(weight(pose.double().numpy())) for weight in self.weights])
        return self.mean + torch.einsum("k,ktc->tc", shares, self.differences)


def joint_groups(axes: np.ndarray) -> tuple[JointGroup, ...]:
    """For each finger its root, and its other joints together. axes [15,3,3]: flexion, abduction and twist (rows)."""

    def term(joint: int, w_power: int, h_power: int, kind: int = 0) -> Term:
        x, y, z = axes[joint - 1, kind].tolist()
        return (Hinge(joint, (x, y, z), w_power, h_power),)

    groups = []
    for root in (1, 4, 7, 10, 13):
        own = (term(root, 1, 1), term(root, 0, 2), term(root, 1, 1, kind=1))
        beyond = tuple(term(joint, *power) for joint in (root + 1, root + 2) for power in ((1, 1), (0, 2)))
        groups += [JointGroup(JOINT_NAMES[root], own), JointGroup(f"{JOINT_NAMES[root + 1]}+", beyond)]
    return tuple(groups)


def fine_places(fine: MeshTopology, coarse: MeshTopology, cap_faces: Tensor) -> FinePlaces:
    """Find the fine mesh's texture vertices on the coarse mesh, of which it is a refinement with the same charts.

    cap_faces [F] bool: the coarse mesh's faces of the wrist's lid.
    """
    middles = fine.uv[fine.uv_faces].mean(1).double().numpy()
    corners = coarse.uv[coarse.uv_faces].double().numpy()
    _, near = cKDTree(corners.mean(1)).query(middles, k=min(CANDIDATES, len(corners)))
    shares = _barycentric(middles[:, None], corners[near])
    chosen = shares.min(-1).argmax(1)
    owner = torch.as_tensor(near[np.arange(len(near)), chosen])
    faces, vertices = torch.zeros(len(fine.uv), dtype=torch.int64), torch.zeros(len(fine.uv), dtype=torch.int64)
    faces[fine.uv_faces.reshape(-1)] = owner.repeat_interleave(3)
    vertices[fine.uv_faces.reshape(-1)] = fine.faces.reshape(-1)
    share = _barycentric(fine.uv.double().numpy(), corners[faces.numpy()])
    rim = torch.isin(coarse.faces, coarse.faces[cap_faces]).any(1)
    return FinePlaces(vertices, faces, torch.as_tensor(share).float().clamp(0, 1), rim[faces])


def _barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """[*,3] of points [*,2] in triangles [*,3,2]."""
    a, b, c = np.moveaxis(corners, -2, 0)
    one, two, to = b - a, c - a, points - a
    area = one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]
    area = np.where(np.abs(area) < 1e-16, 1e-16, area)
    second = (to[..., 0] * two[..., 1] - to[..., 1] * two[..., 0]) / area
    third = (one[..., 0] * to[..., 1] - one[..., 1] * to[..., 0]) / area
    return np.stack([1 - second - third, second, third], axis=-1)


class SurfaceFrame(NamedTuple):
    """The frame of the coarse mesh's normal map at the fine texture vertices in one pose, as it is interpolated."""

    smooth: Tensor
    tangents: Tensor
    sign: Tensor
    corner_tangents: Tensor


def surface_frame(coarse: MeshTopology, vertices: Tensor, places: FinePlaces) -> SurfaceFrame:
    """Of the coarse mesh with vertices [C,3]."""
    normals = vertex_normals(vertices, coarse.faces)
    corners = corner_tangents(vertices, normals, coarse.faces, coarse.uv, coarse.uv_faces)
    smooth = interpolate(normals, coarse.faces[places.faces], places.barycentric)
    tangents = interpolate(corners[:, :3], coarse.uv_faces[places.faces], places.barycentric)
    return SurfaceFrame(smooth, tangents, corners[coarse.uv_faces[places.faces, 0], 3:4], corners)


def fine_values(
    fine: MeshTopology, coarse: MeshTopology, places: FinePlaces, posed: Tensor, mesh: Tensor, albedo: Tensor
) -> Tensor:
    """[T,5] of one pose, slopes NaN in closed creases. posed [V,3] the fine, mesh [C,3] the exported mesh's vertices."""
    normals = vertex_normals(posed, fine.faces)[places.vertices]
    frame = surface_frame(coarse, mesh, places)
    where = TexelMap(places.vertices, places.faces, places.barycentric, 0)
    tilt = to_tangent_space(normals, frame.smooth, frame.corner_tangents, coarse, where)
    slopes = torch.where(tilt[:, 2:] > LEAST_UPRIGHT, tilt[:, :2] / tilt[:, 2:], torch.nan)
    slopes[places.lid] = 0.0
    return torch.cat([slopes, albedo[places.vertices].float()], dim=1)


def normal_error_deg(
    fine: MeshTopology, coarse: MeshTopology, places: FinePlaces, posed: Tensor, mesh: Tensor, slopes: Tensor
) -> Tensor:
    """[T] degrees between the fine mesh's normals and those that the exported mesh shows with slopes [T,2] in its map."""
    frame = surface_frame(coarse, mesh, places)
    map_normals = torch.cat([slopes, torch.ones_like(slopes[:, :1])], dim=1)
    shown = mapped_normals(frame.smooth, frame.tangents, frame.sign, map_normals)
    cosine = (shown * vertex_normals(posed, fine.faces)[places.vertices]).sum(1)
    return torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))


def fit_maps(poses: Tensor, values: Iterable[Tensor], groups: Sequence[JointGroup], most: int) -> MapModes:
    """The strongest modes of values [T,5] at poses [N,45]. NaN: unknown there. most: number of maps."""
    terms = [term for group in groups for term in group.terms]
    columns = torch.as_tensor(evaluate_terms(terms, poses.double().numpy()))
    middle = columns.mean(0)
    moved = columns - middle
    known = [value.half() for value in values]
    count, texels = len(poses), len(known[0])
    mean = _mean_of_known(known)
    squares = torch.zeros(CHANNELS, dtype=torch.float64)
    crossed = torch.zeros(len(terms), texels, CHANNELS, dtype=torch.float64)
    for row, value in zip(moved, known, strict=True):
        # what is unknown in one pose counts as it is on average
        offset = (value - mean).nan_to_num(0.0)
        squares += (offset**2).sum(0)
        crossed += row[:, None, None] * offset
    variance = squares / (count * texels)
    gram = moved.T @ moved / count
    crossed = crossed.flatten(1) / count
    explained = _solve(gram, crossed)
    scale = _scales(variance).repeat(texels)
    combinations, names = _strongest(gram, explained * scale, groups, most)
    refit = _solve(combinations @ gram @ combinations.T, combinations @ crossed)
    shares = moved @ combinations.T
    weights = []
    for combination, share in zip(combinations, shares.T, strict=True):
        used = [index for index in range(len(terms)) if combination[index] != 0]
        gains = tuple(float(combination[index]) for index in used)
        weights.append(
            PoseWeight(
                -float(middle @ combination),
                float(share.min()),
                float(share.max()),
                gains,
                tuple(terms[i] for i in used),
            )
        )
    return MapModes(mean.float(), tuple(weights), refit.reshape(len(combinations), texels, CHANNELS).float(), names)


def _mean_of_known(known: Sequence[Tensor]) -> Tensor:
    """[T,5] mean over the poses in which each number is known; 0 where it never is."""
    total, times = torch.zeros(known[0].shape, dtype=torch.float64), torch.zeros(known[0].shape)
    for value in known:
        total += value.double().nan_to_num(0.0)
        times += ~value.isnan()
    return total / times.clamp_min(1)


def _scales(variance: Tensor) -> Tensor:
    """[5] by which slopes and albedo are multiplied, so that both count alike where both change with the pose."""
    slope, albedo = float(variance[:2].mean()) ** 0.5, float(variance[2:].mean()) ** 0.5
    return torch.tensor([1 / max(slope, SLOPE_FLOOR)] * 2 + [1 / max(albedo, ALBEDO_FLOOR)] * 3, dtype=torch.float64)


def _solve(gram: Tensor, crossed: Tensor) -> Tensor:
    eye = torch.eye(len(gram), dtype=gram.dtype)
    # poses that do not differ have no variance at all
    return torch.linalg.solve(gram + (RIDGE * gram.diagonal().mean() + 1e-12) * eye, crossed)


def _strongest(
    gram: Tensor, explained: Tensor, groups: Sequence[JointGroup], most: int
) -> tuple[Tensor, tuple[str, ...]]:
    """Combinations of columns [K,F], each of one group and of unit deviation, by what they explain; and their groups' names."""
    found: list[tuple[float, str, Tensor]] = []
    start = 0
    for group in groups:
        own = slice(start, start + len(group.terms))
        start = own.stop
        sizes, axes = torch.linalg.eigh(gram[own, own])
        kept = sizes > 1e-6 * sizes.max().clamp_min(1e-12)
        root = axes[:, kept] * sizes[kept].sqrt()
        effect = root.T @ explained[own]
        strengths, turns = torch.linalg.eigh(effect @ effect.T)
        for strength, turn in zip(strengths, turns.T, strict=True):
            combination = torch.zeros(len(gram), dtype=gram.dtype)
            combination[own] = axes[:, kept] / sizes[kept].sqrt() @ turn
            found.append((float(strength), group.name, combination))
    found.sort(key=lambda one: -one[0])
    enough = LEAST_SHARE * sum(one[0] for one in found)
    chosen = [one for one in found[:most] if one[0] > max(enough, NOTHING)]
    combinations = torch.stack([one[2] for one in chosen]) if chosen else gram.new_zeros(0, len(gram))
    return combinations, tuple(one[1] for one in chosen)
