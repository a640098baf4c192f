"""What a personalisation sees: photos of one hand, always as a right hand, because priors know no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..capture.capture_file import Capture
from ..errors import CaptureError
from ..hand.mirror import mirror_axis_angle, mirror_points
from ..rendering.crop import crop_around, resample
from .capture_check import name_of

CROP_MARGIN = 0.1
"""Of the hand's longer side, kept around it."""


class PalmPhoto(NamedTuple):
    """One picture of a right hand with its camera and pose. Float tensors on one device."""

    image_srgb: Tensor
    """[H,W,3] in [0,1]."""
    mask: Tensor
    """[H,W] bool, True on the hand."""
    intrinsics: Tensor
    """[3,3] px."""
    world_to_camera: Tensor
    """[4,4] OpenCV axes."""
    betas: Tensor
    """[10]."""
    global_orient: Tensor
    """[3] axis-angle, radians."""
    hand_pose: Tensor
    """[45] axis-angle, absolute, radians."""
    transl: Tensor
    """[3] metres."""


def photo_of_capture(
    capture: Capture, image: np.ndarray, mask: np.ndarray, device: torch.device | str = "cpu"
) -> PalmPhoto:
    """image [H,W,3] uint8 sRGB; mask [H,W] bool or [0,1]. A left hand comes back with everything mirrored in x.

    Raises CaptureError for a picture or mask of another size than the capture's and for a mask that covers nothing.
    """
    width, height = capture.image_size
    name = name_of(capture)
    for what, shape in (("picture", image.shape[:2]), ("mask", mask.shape[:2])):
        if tuple(shape) != (height, width):
            raise CaptureError(
                f"{name}: the {what} is {shape[1]}×{shape[0]}, its capture {width}×{height}: capture the photo again"
            )
    inside = np.asarray(mask) > 0.5
    if not inside.any():
        raise CaptureError(f"{name}: the mask covers nothing: capture the photo again, or give a --mask with the hand")

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.array(values), dtype=torch.float32, device=device)

    photo = PalmPhoto(
        tensor(image[..., :3]) / 255,
        torch.as_tensor(inside, device=device),
        tensor(capture.K),
        tensor(capture.world_to_camera),
        tensor(capture.betas),
        tensor(capture.global_orient),
        tensor(capture.hand_pose),
        tensor(capture.transl),
    )
    return mirrored(photo) if capture.handedness == "left" else photo


def mirrored(photo: PalmPhoto) -> PalmPhoto:
    """The photo in a mirror: of the other hand, x turned in picture, camera and world."""
    flip = torch.tensor([-1.0, 1.0, 1.0, 1.0]).to(photo.intrinsics)
    intrinsics = photo.intrinsics.clone()
    intrinsics[0, 2] = photo.image_srgb.shape[1] - intrinsics[0, 2]
    return photo._replace(
        image_srgb=photo.image_srgb.flip(1),
        mask=photo.mask.flip(1),
        intrinsics=intrinsics,
        world_to_camera=flip[:, None] * photo.world_to_camera * flip,
        global_orient=mirror_axis_angle(photo.global_orient),
        hand_pose=mirror_axis_angle(photo.hand_pose),
        transl=mirror_points(photo.transl),
    )


def cropped_photo(photo: PalmPhoto, longest_px: int) -> PalmPhoto:
    """The part around the mask, scaled down where its longer side has more than `longest_px` pixels.

    It ends where the picture ends: what lies beyond is not known to be background. Raises CaptureError for an empty mask.
    """
    check_photos([photo])
    rows, columns = torch.nonzero(photo.mask, as_tuple=True)
    low = torch.stack([columns.min(), rows.min()]).cpu().numpy().astype(float)
    high = torch.stack([columns.max(), rows.max()]).cpu().numpy().astype(float) + 1
    pad = CROP_MARGIN * (high - low).max()
    height, width = photo.mask.shape
    corners = np.stack([np.maximum(low - pad, 0), np.minimum(high + pad, [width, height])])
    crop = crop_around(corners, 0.0, longest_px)
    planes = resample(torch.cat([photo.image_srgb, photo.mask[..., None].to(photo.image_srgb)], dim=-1), crop)
    mask = planes[..., 3] > 0.5
    if not bool(mask.any()):
        raise CaptureError("the mask holds next to no pixels: capture the photo again, or give a --mask with the hand")
    return photo._replace(
        image_srgb=planes[..., :3].clamp(0, 1), mask=mask, intrinsics=crop.intrinsics(photo.intrinsics)
    )


def check_photos(photos: Sequence[PalmPhoto]) -> None:
    """Raise CaptureError where there is no photo, or one whose mask covers nothing."""
    if not photos:
        raise CaptureError("there is no photo to personalise to: give the capture of one or more")
    for number, photo in enumerate(photos, 1):
        if not bool(photo.mask.any()):
            raise CaptureError(f"the mask of photo {number} of {len(photos)} covers nothing: capture it again")
