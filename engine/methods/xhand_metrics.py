"""How well a learned hand shows what cameras saw, over black.

PSNR over the pixels that the true mask or the rendered hand covers, so that a missing finger costs what it should, and over the
whole picture; SSIM over the crop around the hand, window 7, range 1. (The paper's own script counts rendered pixels alone and
multiplies the logarithm by 28 instead of 20.)
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from ..progress import Progress, silent
from ..training.psnr import psnr_db
from .xhand_losses import structural_similarity
from .xhand_model import Posed, XHandModel
from .xhand_pictures import HandPicture, HandPictures, Moment


class HandScores(NamedTuple):
    """Of one picture, or the mean of many."""

    psnr_db: float
    """Over true mask and rendered hand."""
    psnr_whole_db: float
    ssim: float
    shaded_psnr_db: float
    """As psnr_db, of inverse rendering without the neural renderer."""
    iou: float

    def as_metrics(self, name: str) -> dict[str, float]:
        """For avatar.json."""
        return {f"{name}_{key}": round(value, 4) for key, value in self._asdict().items()}


def mean_of_scores(scores: Iterable[HandScores]) -> HandScores | None:
    """None of none."""
    rows = list(scores)
    return HandScores(*(statistics.fmean(column) for column in zip(*rows, strict=True))) if rows else None


@torch.no_grad()
def measure(
    model: XHandModel, pictures: HandPictures, neural: bool = True, most: int = 10**9, progress: Progress = silent
) -> HandScores | None:
    """Mean scores of pictures, at most `most` of them, evenly; None where there are none."""
    chosen = [
        (moment, view)
        for moment, views in zip(pictures.moments, pictures.views, strict=True)
        for view in views.values()
    ]
    chosen = chosen[:: max(1, -(-len(chosen) // most))]
    scores, posed, last = [], None, None
    for number, (moment, picture) in enumerate(chosen):
        progress(number / len(chosen), f"measuring picture {number + 1} of {len(chosen)}")
        if posed is None or moment is not last:
            posed, last = model.posed(*moment[1:]), moment
        scores.append(score(model, posed, moment, picture, neural))
    return mean_of_scores(scores)


def score(model: XHandModel, posed: Posed, moment: Moment, picture: HandPicture, neural: bool = True) -> HandScores:
    """Of one picture."""
    target = picture.target(1, posed.vertices)
    light = model.light_of(picture.frame.camera)
    shaded = model.picture(posed, target.camera, light)
    shown = model.picture(posed, target.camera, light, True, moment.hand_pose) if neural else shaded
    mask, drawn = target.mask > 0.5, shaded.coverage > 0.5
    both = mask | drawn
    error = (shown.color.clamp(0, 1) - target.color).square()
    plain = (shaded.color.clamp(0, 1) - target.color).square()
    # beyond the crop both are black
    whole = error.sum() / (3 * picture.frame.height * picture.frame.width)
    return HandScores(
        _psnr(error[both].mean()),
        _psnr(whole),
        float(structural_similarity(shown.color.clamp(0, 1), target.color)),
        _psnr(plain[both].mean()),
        float((mask & drawn).sum() / both.sum().clamp_min(1)),
    )


def _psnr(squared: Tensor) -> float:
    return float(psnr_db(squared))
