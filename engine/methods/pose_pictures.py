"""Pictures of a finished avatar in given poses, from any side: novel views and poses (HARP, section 4.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar
from ..hand.pose_files import PoseSequence
from ..lighting.color import linear_to_srgb
from ..lighting.image_light import ImageLight
from ..rendering.avatar_scene import GLOSS_IN_ALBEDO, avatar_scene
from ..rendering.denoise import denoised
from ..rendering.mesh_pbr import MeshRenderConfig, render_mesh
from .rerender import LoadedAvatar, Pose, load_avatar, pose_mesh, render_avatar

MARGIN = 0.06
"""Of the picture's side, around all poses."""


@dataclass(frozen=True)
class PictureView:
    """Where the pictures are taken from."""

    azimuth: float = 0.0
    """Radians by which the camera moves around the hand to its own right."""
    elevation: float = 0.0
    """Radians by which it rises."""
    size_px: int = 512
    photo_camera: bool = False
    """The camera of the avatar's photo, with its whole picture scaled to size_px on the longer side; else a square that holds
    the hand in all poses."""


def pose_pictures(
    avatar: Avatar, poses: PoseSequence, view: PictureView, light: ImageLight | None = None, seed: int = 0
) -> Iterator[Tensor]:
    """RGBA pictures [H,W,4] sRGB in [0,1], not premultiplied, one a pose.

    light: an environment, for ray-cast pictures with gloss; None takes the avatar's own lamp. Both stay where they are when the
    camera moves. Raises AvatarError.
    """
    loaded = load_avatar(avatar)
    turn = orbit(view.azimuth, view.elevation)
    placed = [_posed(loaded, poses, number) for number in range(len(poses))]
    centre = _centre(placed)
    to_camera = _world_to_camera(turn, centre)
    moved = [vertices @ to_camera[:3, :3].T + to_camera[:3, 3] for vertices in placed]
    intrinsics, height, width = _camera(avatar, moved, view)
    draw = _ray_cast(avatar, light, seed) if light is not None else _rasterised(loaded)
    for number, vertices in enumerate(moved):
        yield draw(_Shot(poses, number, vertices, to_camera, intrinsics, height, width))


class _Shot(NamedTuple):
    """One pose before a camera."""

    poses: PoseSequence
    number: int
    vertices: Tensor
    """[V,3] camera axes"""
    to_camera: Tensor
    intrinsics: np.ndarray
    height: int
    width: int


Draw = Callable[[_Shot], Tensor]


def _rasterised(loaded: LoadedAvatar) -> Draw:
    def draw(shot: _Shot) -> Tensor:
        light = loaded.light._replace(to_lamp=shot.to_camera[:3, :3] @ loaded.light.to_lamp)
        picture = render_avatar(loaded, shot.vertices, shot.intrinsics, (shot.width, shot.height), light)
        share = picture.coverage.clamp(0, 1)[..., None]
        return torch.cat([(picture.color / share.clamp_min(1e-3)).clamp(0, 1), share], dim=-1)

    return draw


def _ray_cast(avatar: Avatar, light: ImageLight, seed: int) -> Draw:
    def draw(shot: _Shot) -> Tensor:
        gloss = GLOSS_IN_ALBEDO.get(avatar.method, 0.0)
        poses, k = shot.poses, shot.number
        scene = avatar_scene(avatar, poses.global_orient[k], poses.hand_pose[k], poses.transl[k], gloss)
        generator = torch.Generator().manual_seed(seed)
        matrix = torch.as_tensor(shot.intrinsics).float()
        size = shot.height, shot.width
        shaded = render_mesh(scene, light, matrix, shot.to_camera, *size, MeshRenderConfig(), generator)
        share = shaded.coverage[..., None]
        color = denoised(shaded).clamp_min(0) / share.clamp_min(1e-3)
        return torch.cat([linear_to_srgb(color).clamp(0, 1), share.clamp(0, 1)], dim=-1)

    return draw


def orbit(azimuth: float, elevation: float) -> Tensor:
    """[3,3] rotation of the world in the camera's OpenCV axes when the camera moves to its right and up by these angles."""
    c, s = math.cos(azimuth), math.sin(azimuth)
    sideways = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    c, s = math.cos(elevation), math.sin(elevation)
    upward = torch.tensor([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return upward @ sideways


def _posed(loaded: LoadedAvatar, poses: PoseSequence, number: int) -> Tensor:
    return pose_mesh(
        loaded.mesh, Pose(poses.global_orient[number], poses.hand_pose[number], poses.transl[number])
    ).vertices


def _centre(placed: list[Tensor]) -> Tensor:
    low = torch.stack([vertices.amin(0) for vertices in placed]).amin(0)
    high = torch.stack([vertices.amax(0) for vertices in placed]).amax(0)
    return (low + high) / 2


def _world_to_camera(turn: Tensor, centre: Tensor) -> Tensor:
    """[4,4]: the camera turns about the hands' centre; where that is not before the camera it is put 0.6 m ahead."""
    ahead = centre if float(centre[2]) > 0.1 else torch.tensor([0.0, 0.0, 0.6])
    matrix = torch.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = ahead - turn @ centre
    return matrix


def _camera(avatar: Avatar, moved: list[Tensor], view: PictureView) -> tuple[np.ndarray, int, int]:
    if view.photo_camera:
        width, height = avatar.capture.image_size
        scale = view.size_px / max(width, height)
        matrix = np.diag([scale, scale, 1.0]) @ avatar.capture.intrinsics
        return matrix, max(1, round(height * scale)), max(1, round(width * scale))
    points = torch.cat([vertices[:, :2] / vertices[:, 2:3].clamp_min(1e-3) for vertices in moved]).numpy()
    low, high = points.min(0), points.max(0)
    focal = (1 - 2 * MARGIN) * view.size_px / max(float((high - low).max()), 1e-6)
    middle = view.size_px / 2 - focal * (low + high) / 2
    return np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]]), view.size_px, view.size_px
