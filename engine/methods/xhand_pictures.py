"""What an XHand training looks at: every picture cut out around the hand, in few bytes, and the moments' poses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from ..datasets.hand_sequence import HandFrame, HandSequence, load_pixels
from ..errors import InputError
from ..progress import Progress, silent
from .xhand_losses import SSIM_WINDOW_PX
from .xhand_model import Camera, XHandModel

MARGIN = 0.08
"""Of the hand's longer side, around mask and posed model."""
BLACK = 3.0
"""Mean of 8-bit values up to which what lies outside the masks is black background."""


class Moment(NamedTuple):
    """The hand's pose at one time."""

    number: int
    hand_pose: Tensor
    """[45]"""
    global_orient: Tensor
    """[3]"""
    transl: Tensor
    """[3]"""


class Target(NamedTuple):
    """A picture to compare with."""

    camera: Camera
    color: Tensor
    """[H,W,3] sRGB-encoded in [0,1], over black."""
    mask: Tensor
    """[H,W] in [0,1]."""
    weight: Tensor
    """[H,W] 0 where `color` is no hand's and no background's: the mask's border in pictures with a background."""
    hand_px: Tensor
    """() pixels of hand, 1 or more."""


@dataclass(frozen=True)
class HandPicture:
    """One view of one moment, cut out."""

    frame: HandFrame
    moment: int
    """Index into the moments."""
    camera: Camera
    """Of the crop."""
    color: Tensor
    """[h,w,3] uint8, black outside the mask."""
    mask: Tensor
    """[h,w] uint8"""
    bordered: bool
    """Whether the picture had a background, which is mixed into the mask's border."""

    def target(self, shrink: int, like: Tensor) -> Target:
        """The picture at 1/shrink of its size (whole blocks of pixels alone), on the device and in the precision of `like`."""
        color = self.color.to(like.device).to(like.dtype).permute(2, 0, 1)[None] / 255
        mask = self.mask.to(like.device).to(like.dtype)[None, None] / 255
        camera = self.camera
        if shrink > 1:
            color, mask = avg_pool2d(color, shrink), avg_pool2d(mask, shrink)
            scale = torch.tensor([1 / shrink, 1 / shrink, 1.0])[:, None].to(camera.intrinsics)
            camera = camera._replace(intrinsics=scale * camera.intrinsics, height=mask.shape[2], width=mask.shape[3])
        weight = torch.ones_like(mask)
        if self.bordered:
            edge = max_pool2d(mask, 3, 1, 1) + max_pool2d(-mask, 3, 1, 1)
            weight = (edge < 0.01).to(mask)
        flat = mask[0, 0]
        return Target(camera, color[0].permute(1, 2, 0), flat, weight[0, 0], flat.sum().clamp_min(1))


@dataclass(frozen=True)
class HandPictures:
    """All pictures, by moment."""

    moments: tuple[Moment, ...]
    views: tuple[dict[str, HandPicture], ...]
    """Of each moment, by camera."""

    @property
    def count(self) -> int:
        return sum(map(len, self.views))


def moments_of(frames: Iterable[HandFrame], like: Tensor) -> tuple[Moment, ...]:
    """The moments of a sequence's frames, in their order. Raises InputError where cameras disagree about one's pose."""
    found: dict[int, HandFrame] = {}
    for frame in frames:
        first = found.setdefault(frame.number, frame)
        for name in ("hand_pose", "global_orient", "transl"):
            if not np.allclose(getattr(first, name), getattr(frame, name), atol=1e-4):
                raise InputError(
                    f"{first.label} and {frame.label} are of one moment but differ in {name}: number the moments apart"
                )

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=float)).to(like)

    return tuple(
        Moment(number, tensor(frame.hand_pose), tensor(frame.global_orient), tensor(frame.transl))
        for number, frame in found.items()
    )


