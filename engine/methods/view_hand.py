"""What the real-time view asks of a hand, whatever method made it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..hand.joints import MANO_PARENTS
from ..hand.mano import joint_transforms
from ..hand.rotations import axis_angle_to_matrix
from ..lighting.spherical_harmonics import COSINE_LOBE, sh_basis
from ..rendering.mesh import Picture
from .xhand_model import Camera

FINGER_ENDS = ((15, 14), (3, 2), (6, 5), (12, 11), (9, 8))
"""Last joint of each finger and the one before, from which the tip is guessed."""
FLESH_M = 0.015
"""Skin about the bones, for a camera that is to hold the hand."""


class HandPose(NamedTuple):
    """Radians and metres, on the hand's device."""

    global_orient: Tensor
    """[3]"""
    hand_pose: Tensor
    """[45]"""
    transl: Tensor
    """[3]"""


class ViewMesh(NamedTuple):
    """A hand in a pose, world."""

    vertices: Tensor
    """[V,3] metres"""
    normals: Tensor
    """[V,3] unit"""
    albedo: Tensor | None
    """[V,3] linear; None where it is a texture."""
    condition: Tensor | None
    """[45] what a neural renderer wants to know of the pose."""
    tangents: Tensor | None = None
    """[T,3] of the UV vertices, where there is a normal map."""
    coarse: Tensor | None = None
    """[C,3] metres, world: the coarse hand that hides parts of the sky, where light comes from one."""
    map_weights: Tensor | None = None
    """[K] shares of the textures that follow the pose, on the CPU, where it is a texture."""


@dataclass(frozen=True)
class ViewLight:
    """Light from far away."""

    matrix: Tensor
    """[9,3]: basis of a normal → irradiance / π."""
    turn: Tensor
    """[3,3]: the light's directions are turned by it."""

    def on(self, normals: Tensor) -> Tensor:
        """[N,3] irradiance / π on unit world normals [N,3], never negative."""
        return (sh_basis(normals @ self.turn) @ self.matrix).clamp_min(0)


class ViewHand(Protocol):
    """A hand that can be posed and drawn many times a second. Inference only."""

    side: str
    joints: Tensor
    """[16,3] at rest."""
    joint_axes: Tensor
    """[15,3,3], see HandModel."""
    joint_limits: Tensor
    """[15,3,2]"""
    light: Tensor
    """[9,3] spherical harmonics of the radiance, world axes: the light it was learned in, as far as they hold it."""
    neural: bool
    """Whether it has a neural renderer."""
    coarsest: int
    """Steps of `detail` that it has; 0 where there is one only."""

    def mesh(self, pose: HandPose, detail: int = 0) -> ViewMesh:
        """The hand in a pose; detail: how many steps coarser than can be, 0 for the whole."""
        ...

    def picture(self, mesh: ViewMesh, camera: Camera, light: ViewLight, neural: bool) -> Picture:
        """Colour [H,W,3] sRGB-encoded over black, coverage [H,W]."""
        ...

    def outside(self, hand_pose: Tensor) -> tuple[str, ...]:
        """Joints that bend beyond what the hand was learned from."""
        ...


def view_light(coefficients: Tensor, turn: float = 0.0, up: Tensor | None = None) -> ViewLight:
    """Light [9,3] turned by an angle in radians about an axis [3] (default: the world's vertical, y), with all constants in."""
    bands = torch.tensor([COSINE_LOBE[0]] + [COSINE_LOBE[1]] * 3 + [COSINE_LOBE[2]] * 5).to(coefficients)
    axis = coefficients.new_tensor([0.0, 1.0, 0.0]) if up is None else up.to(coefficients)
    return ViewLight(coefficients * bands[:, None] / math.pi, axis_angle_to_matrix(turn * axis))


def bones(joints: Tensor, pose: HandPose) -> Tensor:
    """[21,3] metres: where the 16 joints and, roughly, the finger tips are. joints [16,3] at rest."""
    rotations = axis_angle_to_matrix(torch.cat([pose.global_orient, pose.hand_pose]).reshape(16, 3))
    transforms = joint_transforms(rotations, joints, MANO_PARENTS)
    placed = (transforms[:, :3, :3] @ joints[..., None])[..., 0] + transforms[:, :3, 3]
    tips = torch.stack([2 * placed[last] - placed[before] for last, before in FINGER_ENDS])
    return torch.cat([placed, tips]) + pose.transl
