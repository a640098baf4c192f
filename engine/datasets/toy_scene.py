"""What the analytic data set shows: whose hands, in which poses, from where, in what light."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..hand.cameras import pinhole_matrix
from ..hand.mano import hand_forward
from ..hand.model import HandModel
from ..hand.pose_files import load_pose_file
from ..hand.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ..lighting.environment import equirect_grid
from ..lighting.spherical_gaussians import SphericalGaussians, evaluate
from .palm_files import Camera
from .palm_writer import SubjectPoses

POSES = Path(__file__).parents[2] / "assets" / "poses"
NAMED = ("flat", "spread", "pinch", "point", "thumbs_up", "fist")
RELAXED = "relaxed"
FLEXION_NOISE, SIDEWAYS_NOISE = math.radians(6), math.radians(1.5)
"""Standard deviations of a joint's angles about a named pose."""
TURN_NOISE = math.radians(9)
PLACE_NOISE_M = 0.004
UPRIGHT = ((0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
"""Rest frame to world (y down): fingers (-X) up, back of the hand (+Y) towards the first camera at -z."""
CAMERA_DISTANCE_M = 0.6
CAMERA_DIRECTIONS_DEG = ((-15.0, 8.0), (108.0, -14.0), (232.0, 18.0), (50.0, 30.0), (170.0, -30.0), (290.0, 0.0))
"""Azimuth about the vertical, 0 in front of the back of the hand, and height above the hand."""
FRAME_FILL = 0.94
"""Share of the picture's side that the largest hand of a subject takes."""
LIGHT_AXES = ((-0.5, -0.7, 0.6), (0.85, -0.1, 0.15), (0.1, 0.8, 0.6), (-0.6, 0.5, -0.4))
"""Blender's axes (z up, the first camera looks along +y): a key light before and above, a fill, and two from behind."""
LIGHT_SHARPNESS = (8.0, 4.0, 5.0, 4.0)
LIGHT_COLORS = ((3.5, 3.15, 2.7), (0.75, 1.0, 1.35), (2.0, 1.95, 2.0), (1.2, 0.95, 0.8))
LIGHT_AMBIENT = (0.22, 0.23, 0.25)


def toy_betas(count: int, generator: torch.Generator) -> Tensor:
    """[count,10] of people about as different as people are."""
    return (0.9 * torch.randn(count, 10, generator=generator)).clamp(-2, 2)


def training_hand_poses(model: HandModel, count: int, generator: torch.Generator) -> Tensor:
    """[count,45] named poses and what lies near them, within the model's limits."""
    order = torch.randperm(len(NAMED), generator=generator).tolist()
    poses = []
    for index in range(count):
        # every seventh is the relaxed hand itself, to which the others lean
        relaxed = index % (len(NAMED) + 1) == len(NAMED)
        name = RELAXED if relaxed else NAMED[order[index % (len(NAMED) + 1)]]
        # the second time round leans more, so that no pose comes twice
        lean = min(0.6, 0.35 * float(torch.rand((), generator=generator)) + 0.3 * (index // (len(NAMED) + 1)))
        poses.append(_near(model, name, lean, generator))
    return torch.stack(poses)


def held_out_hand_poses(model: HandModel, count: int, generator: torch.Generator) -> Tensor:
    """[count,45] poses halfway between a named one and the relaxed hand: none of the training's, in their midst."""
    order = torch.randperm(len(NAMED), generator=generator).tolist()
    poses = [_near(model, NAMED[order[k % len(NAMED)]], 0.5, generator) for k in range(count)]
    return torch.stack(poses) if poses else model.v_template.new_zeros(0, 45)


def _near(model: HandModel, name: str, lean: float, generator: torch.Generator) -> Tensor:
    """[45] a share `lean` of the way from a named pose to the relaxed one, with noise, within the joints' limits."""
    named, relaxed = (
        torch.as_tensor(load_pose_file(POSES / f"{pose}.json").hand_pose[0]).to(model.v_template).reshape(15, 3)
        for pose in (name, RELAXED)
    )
    angles = torch.einsum("jax,jx->ja", model.joint_axes, torch.lerp(named, relaxed, lean))
    noise = angles.new_tensor([FLEXION_NOISE, SIDEWAYS_NOISE, SIDEWAYS_NOISE])
    angles = angles + noise * torch.randn(15, 3, generator=generator).to(angles)
    angles = torch.clamp(angles, model.joint_limits[..., 0], model.joint_limits[..., 1])
    return torch.einsum("ja,jax->jx", angles, model.joint_axes).reshape(45)


def place_hands(model: HandModel, betas: Tensor, hand_pose: Tensor, generator: torch.Generator) -> SubjectPoses:
    """Poses [T,45] of a subject [10] held up before the cameras: upright, turned a little, about the world's origin."""
    count = len(hand_pose)
    turns = axis_angle_to_matrix(TURN_NOISE * torch.randn(count, 3, generator=generator).to(betas))
    orient = matrix_to_axis_angle(turns @ betas.new_tensor(UPRIGHT))
    vertices = hand_forward(model, betas.expand(count, -1), orient, hand_pose).vertices
    middle = (vertices.amin(1) + vertices.amax(1)) / 2
    transl = PLACE_NOISE_M * torch.randn(count, 3, generator=generator).to(betas) - middle
    return SubjectPoses(*(value.double().numpy() for value in (betas, orient, hand_pose, transl)))


def toy_cameras(vertices: np.ndarray, count: int, size: int) -> dict[str, Camera]:
    """`count` cameras about the origin that look at it and hold all vertices [N,3] in square pictures."""
    views = [_look_at_origin(*(math.radians(angle) for angle in CAMERA_DIRECTIONS_DEG[k])) for k in range(count)]
    extent = 0.0
    for view in views:
        seen = vertices @ view[:3, :3].T + view[:3, 3]
        extent = max(extent, float(np.abs(seen[:, :2] / seen[:, 2:]).max()))
    intrinsics = pinhole_matrix(FRAME_FILL * size / 2 / extent, size, size)
    return {f"MCU_{k + 1:02d}": Camera(intrinsics, view, size, size) for k, view in enumerate(views)}


def _look_at_origin(azimuth: float, elevation: float) -> np.ndarray:
    """[4,4] world to camera, both with y down, of a level camera."""
    place = np.array(
        [
            math.sin(azimuth) * math.cos(elevation),
            -math.sin(elevation),
            -math.cos(azimuth) * math.cos(elevation),
        ]
    )
    forward = -place
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    matrix[2, 3] = CAMERA_DISTANCE_M
    return matrix


class ToySubject(NamedTuple):
    name: str
    betas: Tensor
    """[10]"""
    darkness: float
    """Of the skin, in [0,1]."""
    training: SubjectPoses
    held_out: SubjectPoses
    cameras: dict[str, Camera]


def toy_subjects(
    model: HandModel, count: int, training: int, held_out: int, cameras: int, size: int, generator: torch.Generator
) -> list[ToySubject]:
    """The people of the set, each with poses of their own."""
    subjects = []
    for index, betas in enumerate(toy_betas(count, generator).to(model.v_template)):
        poses = [
            place_hands(model, betas, pose, generator)
            for pose in (
                training_hand_poses(model, training, generator),
                held_out_hand_poses(model, held_out, generator),
            )
        ]
        vertices = np.concatenate([posed_vertices(model, part).reshape(-1, 3) for part in poses])
        darkness = (index + 0.5) / count
        seen_from = toy_cameras(vertices, cameras, size)
        subjects.append(ToySubject(f"{index:04d}", betas, darkness, poses[0], poses[1], seen_from))
    return subjects


def posed_vertices(model: HandModel, poses: SubjectPoses) -> np.ndarray:
    """[T,V,3] world."""
    betas, orient, hand_pose, transl = (torch.as_tensor(value).to(model.v_template) for value in poses)
    return hand_forward(model, betas.expand(len(orient), -1), orient, hand_pose, transl).vertices.numpy()


def toy_environment(height: int, like: Tensor) -> Tensor:
    """[height,2·height,3] linear radiance in Blender's mapping: four soft coloured lights in a dim room."""
    directions, _ = equirect_grid(height, like)
    lobes = SphericalGaussians(*(like.new_tensor(part) for part in (LIGHT_AXES, LIGHT_SHARPNESS, LIGHT_COLORS)))
    return like.new_tensor(LIGHT_AMBIENT) + evaluate(lobes, directions)
