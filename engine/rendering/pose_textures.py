"""An avatar's textures in a pose: its own, with the maps that follow the pose, as Blender's material blends them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..avatar.folder import Avatar
from ..avatar.texture_files import read_png
from ..errors import AvatarError
from ..lighting.color import srgb_to_linear


class PosedTextures(NamedTuple):
    albedo: Tensor
    """[S,S,3] linear in [0,1]."""
    normal: Tensor
    """[S,S,3] tangent space, +Y along +V, not of unit length where maps were added."""


def posed_textures(avatar: Avatar, hand_pose: np.ndarray) -> PosedTextures:
    """Of an avatar that was read from a folder, at a pose [45] axis-angle radians. Raises AvatarError."""
    if avatar.folder is None:
        raise AvatarError("an avatar that was not read from a folder has no textures: write it first")
    albedo = srgb_to_linear(torch.as_tensor(read_png(avatar.folder / "albedo.png")))
    normal = torch.as_tensor(read_png(avatar.folder / "normal.png")) * 2 - 1
    for index, one in enumerate(avatar.pose_maps):
        share = float(one.weight(hand_pose))
        for name, reach in one.pictures(index).items():
            difference = 2 * reach * (torch.as_tensor(read_png(avatar.folder / name)) - 0.5)
            if "normal" in name:
                tilt = torch.cat([difference[..., :2], torch.zeros_like(difference[..., :1])], dim=-1)
                normal = normal + share * _fitted(tilt, normal)
            else:
                albedo = albedo + share * _fitted(difference, albedo)
    return PosedTextures(albedo.clamp(0, 1) if avatar.pose_maps else albedo, normal)


def _fitted(picture: Tensor, like: Tensor) -> Tensor:
    """A map [s,s,3] at the size of another."""
    if picture.shape == like.shape:
        return picture
    planes = picture.permute(2, 0, 1)[None]
    return interpolate(planes, size=like.shape[:2], mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
