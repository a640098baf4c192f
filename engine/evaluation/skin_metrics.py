"""How well a skin's own colour was found: albedo against albedo, numbers that the papers never gave. Pure functions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..lighting.color import linear_to_srgb, srgb_to_linear
from .image_metrics import masked_psnr
from .packages import metric_package


def color_difference(first: Tensor, second: Tensor) -> Tensor:
    """CIEDE2000 [*] (Sharma, Wu and Dalal 2005) of sRGB-encoded colours [*,3] in [0,1] under D65, weights 1. 1 is just seen."""
    color = metric_package("skimage.color")
    lab = [color.rgb2lab(_columns(values)) for values in (first, second)]
    found = color.deltaE_ciede2000(*lab)
    return torch.as_tensor(np.asarray(found)).reshape(first.shape[:-1])


def median_color_difference(prediction: Tensor, target: Tensor, visible: Tensor) -> float:
    """Median CIEDE2000 over the pixels of visible [H,W] bool, of albedo pictures [H,W,3] sRGB."""
    return float(color_difference(prediction[visible], target[visible]).median())


def tone_difference(prediction: Tensor, target: Tensor, visible: Tensor) -> float:
    """CIEDE2000 of the two mean colours, each the mean of linear albedo over visible [H,W] bool: the skin's tone as a whole."""
    means = [linear_to_srgb(srgb_to_linear(picture[visible]).mean(0)) for picture in (prediction, target)]
    return float(color_difference(means[0], means[1]))


def scaled_albedo_psnr(prediction: Tensor, target: Tensor, visible: Tensor) -> float:
    """PSNR in dB of sRGB albedo after the one factor on the linear prediction that suits the target best (least squares).

    A photo alone tells no bright skin in dim light from dark skin in bright light; this number leaves that question out.
    """
    found, wanted = (srgb_to_linear(picture[visible]).double() for picture in (prediction, target))
    factor = (found * wanted).sum() / (found * found).sum().clamp_min(1e-12)
    scaled = linear_to_srgb(found * factor).clamp(0, 1)
    return masked_psnr(scaled, target[visible].double(), torch.ones(len(scaled), dtype=torch.bool))


def _columns(values: Tensor) -> np.ndarray:
    """[N,1,3] float64, as scikit-image wants a picture."""
    return values.detach().double().clamp(0, 1).cpu().numpy().reshape(-1, 1, 3)
