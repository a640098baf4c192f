"""Scores of a hand rendered into one of many views, over black (XHand, Gan et al. 2024, section IV).

XHand's code counts the pixels of the rendered mask alone, so that a missing finger costs nothing, and multiplies the logarithm by
28 instead of 20; here that mask's number stands under a name of its own, with the right factor.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from ..training.ms_ssim import LEAST_PX as MS_SSIM_LEAST_PX
from ..training.ms_ssim import ms_ssim
from .frame_scores import NO_NETWORKS, Networks, Scores, perceptual_scores
from .image_metrics import masked_psnr, mean_difference, silhouette_iou, ssim_in_box

BLACK = 3 / 255
"""Largest sRGB value of a background that is black."""


def over_black(image: Tensor, mask: Tensor) -> Tensor:
    """[H,W,3] the hand of a picture over black; image [H,W,3] sRGB in [0,1], mask [H,W] bool.

    Where the picture's own background is black already, edges stay mixed with it, as a camera mixes them; elsewhere the mask
    cuts.
    """
    near = max_pool2d(mask[None, None].to(image), 3, 1, 1)[0, 0] > 0
    outside = image[~near]
    kept = near if not len(outside) or float(outside.max()) <= BLACK else mask
    return image * kept[..., None].to(image)


def view_scores(
    shown: Tensor, coverage: Tensor, true: Tensor, mask: Tensor, networks: Networks = NO_NETWORKS
) -> Scores:
    """By name (`engine.evaluation.measures`): of pictures [H,W,3] over black, sRGB in [0,1], and of their outlines.

    coverage [H,W] of the shown hand; mask [H,W] bool of the true one. Scores that cannot be had (too few pixels, no weights) are
    missing. Raises ValueError where neither shows a hand.
    """
    shown = shown.clamp(0, 1)
    drawn, everywhere = coverage > 0.5, torch.ones_like(mask)
    scores = {
        "psnr_union_db": masked_psnr(shown, true, mask | drawn),
        "psnr_whole_db": masked_psnr(shown, true, everywhere),
        "ssim": ssim_in_box(shown, true, everywhere),
        "iou": silhouette_iou(coverage, mask),
        "l1": mean_difference(shown, true, everywhere),
    }
    if bool(drawn.any()):
        scores["psnr_drawn_db"] = masked_psnr(shown, true, drawn)
    if min(shown.shape[:2]) >= MS_SSIM_LEAST_PX:
        scores["ms_ssim"] = float(ms_ssim(shown, true))
    return scores | perceptual_scores(shown, true, everywhere, networks)
