"""Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003), differentiable."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of contrast and structure, finest scale first; the last one's luminance has the last one's too."""
WINDOW_PX = 11
WINDOW_SIGMA_PX = 1.5
LEAST_PX = WINDOW_PX * 2 ** (len(SCALE_WEIGHTS) - 1)
"""Shorter side from which the window fits at the coarsest scale: 176."""
_K1, _K2 = 0.01, 0.03


def ms_ssim(prediction: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """Similarity of pictures [H,W,C] (or many: [N,H,W,C], their mean) in [0, data_range] → () in [0,1], 1 for equal ones.

    Gaussian window of 11 pixels, valid places only; a channel whose structure is opposite at some scale counts 0. An odd last
    row or column falls away from scale to scale. Raises ValueError for shapes that differ or a side below `LEAST_PX`.
    """
    if prediction.shape != target.shape or prediction.ndim not in (3, 4):
        raise ValueError(
            f"MS-SSIM of {tuple(prediction.shape)} and {tuple(target.shape)}: give two [H,W,C] or [N,H,W,C]"
        )
    if min(prediction.shape[-3:-1]) < LEAST_PX:
        raise ValueError(f"MS-SSIM needs {LEAST_PX} pixels a side, not {' x '.join(map(str, prediction.shape[-3:-1]))}")
    found, wanted = (_planes(pictures) for pictures in (prediction, target))
    similarity = found.new_ones(found.shape[0])
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale > 0:
            found, wanted = avg_pool2d(found, 2), avg_pool2d(wanted, 2)
        whole, structure = _similarities(found, wanted, data_range)
        similarity = similarity * _power(whole if scale + 1 == len(SCALE_WEIGHTS) else structure, weight)
    return similarity.mean()


def _similarities(found: Tensor, wanted: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean contrast-and-structure of planes [P,1,H,W] → [P], [P]."""
    luminance_floor, contrast_floor = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    mean_a, mean_b = _blurred(found), _blurred(wanted)
    variances = _blurred(found**2) - mean_a**2 + _blurred(wanted**2) - mean_b**2
    covariance = _blurred(found * wanted) - mean_a * mean_b
    structure = (2 * covariance + contrast_floor) / (variances + contrast_floor)
    luminance = (2 * mean_a * mean_b + luminance_floor) / (mean_a**2 + mean_b**2 + luminance_floor)
    return (luminance * structure).mean((1, 2, 3)), structure.mean((1, 2, 3))


def _blurred(planes: Tensor) -> Tensor:
    """Planes [P,1,H,W] under the window, valid places only."""
    offsets = torch.arange(WINDOW_PX).to(planes) - WINDOW_PX // 2
    window = torch.exp(-(offsets**2) / (2 * WINDOW_SIGMA_PX**2))
    window = window / window.sum()
    return conv2d(conv2d(planes, window[None, None, :, None]), window[None, None, None, :])


def _power(values: Tensor, exponent: float) -> Tensor:
    """values^exponent, 0 with no slope where values are not positive (the root of 0 has an endless one)."""
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1.0) ** exponent, 0.0)


def _planes(pictures: Tensor) -> Tensor:
    """[…,H,W,C] → [P,1,H,W], a plane a channel of a picture."""
    many = pictures if pictures.ndim == 4 else pictures[None]
    return many.permute(0, 3, 1, 2).reshape(-1, 1, *many.shape[1:3])
