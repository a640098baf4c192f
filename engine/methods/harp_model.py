"""HARP's representation: a subdivided parametric hand with a personal displacement, albedo map, normal map and light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..hand.forearm import bend_forearm
from ..hand.mano import joint_transforms, pose_features, shape_hand, skin
from ..hand.model import HandModel
from ..hand.rotations import axis_angle_to_matrix
from ..hand.subdivide import interpolate as interpolate_midpoints
from ..hand.subdivide import split_faces, subdivide_model
from ..lighting.color import linear_to_srgb
from ..lighting.lamp import LampLight
from ..rendering.antialias import edge_table
from ..rendering.mesh import MeshTopology, mesh_topology
from ..rendering.surface import vertex_normals
from .losses import UniformLaplacian, uniform_laplacian


class Template(NamedTuple):
    """The constant part of a personalisation."""

    model: HandModel
    """Subdivided."""
    topology: MeshTopology
    neighbours: UniformLaplacian
    smoother: Tensor
    """[N,N] of the coarse mesh: spreads a vertex's offset over its neighbourhood."""
    midpoints: tuple[Tensor, ...]
    """[E,2] per subdivision level."""
    coarse_faces: Tensor
    """[F,3] before subdivision; its vertices are the first ones of the fine mesh."""


@dataclass
class GeometryParameters:
    """What the geometry stage moves; leaves of the autograd graph. * is nothing, or the number of frames."""

    betas: Tensor
    """[10]"""
    global_orient: Tensor
    """[*,3]"""
    hand_pose: Tensor
    """[*,45]"""
    transl: Tensor
    """[*,3] metres"""
    offsets: Tensor
    """[N] metres on the coarse mesh, before smoothing."""
    forearm: Tensor | None = None
    """[*,3] its rotation about the wrist, relative to the hand, of a template with forearm; None: straight."""

    def frames(self, index: Tensor) -> GeometryParameters:
        """The same hand in some of the frames, index [B]."""
        return replace(
            self,
            global_orient=self.global_orient[index],
            hand_pose=self.hand_pose[index],
            transl=self.transl[index],
            forearm=None if self.forearm is None else self.forearm[index],
        )


@dataclass
class AppearanceParameters:
    """What the appearance stage moves."""

    albedo: Tensor
    """[M,M,3] sRGB-encoded, in [0,1]."""
    normal: Tensor
    """[M,M,2] x, y of the tangent-space normal before normalisation, z = 1."""
    log_ambient: Tensor
    """[3] logarithm of linear irradiance / pi."""
    log_lamp: Tensor
    """[3]"""
    to_lamp: Tensor
    """[3]"""

    @staticmethod
    def of_maps(albedo: Tensor, normal: Tensor, light: AppearanceParameters) -> AppearanceParameters:
        """A finished avatar's maps (albedo [S,S,3] linear, normal [S,S,3] unit) in a light, to be rendered."""
        slopes = normal[..., :2] / normal[..., 2:3].clamp_min(0.05)
        values = (light.log_ambient, light.log_lamp, light.to_lamp)
        return AppearanceParameters(linear_to_srgb(albedo).clamp(0, 1), slopes, *(value.detach() for value in values))

    def light(self) -> LampLight:
        return LampLight(torch.exp(self.log_ambient), torch.exp(self.log_lamp), self.to_lamp)

    def normal_map(self) -> Tensor:
        """[M,M,3] unit tangent-space normals."""
        return normalize(torch.cat([self.normal, torch.ones_like(self.normal[..., :1])], -1), dim=-1)

    def maps(self) -> Tensor:
        """[M,M,6] albedo as it is stored, and normals."""
        return torch.cat([self.albedo, self.normal_map()], dim=-1)


class PosedHand(NamedTuple):
    """* is nothing, or the number of frames."""

    vertices: Tensor
    """[*,V,3] camera frame."""
    joints: Tensor
    """[*,16,3]"""
    keypoints: Tensor
    """[*,21,3]"""
    undisplaced: Tensor
    """[*,V,3] the same pose and shape without the personal displacement."""
    rest_vertices: Tensor
    """[V,3] shaped and displaced, unposed."""
    rest_joints: Tensor
    """[16,3]"""


