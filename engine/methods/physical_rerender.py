"""A finished avatar at its capture camera under its whole environment, and how well that matches the photo."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.folder import Avatar
from ..avatar.texture_files import read_environment, read_png
from ..errors import AvatarError
from ..lighting.color import linear_to_srgb
from ..lighting.image_light import image_light
from ..rendering.avatar_scene import avatar_scene
from ..rendering.crop import Crop, resample
from ..rendering.denoise import denoised
from ..rendering.field_bake import FieldMaps
from ..rendering.mesh import Picture
from ..rendering.mesh_pbr import MeshRenderConfig, render_mesh
from .preview import photo_crop, preview_sheet
from .rerender import RerenderScore, capture_pose, load_avatar, pose_avatar, rerender_score
from .wrist import beyond_wrist

SHADING = MeshRenderConfig(pixel_samples=4, light_samples=12, bounces=1)


class Rerender(NamedTuple):
    """The hand's part of the photo, and the avatar in it."""

    crop: Crop
    picture: Picture
    """sRGB-encoded, over black."""
    score: RerenderScore


class TakenPhoto(NamedTuple):
    """A photo as compared with."""

    color: Tensor
    """[H,W,3] sRGB in [0,1]."""
    mask: Tensor
    """[H,W] in [0,1]."""


def rerender_at_capture(
    avatar: Avatar, longest_px: int, maps: FieldMaps | None = None, seed: int = 0, taken: TakenPhoto | None = None
) -> Rerender:
    """Path-trace an avatar folder as its photo shows it, and compare the two.

    avatar: read from, or being written to, a folder; its camera is the world's origin; longest_px: of the picture, whose pixels
    are the photo's at most; maps: textures instead of the folder's; taken: the photo of `avatar.capture`, where that is not the
    folder's photo.png and mask.png. Raises AvatarError.
    """
    if avatar.folder is None:
        raise AvatarError("an avatar that was not read from a folder has no textures: write it first")
    capture = avatar.capture
    posed = pose_avatar(load_avatar(avatar), capture_pose(avatar))
    crop, intrinsics = photo_crop(avatar, posed.vertices, longest_px, enlarge=False)
    scene = avatar_scene(avatar, capture.global_orient, capture.hand_pose, capture.transl)
    if maps is not None:
        scene = scene._replace(
            albedo=maps.albedo.float(), roughness=maps.roughness.float()[..., None], normal_map=maps.normal.float()
        )
    light = image_light(torch.as_tensor(read_environment(avatar.folder / "environment.exr")))
    camera = torch.as_tensor(intrinsics).float()
    generator = torch.Generator().manual_seed(seed)
    to_camera = torch.as_tensor(capture.world_to_camera).float()
    shown = render_mesh(scene, light, camera, to_camera, crop.height, crop.width, SHADING, generator)
    coverage = shown.coverage[..., None]
    # where the hand covers part of a pixel, its own colour is encoded and not its dimmed mixture with black
    own = denoised(shown) / coverage.clamp_min(1e-6)
    picture = Picture(linear_to_srgb(own).clamp(0, 1) * coverage, shown.coverage)
    photo, mask, within = photo_planes(taken or photo_in_folder(avatar), crop)
    cap = torch.as_tensor(np.unique(avatar.mesh.faces[avatar.mesh.cap_faces])).long()
    forearm = beyond_wrist(posed.vertices, cap, posed.joints, camera, crop.height, crop.width)
    return Rerender(crop, picture, rerender_score(photo, mask, picture, within & ~forearm))


class PhotoPlanes(NamedTuple):
    """A photo in a crop."""

    photo: Tensor
    """[h,w,3] sRGB, white beyond its border."""
    mask: Tensor
    """[h,w] bool."""
    within: Tensor
    """[h,w] bool: where there is any photo."""


def photo_in_folder(avatar: Avatar) -> TakenPhoto:
    """The avatar's own photo."""
    assert avatar.folder is not None
    mask = torch.as_tensor(read_png(avatar.folder / "mask.png")).float()
    color = torch.as_tensor(read_png(avatar.folder / "photo.png"))[..., :3].float()
    return TakenPhoto(color, mask if mask.dim() == 2 else mask[..., 0])


def photo_planes(taken: TakenPhoto, crop: Crop) -> PhotoPlanes:
    """A photo and its mask in a crop."""
    planes = resample(torch.stack([taken.mask, torch.ones_like(taken.mask)], dim=-1), crop)
    photo = resample(taken.color, crop, outside=1.0).clamp(0, 1)
    return PhotoPlanes(photo, planes[..., 0] > 0.5, planes[..., 1] > 0.5)


def over_photo(rerender: Rerender, photo: Tensor) -> Tensor:
    """[h,w,3] the re-render before its photo [h,w,3], both sRGB-encoded."""
    return rerender.picture.color + photo * (1 - rerender.picture.coverage[..., None])


def physical_sheet(avatar: Avatar, shown: Rerender) -> np.ndarray:
    """[h,w,3] uint8, the preview: as HARP's, with the re-render under the whole environment."""
    taken = photo_in_folder(avatar)
    over = over_photo(shown, photo_planes(taken, shown.crop).photo)
    return preview_sheet(avatar, load_avatar(avatar), taken.color, over)
