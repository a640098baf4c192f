"""LPIPS, the learned perceptual distance (Zhang et al. 2018), on weights that the user brings: a network's and LPIPS's own.

Training uses VGG-16's, as PALM does; evaluation AlexNet's too, as HARP does.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from .alexnet import alexnet_features, read_alexnet
from .perceptual import Blocks, read_vgg16, vgg_features

_BLOCKS: Blocks = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
CHANNELS = {"vgg": (64, 128, 256, 512, 512), "alex": (64, 192, 384, 256, 256)}
"""Of the layers that LPIPS compares, by network."""
Features = Callable[[Tensor], list[Tensor]]
_TINY = 1e-10


class LpipsTerm:
    """Squared difference of unit feature vectors, weighted by channel, averaged over places, summed over five layers (eq. 1)."""

    def __init__(self, features: Features, channel_weights: Sequence[Tensor]):
        """features: activations [1,C,h,w] of each layer, of a picture [H,W,3]; channel_weights: [C] ≥ 0 of each layer."""
        self.features, self.channel_weights = features, tuple(channel_weights)

    def __call__(self, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """prediction, target [H,W,3] sRGB in [0,1]; weight [H,W] fades both → ()."""
        with torch.no_grad():
            wanted = self.features(target * weight[..., None])
        found = self.features(prediction * weight[..., None])
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
    weights = read_vgg16(vgg16_weights, _BLOCKS)
    return LpipsTerm(partial(vgg_features, weights, blocks=_BLOCKS), read_channel_weights(lpips_weights))


def lpips_alex_term(alexnet_weights: Path | None, lpips_weights: Path) -> LpipsTerm:
    """The same on AlexNet; a picture's shorter side needs `alexnet.LEAST_PX` pixels. Raises InputError naming the file."""
    if alexnet_weights is None:
        raise InputError("--lpips-alex needs AlexNet too: add --alexnet with torchvision's alexnet weights (.pth)")
    channel_weights = read_channel_weights(lpips_weights, "alex")
    return LpipsTerm(partial(alexnet_features, read_alexnet(alexnet_weights)), channel_weights)


def read_channel_weights(path: Path, network: str = "vgg") -> list[Tensor]:
    """LPIPS's own weights (its v0.1 vgg.pth or alex.pth): lin0 … lin4, [1,C,1,1] each → [C] each, by the weights-only reader."""
    option = "--lpips" if network == "vgg" else "--lpips-alex"
    wanted = f"LPIPS's v0.1 {network}.pth"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError, pickle.UnpicklingError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no file of weights"
        raise InputError(f"{option} {path} cannot be read ({reason}): give {wanted}") from error
    weights = []
    for layer, channels in enumerate(CHANNELS[network]):
        name = f"lin{layer}.model.1.weight"
        value = state.get(name) if isinstance(state, dict) else None
        if not isinstance(value, Tensor) or tuple(value.shape) != (1, channels, 1, 1):
            raise InputError(f"{option} {path} has no {name} of shape (1, {channels}, 1, 1): give {wanted}")
        if not torch.isfinite(value).all() or bool((value < 0).any()):
            raise InputError(f"{option} {path}: {name} holds negative numbers or none: give {wanted}")
        weights.append(value.reshape(channels).float())
    return weights
