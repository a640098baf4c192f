"""LPIPS, the learned perceptual distance (Zhang et al. 2018), on weights that the user brings: VGG-16's and LPIPS's own."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from .perceptual import Blocks, read_vgg16, vgg_features

_BLOCKS: Blocks = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_CHANNELS = (64, 128, 256, 512, 512)
_TINY = 1e-10


class LpipsTerm:
    """Squared difference of unit feature vectors, weighted by channel, averaged over places, summed over five layers (eq. 1)."""

    def __init__(self, vgg: dict[str, Tensor], channel_weights: Sequence[Tensor]):
        """channel_weights: [C] ≥ 0 of each layer."""
        self.vgg, self.channel_weights = vgg, tuple(channel_weights)

    def __call__(self, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """prediction, target [H,W,3] sRGB in [0,1]; weight [H,W] fades both → ()."""
        with torch.no_grad():
            wanted = vgg_features(self.vgg, target * weight[..., None], _BLOCKS)
        found = vgg_features(self.vgg, prediction * weight[..., None], _BLOCKS)
        total = prediction.new_zeros(())
        for a, b, channels in zip(found, wanted, self.channel_weights, strict=True):
            difference = (_unit(a) - _unit(b)) ** 2
            total = total + (difference * channels.to(a)[None, :, None, None]).sum(1).mean()
        return total


def _unit(features: Tensor) -> Tensor:
    # the root of 0 has no slope, and a patch of plain background has features that are 0
    return features / ((features**2).sum(1, keepdim=True) + _TINY**2).sqrt().clamp_min(_TINY)


def lpips_term(vgg16_weights: Path | None, lpips_weights: Path) -> LpipsTerm:
    """Raises InputError naming the file that is missing or holds other weights."""
    if vgg16_weights is None:
        raise InputError("--lpips needs VGG-16 too: add --vgg16 with torchvision's vgg16 weights (.pth)")
    return LpipsTerm(read_vgg16(vgg16_weights, _BLOCKS), read_channel_weights(lpips_weights))


def read_channel_weights(path: Path) -> list[Tensor]:
    """LPIPS's own weights (its v0.1 vgg.pth): lin0 … lin4, [1,C,1,1] each → [C] each, through torch's weights-only reader."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError, pickle.UnpicklingError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no file of weights"
        raise InputError(
            f"--lpips {path} cannot be read ({reason}): give LPIPS's v0.1 weights for VGG (vgg.pth)"
        ) from error
    weights = []
    for layer, channels in enumerate(_CHANNELS):
        name = f"lin{layer}.model.1.weight"
        value = state.get(name) if isinstance(state, dict) else None
        if not isinstance(value, Tensor) or tuple(value.shape) != (1, channels, 1, 1):
            raise InputError(f"--lpips {path} has no {name} of shape (1, {channels}, 1, 1): give LPIPS's v0.1 vgg.pth")
        if not torch.isfinite(value).all() or bool((value < 0).any()):
            raise InputError(f"--lpips {path}: {name} holds negative numbers or none: give LPIPS's v0.1 vgg.pth")
        weights.append(value.reshape(channels).float())
    return weights
