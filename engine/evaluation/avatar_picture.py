"""An avatar in a frame's pose, camera and light, as the engine's path tracer shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar
from ..datasets.hand_sequence import HandFrame
from ..datasets.palm import PalmFrame
from ..lighting.color import linear_to_srgb
from ..lighting.image_light import ImageLight
from ..methods.rerender import Pose, pose_mesh
from ..rendering.avatar_scene import GLOSS_IN_ALBEDO, avatar_scene
from ..rendering.crop import Crop
from ..rendering.denoise import denoised
from ..rendering.mesh_pbr import MeshRender, MeshRenderConfig, MeshScene, render_mesh
from .true_frame import TrueFrame

MARGIN_PX = 2


@dataclass(frozen=True)
class PictureConfig:
    """How the pictures that are compared are made."""

    longest_px: int | None = 256
    """Longer side; None: the set's own pixels."""
    shading: MeshRenderConfig = field(
        default_factory=lambda: MeshRenderConfig(pixel_samples=4, light_samples=4, bounces=1)
    )
    """On a true avatar at 256 pixels 4 lights a ray and the denoiser agree with Cycles to 35 dB, 64 lights to 36."""
    denoise: bool = True
    seed: int = 0


class PosableAvatar(NamedTuple):
    """An avatar folder read once, to be shown in many poses."""

    avatar: Avatar
    scene: MeshScene
    """At rest."""
    vertex: Tensor
    """[V'] int64: the mesh's vertex that each of the scene's is."""


def posable(avatar: Avatar) -> PosableAvatar:
    """Read an avatar's textures. Raises AvatarError."""
    scene = avatar_scene(avatar, np.zeros(3), np.zeros(45), np.zeros(3), GLOSS_IN_ALBEDO.get(avatar.method, 0.0))
    vertex = torch.zeros(len(scene.vertices), dtype=torch.int64)
    vertex[scene.faces.reshape(-1)] = torch.as_tensor(np.asarray(avatar.mesh.faces, dtype=np.int64)).reshape(-1)
    return PosableAvatar(avatar, scene, vertex)


class AvatarPicture(NamedTuple):
    """A picture over black and its passes, [H,W,…] as the true frame's."""

    image_srgb: Tensor
    """[H,W,3] in [0,1]."""
    coverage: Tensor
    """[H,W] in [0,1]."""
    albedo_srgb: Tensor
    """[H,W,3] in [0,1], of the skin alone at edges too."""
    normals: Tensor
    """[H,W,3] unit, camera's OpenCV axes, of the mesh without its normal map, as the set's own are."""
    mapped_normals: Tensor
    """[H,W,3] the same with the normal map."""


def picture_avatar(
    hand: PosableAvatar,
    frame: PalmFrame | HandFrame,
    wrist: Tensor,
    truth: TrueFrame,
    light: ImageLight,
    config: PictureConfig = PictureConfig(),
) -> AvatarPicture:
    """Render an avatar as a frame shows its hand.

    The frame's pose moves the avatar by the avatar's own joints. wrist [3]: where the true hand's wrist joint is at rest. The
    avatar's is put where the true one is in the picture, because one translation puts hands of other betas elsewhere.
    """
    scene = hand.scene._replace(vertices=posed_vertices(hand.avatar, frame, wrist)[hand.vertex])
    crop = hand_crop(scene.vertices, truth)
    shaded = _render(scene, light, truth, crop, config.shading, config.seed)
    # rays and jitter are the same, so that both renders' normals are of the same points
    plain = MeshRenderConfig(config.shading.pixel_samples, light_samples=1, bounces=0)
    bare = _render(scene._replace(normal_map=None), light, truth, crop, plain, config.seed)
    color = denoised(shaded) if config.denoise else shaded.color
    albedo = shaded.albedo / shaded.coverage.clamp_min(1e-6)[..., None]
    canvas = [
        linear_to_srgb(color.clamp_min(0)).clamp(0, 1),
        shaded.coverage[..., None],
        linear_to_srgb(albedo).clamp(0, 1),
        bare.normals,
        shaded.normals,
    ]
    image, coverage, skin, normals, mapped = (_pasted(values, crop, truth.mask.shape) for values in canvas)
    return AvatarPicture(image, coverage[..., 0], skin, normals, mapped)


def posed_vertices(avatar: Avatar, frame: PalmFrame | HandFrame, wrist: Tensor) -> Tensor:
    """[V,3] metres, world: an avatar's mesh in a frame's pose, its wrist where the true one is (`picture_avatar`)."""
    mesh = avatar.mesh
    pose = Pose(frame.global_orient, frame.hand_pose, frame.transl + wrist.numpy() - np.asarray(mesh.joints[0]))
    return pose_mesh(mesh, pose).vertices


def hand_crop(vertices: Tensor, truth: TrueFrame) -> Crop:
    """The part of the frame in which the avatar [V,3] can be seen, at least a pixel."""
    height, width = truth.mask.shape
    turn = truth.world_to_camera
    seen = (vertices @ turn[:3, :3].T + turn[:3, 3]) @ truth.intrinsics.T
    ahead = seen[:, 2] > 1e-3
    if not bool(ahead.all()):  # partly behind the camera: anywhere
        return Crop(0.0, 0.0, 1.0, width, height)
    points = seen[:, :2] / seen[:, 2:3]
    low = (points.amin(0).floor() - MARGIN_PX).clamp_min(0)
    high = torch.minimum(points.amax(0).ceil() + MARGIN_PX, torch.tensor([width, height]).float())
    left, top = (min(int(value), side - 1) for value, side in zip(low, (width, height), strict=True))
    return Crop(float(left), float(top), 1.0, max(1, int(high[0]) - left), max(1, int(high[1]) - top))


def _render(
    scene: MeshScene, light: ImageLight, truth: TrueFrame, crop: Crop, config: MeshRenderConfig, seed: int
) -> MeshRender:
    generator = torch.Generator().manual_seed(seed)
    camera = crop.intrinsics(truth.intrinsics)
    return render_mesh(scene, light, camera, truth.world_to_camera, crop.height, crop.width, config, generator)


def _pasted(values: Tensor, crop: Crop, shape: torch.Size) -> Tensor:
    """[h,w,C] of the crop on a black [H,W,C]."""
    whole = values.new_zeros(*shape, values.shape[-1])
    top, left = int(crop.top), int(crop.left)
    whole[top : top + crop.height, left : left + crop.width] = values
    return whole
