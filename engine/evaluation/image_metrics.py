"""How alike two pictures of a hand are. All functions are pure; pictures are sRGB-encoded, [H,W,3] in [0,1].

PSNR looks at the mask's pixels, everything else at the mask's bounding box, as PALM's published evaluation does; a mask that is
true everywhere gives the whole picture's value. PALM's SSIM was computed with a data range of 2 for pictures that have 1
(scikit-image 0.18 assumed so for floats); give `data_range=2` for numbers to set beside the paper's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..training.perceptual import PerceptualTerm
from ..training.psnr import psnr_db
from .packages import metric_package

LARGEST_PSNR_DB = 100.0
"""What equal pictures score."""
SSIM_WINDOW_PX = 7
"""scikit-image's default; boxes below are padded to it."""


def masked_psnr(prediction: Tensor, target: Tensor, mask: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over the pixels of mask [H,W] bool: −10 log10(mean squared error), peak 1.

    Raises ValueError for a mask without pixels.
    """
    if not bool(mask.any()):
        raise ValueError("a PSNR over a mask without pixels means nothing")
    return min(LARGEST_PSNR_DB, psnr_db((prediction - target)[mask].double().square()))


def mask_box(mask: Tensor) -> tuple[slice, slice]:
    """Rows and columns of the smallest rectangle that holds mask [H,W] bool. Raises ValueError where it is empty."""
    if not bool(mask.any()):
        raise ValueError("a mask without pixels has no bounding box")
    rows, columns = (torch.nonzero(mask.any(axis))[:, 0] for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def ssim_in_box(prediction: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.0) -> float:
    """Structural similarity (Wang et al. 2004) in [−1,1], scikit-image's with its 7 × 7 window, on the mask's box."""
    similarity = metric_package("skimage.metrics").structural_similarity
    found, wanted = (_boxed(picture, mask) for picture in (prediction, target))
    return float(similarity(wanted, found, channel_axis=2, data_range=data_range))


def flip_in_box(prediction: Tensor, target: Tensor, mask: Tensor) -> float:
    """Mean ꟻLIP (Andersson et al. 2020) in [0,1] on the mask's box, at the paper's 67 pixels a degree; 0 is alike."""
    evaluate = metric_package("flip_evaluator").evaluate
    found, wanted = (_boxed(picture, mask) for picture in (prediction, target))
    _, mean, _ = evaluate(wanted, found, "LDR", inputsRGB=True, applyMagma=False, computeMeanError=True)
    return float(mean)


def lpips_in_box(term: PerceptualTerm, prediction: Tensor, target: Tensor, mask: Tensor) -> float:
    """A learned perceptual distance (`engine.training.lpips`) on the mask's box; 0 is alike."""
    rows, columns = mask_box(mask)
    found, wanted = prediction[rows, columns].float(), target[rows, columns].float()
    with torch.no_grad():
        return float(term(found, wanted, torch.ones_like(found[..., 0])))


def mean_difference(prediction: Tensor, target: Tensor, mask: Tensor) -> float:
    """Mean absolute difference (L1) over pixels of mask [H,W] bool and channels. Raises ValueError for a mask without pixels."""
    if not bool(mask.any()):
        raise ValueError("a difference over a mask without pixels means nothing")
    return float((prediction - target)[mask].double().abs().mean())


def over(picture: Tensor, coverage: Tensor, background: float) -> Tensor:
    """A picture over black [H,W,3], whose edges are mixed with it, over a grey from 0 to 1; coverage [H,W] in [0,1]."""
    return picture + background * (1 - coverage[..., None]) if background else picture


def silhouette_iou(coverage: Tensor, mask: Tensor) -> float:
    """Intersection over union of coverage [H,W] > 0.5 and mask [H,W] bool; 1 where both are empty."""
    covered = coverage > 0.5
    union = int((covered | mask).sum())
    return float((covered & mask).sum()) / union if union else 1.0


def _boxed(picture: Tensor, mask: Tensor) -> np.ndarray:
    """float32 [h,w,3] of the mask's box, at least as large as SSIM's window."""
    rows, columns = mask_box(mask)
    values = picture[rows, columns].float().clamp(0, 1).cpu().numpy()
    missing = [max(0, SSIM_WINDOW_PX - side) for side in values.shape[:2]]
    return np.ascontiguousarray(np.pad(values, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge"))
