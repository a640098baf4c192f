"""Pixels to rays, and rays from world space to the root space of their hand."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def pixel_rays(intrinsics: Tensor, world_to_camera: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """World rays through points of a picture.

    intrinsics [3,3] or [P,3,3] px; world_to_camera [4,4] or [P,4,4], OpenCV axes, rigid; pixels [P,2] (x, y) px, where the
    first pixel's centre is (0.5, 0.5). Returns the camera's place [P,3] in metres and unit directions [P,3].
    """
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=1)
    in_camera = torch.linalg.solve(
        intrinsics.to(pixels), homogeneous.T if intrinsics.dim() == 2 else homogeneous[..., None]
    )
    in_camera = in_camera.T if intrinsics.dim() == 2 else in_camera[..., 0]
    pose = world_to_camera.to(pixels)
    rotation, translation = pose[..., :3, :3], pose[..., :3, 3]
    # x_camera = R x_world + t, so rows times R are columns times R transposed
    directions = (in_camera[:, None] @ rotation)[:, 0]
    centre = -(translation[..., None, :] @ rotation)[..., 0, :]
    return centre.expand_as(directions), normalize(directions, dim=1)


def image_pixels(height: int, width: int, like: Tensor) -> Tensor:
    """[height·width,2] (x, y) px of all pixel centres, row by row."""
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device).to(like),
        torch.arange(width, device=like.device).to(like),
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5


def to_root_space(root: Tensor, hand: Tensor, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """World rays in the root space of their hands. root [B,4,4] root space → world, rigid; hand [R] int64.

    origins, directions [R,3]. Lengths along the ray stay what they were.
    """
    rotation, translation = root[:, :3, :3], root[:, :3, 3]
    # many rays, few hands: one small product a hand would be a loop, a gathered one costs 9 numbers a ray
    turn = rotation[hand]
    moved = ((origins - translation[hand])[:, None] @ turn)[:, 0]
    return moved, (directions[:, None] @ turn)[:, 0]


def rotate_to_world(root: Tensor, hand: Tensor, vectors: Tensor) -> Tensor:
    """Root-space vectors [N,3] of hands [N] in world axes. root [B,4,4]."""
    return (root[:, :3, :3][hand] @ vectors[..., None])[..., 0]
