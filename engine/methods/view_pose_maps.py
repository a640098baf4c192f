"""Textures of an avatar whose skin follows its pose, for the real-time view: pictures are read once, blended as poses change."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..avatar.folder import Avatar
from ..avatar.texture_files import read_png
from ..rendering.pose_textures import PosedTextures


class PoseTextures:
    """What `rendering.pose_textures.posed_textures` gives, many times a second."""

    def __init__(self, avatar: Avatar, albedo: Tensor, normal: Tensor):
        """albedo [S,S,3] linear, normal [S,S,3]: the avatar's own, on the view's device. Raises AvatarError."""
        assert avatar.folder is not None
        self.maps = avatar.pose_maps
        self.mean = PosedTextures(albedo, normal)
        listed: dict[str, list[tuple[int, Tensor]]] = {"albedo": [], "normal": []}
        for index, one in enumerate(self.maps):
            for name, reach in one.pictures(index).items():
                kind = "normal" if "normal" in name else "albedo"
                picture = torch.as_tensor(read_png(avatar.folder / name))
                difference = 2 * reach * (picture[..., : 2 if kind == "normal" else 3] - 0.5)
                listed[kind].append((index, _sized(difference, normal if kind == "normal" else albedo)))
        self.owners = {kind: [index for index, _ in pictures] for kind, pictures in listed.items()}
        self.differences = {
            kind: torch.stack([picture.flatten() for _, picture in pictures]).to(albedo.device)
            for kind, pictures in listed.items()
            if pictures
        }
        self._last: tuple[Tensor, PosedTextures] | None = None

    def weights(self, hand_pose: Tensor) -> Tensor:
        """[K] shares of the maps at a pose [45]."""
        pose = hand_pose.cpu().numpy()
        return torch.as_tensor(np.array([float(one.weight(pose)) for one in self.maps]), dtype=torch.float32)

    def at(self, weights: Tensor) -> PosedTextures:
        """The textures with the maps' shares [K]; worked out anew only where they differ from the last time."""
        if not self.maps:
            return self.mean
        if self._last is None or not torch.equal(self._last[0], weights):
            albedo, normal = self.mean
            if "normal" in self.differences:
                tilt = self._sum("normal", weights).view(*normal.shape[:2], 2)
                normal = torch.cat([normal[..., :2] + tilt, normal[..., 2:]], dim=-1)
            if "albedo" in self.differences:
                albedo = (albedo + self._sum("albedo", weights).view_as(albedo)).clamp(0, 1)
            self._last = weights, PosedTextures(albedo, normal)
        return self._last[1]

    def _sum(self, kind: str, weights: Tensor) -> Tensor:
        stacked = self.differences[kind]
        return weights[self.owners[kind]].to(stacked) @ stacked


def _sized(picture: Tensor, like: Tensor) -> Tensor:
    """A map [s,s,C] at the size of another."""
    if picture.shape[:2] == like.shape[:2]:
        return picture
    planes = picture.permute(2, 0, 1)[None]
    return interpolate(planes, size=like.shape[:2], mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
