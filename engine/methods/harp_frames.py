"""What HARP compares its renders with: frames cut out around the hand, in few bytes; one photo is a sequence of one frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..capture.capture_file import Capture
from ..rendering.crop import Crop, crop_around, resample
from .harp_model import GeometryParameters, PosedHand, Template
from .wrist import beyond_wrist

CROP_MARGIN = 0.06
"""Of the hand's longer side, around mask and model."""


@dataclass(frozen=True)
class Photograph:
    """A capture's pictures as tensors."""

    color: Tensor
    """[H,W,3] sRGB-encoded, in [0,1]"""
    mask: Tensor
    """[H,W] in [0,1]"""
    eroded: Tensor
    """[H,W] the mask without its border, where background bleeds in"""
    intrinsics: Tensor
    """[3,3]"""
    beyond_wrist: Callable[[Crop], Tensor]
    """Of a crop [h,w]: 1 on the forearm's side of the wrist, where the mask was cut"""


class Target(NamedTuple):
    """B frames below one another, each H pixels high, cropped to the hand."""

    color: Tensor
    """[B·H,W,3] sRGB-encoded, in [0,1]."""
    mask: Tensor
    """[B·H,W] in [0,1]."""
    silhouette_weight: Tensor
    """[B·H,W]: 0 beyond the wrist, where the mask was cut and says nothing."""
    color_weight: Tensor
    """[B·H,W]: inside the mask, away from its border."""
    intrinsics: Tensor
    """[B,3,3] of the crops."""

    @property
    def height(self) -> int:
        """Of one frame."""
        return len(self.mask) // len(self.intrinsics)

    @property
    def width(self) -> int:
        return self.mask.shape[1]


@dataclass(frozen=True)
class Frames:
    """T frames of one size as 8-bit crops: a video's worth fits in memory."""

    color: Tensor
    """[T,H,W,3] uint8 sRGB."""
    planes: Tensor
    """[T,H,W,3] uint8: mask, silhouette weight, colour weight, each 0 to 255."""
    intrinsics: Tensor
    """[T,3,3] px of the crops."""

    def __len__(self) -> int:
        return len(self.color)

    def target(self, index: Tensor, shrink: int = 1) -> Target:
        """Some frames [B] at 1/shrink of their size, which it divides."""
        color = self.color[index].to(self.intrinsics) / 255
        planes = self.planes[index].to(self.intrinsics) / 255
        intrinsics = self.intrinsics[index]
        if shrink > 1:
            both = avg_pool2d(torch.cat([color, planes], dim=-1).permute(0, 3, 1, 2), shrink).permute(0, 2, 3, 1)
            color, planes = both[..., :3], both[..., 3:]
            intrinsics = intrinsics * intrinsics.new_tensor([1 / shrink, 1 / shrink, 1.0])[:, None]
        width = color.shape[2]
        mask, told, inner = (planes[..., k].reshape(-1, width) for k in range(3))
        return Target(color.reshape(-1, width, 3), mask, told, (inner > 0.99).to(color), intrinsics)


def sharpness(frames: Frames) -> Tensor:
    """[T] in (0,1]: how sharp each frame's skin is beside the sharper frames; motion blurs it.

    The mean strength of the finest detail (luminance minus its mean over 3 × 3 pixels), squared, over that of the quarter that
    shows most. Poses differ in what they show, but far less than a hand at rest from one in motion.
    """
    found = []
    for number in range(len(frames)):
        target = frames.target(torch.tensor([number]))
        grey = target.color.mean(-1)[None]
        detail = (grey - avg_pool2d(grey, 3, 1, 1, count_include_pad=False)).abs()[0]
        found.append((detail * target.color_weight).sum() / target.color_weight.sum().clamp_min(1.0))
    strength = torch.stack(found)
    return ((strength / strength.quantile(0.75).clamp_min(1e-6)) ** 2).clamp(0.02, 1.0)


def joined(parts: Sequence[Frames]) -> Frames:
    """Frames of one size, one after another."""
    return Frames(*(torch.cat([getattr(part, name) for part in parts]) for name in ("color", "planes", "intrinsics")))