def build_template(coarse: HandModel, levels: int = 1, smoothing: float = 8.0) -> Template:
    """Subdivide a hand for personalisation.

    smoothing: strength of the implicit Laplacian step (I + smoothing · L)^-1 that offsets pass through, so that an outline
    moves the skin around it and not single vertices (the preconditioner of Nicolet et al. 2021, on the coarse mesh).
    """
    count = len(coarse.v_template)
    table = uniform_laplacian(edge_table(coarse.faces), count)
    a, b = table.edges.unbind(1)
    graph = torch.zeros(count, count, dtype=torch.float64, device=a.device)
    graph[a, b] = graph[b, a] = -1.0
    graph.diagonal().copy_(table.degree)
    identity = torch.eye(count, dtype=torch.float64, device=a.device)
    smoother = torch.linalg.inv(identity + smoothing * graph).to(coarse.v_template)
    return _subdivided(coarse, levels, smoother)


def unsubdivided(template: Template, coarse: HandModel) -> Template:
    """The template of the same hand `coarse`, as it was before its subdivision: parameters fit both."""
    return _subdivided(coarse, 0, template.smoother)


def _subdivided(coarse: HandModel, levels: int, smoother: Tensor) -> Template:
    midpoints = []
    faces, vertex_count = coarse.faces, len(coarse.v_template)
    for _ in range(levels):
        split = split_faces(faces, vertex_count)
        midpoints.append(split.edges)
        faces, vertex_count = split.faces, vertex_count + len(split.edges)
    model = subdivide_model(coarse, levels)
    topology = mesh_topology(model.faces, model.uv, model.uv_faces)
    neighbours = uniform_laplacian(topology.edges, len(model.v_template))
    return Template(model, topology, neighbours, smoother, tuple(midpoints), coarse.faces)


def displacement(template: Template, offsets: Tensor) -> Tensor:
    """Displacement along the normal [V] metres of coarse offsets [N]."""
    values = template.smoother @ offsets
    for edges in template.midpoints:
        values = interpolate_midpoints(values, edges)
    return values


def pose_hand(template: Template, parameters: GeometryParameters) -> PosedHand:
    """The displaced hand in its pose.

    Displacement acts in the rest pose, before correctives and skinning, so that the exported rest mesh deforms exactly as
    the fitted one did. Joints ignore it: a thicker finger keeps its bones.
    """
    model = template.model
    rest, rest_joints = shape_hand(model, parameters.betas)
    normals = vertex_normals(rest.detach(), model.faces)
    displaced = rest + displacement(template, parameters.offsets)[:, None] * normals
    axis_angles = torch.cat([parameters.global_orient, parameters.hand_pose], dim=-1).unflatten(-1, (16, 3))
    rotations = axis_angle_to_matrix(axis_angles)
    correctives = torch.einsum("vcp,...p->...vc", model.posedirs, pose_features(rotations))
    transforms = joint_transforms(rotations, rest_joints.expand(*rotations.shape[:-3], 16, 3), model.parents)
    both = torch.cat([displaced + correctives, rest + correctives], dim=-2)
    moved = parameters.transl[..., None, :]
    bent, weights = transforms, model.skinning_weights
    if parameters.forearm is not None:
        bent, weights = bend_forearm(model, transforms, rest_joints[0], parameters.forearm)
    posed = skin(both, bent, weights.repeat(2, 1)) + moved
    vertices, undisplaced = posed.chunk(2, dim=-2)
    joints = (transforms[..., :3, :3] @ rest_joints[..., None])[..., 0] + transforms[..., :3, 3] + moved
    keypoints = torch.cat([joints, vertices[..., model.tip_vertices, :]], dim=-2)
    return PosedHand(vertices, joints, keypoints, undisplaced, displaced, rest_joints)
