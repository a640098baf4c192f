"""All scores of one avatar in one frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..training.alexnet import LEAST_PX as ALEXNET_LEAST_PX
from ..training.ms_ssim import LEAST_PX as MS_SSIM_LEAST_PX
from ..training.ms_ssim import ms_ssim
from ..training.perceptual import PerceptualTerm
from .avatar_picture import AvatarPicture
from .image_metrics import (
    flip_in_box,
    lpips_in_box,
    mask_box,
    masked_psnr,
    mean_difference,
    over,
    silhouette_iou,
    ssim_in_box,
)
from .protocols import Protocol
from .shape_light_metrics import normal_angle_deg
from .skin_metrics import median_color_difference, scaled_albedo_psnr, tone_difference
from .true_frame import TrueFrame

WHOLE = 0.999
"""Coverage from which a pixel shows nothing but the avatar."""
LEAST_SHARED_PX = 16
"""Pixels on both hands, below which skin and normals are not compared."""

Scores = dict[str, float]


class Networks(NamedTuple):
    """LPIPS, where its weights were given."""

    vgg: PerceptualTerm | None = None
    alex: PerceptualTerm | None = None


NO_NETWORKS = Networks()


def frame_scores(
    picture: AvatarPicture, truth: TrueFrame, protocol: Protocol, networks: Networks = NO_NETWORKS
) -> Scores:
    """By name (`engine.evaluation.measures`). Those that cannot be had (no pass, no weights, no shared pixel) are missing."""
    scores = picture_scores(
        over(picture.image_srgb, picture.coverage, protocol.background),
        over(truth.image_srgb, truth.coverage, protocol.background),
        picture.coverage,
        truth.mask,
        protocol.in_box,
        networks,
    )
    return scores | _skin_scores(picture, truth)


def picture_scores(
    shown: Tensor, true: Tensor, coverage: Tensor, mask: Tensor, in_box: bool, networks: Networks = NO_NETWORKS
) -> Scores:
    """Of two pictures [H,W,3] sRGB over one background; coverage [H,W] of the shown hand, mask [H,W] bool of the true one."""
    everywhere = torch.ones_like(mask)
    window = mask if in_box else everywhere
    scores = {
        "psnr_db": masked_psnr(shown, true, mask),
        "psnr_whole_db": masked_psnr(shown, true, everywhere),
        "ssim": ssim_in_box(shown, true, window),
        "ssim_range2": ssim_in_box(shown, true, window, data_range=2.0),
        "flip": flip_in_box(shown, true, window),
        "iou": silhouette_iou(coverage, mask),
        "l1": mean_difference(shown, true, everywhere),
        "l1_mask": mean_difference(shown, true, mask),
    }
    if min(shown.shape[:2]) >= MS_SSIM_LEAST_PX:
        scores["ms_ssim"] = float(ms_ssim(shown, true))
    return scores | perceptual_scores(shown, true, window, networks)


def perceptual_scores(shown: Tensor, true: Tensor, window: Tensor, networks: Networks) -> Scores:
    """LPIPS on the pictures as the networks want them, and as the published codes feed them."""
    scores = {}
    if networks.vgg is not None:
        scores["lpips_vgg"] = lpips_in_box(networks.vgg, shown, true, window)
        # PALM's code: [0,1] becomes [−1,1], and is then taken for [0,1] and becomes [−3,1]
        scores["lpips_vgg_twice"] = lpips_in_box(networks.vgg, 2 * shown - 1, 2 * true - 1, window)
    rows, columns = mask_box(window)
    if networks.alex is not None and min(rows.stop - rows.start, columns.stop - columns.start) >= ALEXNET_LEAST_PX:
        scores["lpips_alex"] = lpips_in_box(networks.alex, shown, true, window)
        # HARP's code: [0,1] is taken for a part of [−1,1]
        scores["lpips_alex_01"] = lpips_in_box(networks.alex, (shown + 1) / 2, (true + 1) / 2, window)
    return scores


def _skin_scores(picture: AvatarPicture, truth: TrueFrame) -> Scores:
    """Of albedo and normals, over the pixels that show both hands and nothing else."""
    shared = truth.mask & (picture.coverage > WHOLE)
    scores: Scores = {}
    if int(shared.sum()) < LEAST_SHARED_PX:
        return scores
    if truth.albedo_srgb is not None:
        skins = (picture.albedo_srgb, truth.albedo_srgb, shared)
        scores["albedo_psnr_db"] = masked_psnr(*skins)
        scores["albedo_scaled_psnr_db"] = scaled_albedo_psnr(*skins)
        scores["delta_e"] = median_color_difference(*skins)
        scores["tone_delta_e"] = tone_difference(*skins)
    if truth.normals is not None:
        known = shared & (truth.normals.abs().amax(-1) > 0)
        if bool(known.any()):
            scores["normal_deg"] = normal_angle_deg(picture.normals, truth.normals, known)
            scores["mapped_normal_deg"] = normal_angle_deg(picture.mapped_normals, truth.normals, known)
    return scores