def geometry_from_captures(captures: Sequence[Capture], template: Template) -> GeometryParameters:
    """Leaves for the geometry optimiser, at the captures' values; the betas are the first one's, which all share."""
    like = template.model.v_template

    def leaf(values: np.ndarray) -> Tensor:
        return torch.tensor(np.asarray(values), dtype=like.dtype, device=like.device, requires_grad=True)

    return GeometryParameters(
        betas=leaf(captures[0].betas[: template.model.num_betas]),
        global_orient=leaf(np.stack([capture.global_orient for capture in captures])),
        hand_pose=leaf(np.stack([capture.hand_pose for capture in captures])),
        transl=leaf(np.stack([capture.transl for capture in captures])),
        offsets=leaf(np.zeros(len(template.smoother))),
        forearm=None if template.model.forearm_weight is None else leaf(np.zeros((len(captures), 3))),
    )


def prepare_photo(
    image: np.ndarray, mask: np.ndarray, capture: Capture, template: Template, posed: PosedHand
) -> Photograph:
    """The photo with what of it can be trusted. image [H,W,3] uint8; mask [H,W] bool or [0,1]; posed: in this one frame."""
    like = posed.vertices
    color = torch.as_tensor(np.array(image)).to(like) / 255
    soft_mask = torch.as_tensor(np.asarray(mask, dtype=np.float32)).to(like)
    intrinsics = torch.as_tensor(np.asarray(capture.K)).to(like)
    cap = template.model.faces[template.model.cap_faces].unique()

    def beyond(crop: Crop) -> Tensor:
        camera = crop.intrinsics(intrinsics)
        return beyond_wrist(posed.vertices, cap, posed.joints, camera, crop.height, crop.width).to(like)

    hand_px = math.sqrt(float(soft_mask.sum()))
    depth = distance_transform_edt(np.asarray(mask) > 0.5)
    eroded = torch.as_tensor(depth > 0.008 * hand_px + 1).to(like)
    return Photograph(color, soft_mask, eroded, intrinsics, beyond)


def crop_for(photograph: Photograph, posed: PosedHand, longest_px: int, enlarge: bool = False) -> Crop:
    """The hand's part of the photo: what the mask or the model covers."""
    projected = posed.vertices.detach() @ photograph.intrinsics.T
    points = (projected[:, :2] / projected[:, 2:3]).cpu().numpy()
    rows, columns = np.nonzero(photograph.mask.cpu().numpy() > 0.5)
    if len(rows):
        corners = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], dtype=float)
        points = np.concatenate([points, corners])
    return crop_around(points, margin=CROP_MARGIN, longest_px=longest_px, allow_enlarging=enlarge)


def frames_of_photo(photograph: Photograph, crop: Crop) -> Frames:
    """The crop of a photo as a sequence of one frame."""
    shown = photograph.color.shape[:2]
    planes = torch.stack([photograph.mask, photograph.eroded], dim=-1)
    small = resample(torch.cat([photograph.color, planes], dim=-1), crop)
    told = (1 - photograph.beyond_wrist(crop)) * inside_photo(crop, *shown).to(small)
    inner = (small[..., 4] > 0.99).to(small)
    values = torch.cat([small[..., :4], torch.stack([told, inner], dim=-1)], dim=-1)
    eight_bit = (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8)[None]
    return Frames(eight_bit[..., :3], eight_bit[..., 3:], crop.intrinsics(photograph.intrinsics)[None])


def inside_photo(crop: Crop, height: int, width: int) -> Tensor:
    """[h,w] bool: which of a crop's pixels lie in the picture."""
    x = crop.left + (torch.arange(crop.width) + 0.5) / crop.scale
    y = crop.top + (torch.arange(crop.height) + 0.5) / crop.scale
    return ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None]


def square_crop(crop: Crop, side_px: int) -> Crop:
    """The crop's middle in a square of side_px at the same scale, so that frames of a video have one size."""
    left = crop.left - (side_px - crop.width) / 2 / crop.scale
    top = crop.top - (side_px - crop.height) / 2 / crop.scale
    return Crop(left, top, crop.scale, side_px, side_px)