def cut_out(sequence: HandSequence, model: XHandModel, progress: Progress = silent) -> HandPictures:
    """Load a sequence's pictures as crops around the hand. Raises DatasetError for files that cannot be decoded.

    A frame without a mask is refused (InputError): `checked_sequence` draws one from the posed hand.
    """
    like = model.rest_vertices
    moments = moments_of(sequence.frames, like)
    places = {moment.number: index for index, moment in enumerate(moments)}
    posed = [_posed_points(model, moment) for moment in moments]
    views: list[dict[str, HandPicture]] = [{} for _ in moments]
    for number, frame in enumerate(sequence.frames):
        if number % 16 == 0:
            progress(number / len(sequence.frames), f"reading picture {number + 1} of {len(sequence.frames)}")
        index = places[frame.number]
        views[index][frame.camera] = _cut(frame, index, posed[index])
    return HandPictures(moments, tuple(views))


@torch.no_grad()
def _posed_points(model: XHandModel, moment: Moment) -> np.ndarray:
    rest = model.rest_pose(moment.hand_pose, moment.global_orient, moment.transl, see_sky=False)
    return model.placed(rest, model.mean_features()).vertices[:: max(1, len(rest.vertices) // 2000)].cpu().numpy()


def _cut(frame: HandFrame, moment: int, points: np.ndarray) -> HandPicture:
    pixels = load_pixels(frame)
    if pixels.mask is None:
        raise InputError(f"{frame.label} has no mask: give a sequence with masks")
    matrix, intrinsics = np.asarray(frame.world_to_camera), np.asarray(frame.intrinsics)
    seen = (points @ matrix[:3, :3].T + matrix[:3, 3]) @ intrinsics.T
    corners = [seen[:, :2] / np.maximum(seen[:, 2:], 1e-6)]
    rows, columns = np.nonzero(pixels.mask > 127)
    if len(rows):
        corners.append(np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], dtype=float))
    (left, top), (right, bottom) = _box(np.concatenate(corners), frame.width, frame.height)
    image, mask = pixels.image[top:bottom, left:right], pixels.mask[top:bottom, left:right]
    outside = pixels.image[pixels.mask == 0]
    bordered = bool(len(outside)) and float(outside.mean()) > BLACK
    if bordered:
        image = (image * (mask[..., None] / 255.0) + 0.5).astype(np.uint8)
    shifted = intrinsics.copy()
    shifted[0, 2] -= left
    shifted[1, 2] -= top
    camera = Camera(
        torch.as_tensor(shifted, dtype=torch.float32),
        torch.as_tensor(matrix, dtype=torch.float32),
        bottom - top,
        right - left,
    )
    color = torch.as_tensor(np.array(image))
    return HandPicture(frame, moment, camera, color, torch.as_tensor(np.array(mask)), bordered)


def _box(points: np.ndarray, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(left, top), (right, bottom) of points [N,2] px with a margin, within the picture, not smaller than SSIM at 1/4 wants."""
    low, high = points.min(0), points.max(0)
    pad = MARGIN * float((high - low).max()) + 4
    size, least = np.array([width, height]), 4 * (SSIM_WINDOW_PX + 1)
    start = np.clip(np.floor(low - pad), 0, np.maximum(size - least, 0)).astype(int)
    end = np.clip(np.ceil(high + pad), np.minimum(start + least, size), size).astype(int)
    return (int(start[0]), int(start[1])), (int(end[0]), int(end[1]))


def subset(pictures: HandPictures, moments: Sequence[int], cameras: Sequence[str]) -> HandPictures:
    """Some moments, each with some cameras; moments that none of these saw are left out."""
    kept = [
        (pictures.moments[k], {c: pictures.views[k][c] for c in cameras if c in pictures.views[k]}) for k in moments
    ]
    kept = [(moment, views) for moment, views in kept if views]
    return HandPictures(tuple(moment for moment, _ in kept), tuple(views for _, views in kept))
