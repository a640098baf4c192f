"""All scores of one avatar in one frame."""

from __future__ import annotations

from ..training.perceptual import PerceptualTerm
from .avatar_picture import AvatarPicture
from .image_metrics import flip_in_box, lpips_in_box, masked_psnr, silhouette_iou, ssim_in_box
from .shape_light_metrics import normal_angle_deg
from .skin_metrics import median_color_difference, scaled_albedo_psnr, tone_difference
from .true_frame import TrueFrame

WHOLE = 0.999
"""Coverage from which a pixel shows nothing but the avatar."""
LEAST_SHARED_PX = 16
"""Pixels on both hands, below which skin and normals are not compared."""

Scores = dict[str, float]


def frame_scores(picture: AvatarPicture, truth: TrueFrame, lpips: PerceptualTerm | None = None) -> Scores:
    """Scores by name; those that cannot be had (no pass, no weights, no pixel shared) are missing.

    psnr_db, ssim, ssim_range2 (as published), flip, lpips: of the pictures over black. iou: of outlines. albedo_psnr_db,
    albedo_scaled_psnr_db, delta_e (median over pixels), tone_delta_e (of the means), normal_deg, mapped_normal_deg: over the
    pixels that show both hands and nothing else.
    """
    pictures = (picture.image_srgb, truth.image_srgb, truth.mask)
    scores = {
        "psnr_db": masked_psnr(*pictures),
        "ssim": ssim_in_box(*pictures),
        "ssim_range2": ssim_in_box(*pictures, data_range=2.0),
        "flip": flip_in_box(*pictures),
        "iou": silhouette_iou(picture.coverage, truth.mask),
    }
    if lpips is not None:
        scores["lpips"] = lpips_in_box(lpips, *pictures)
    shared = truth.mask & (picture.coverage > WHOLE)
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
