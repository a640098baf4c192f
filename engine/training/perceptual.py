"""A perceptual term (HARP, eq. 10; for PALM's LPIPS): VGG-16 features where its weights are at hand, else a Laplacian pyramid."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d, relu

from ..errors import InputError

PerceptualTerm = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(prediction [H,W,3] sRGB in [0,1], target [H,W,3], weight [H,W]) → scalar."""

Blocks = tuple[tuple[int, ...], ...]
_BLOCKS: Blocks = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21))
"""Convolutions of VGG-16's first four blocks, as torchvision numbers them; pooling lies between the blocks."""
_CHANNELS = (3, 64, 128, 256, 512, 512)
_BLOCK_WEIGHTS = (1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of relu1_2, relu2_2, relu3_3 and relu4_3, as HARP weighs them; the picture itself counts 1."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def perceptual_term(vgg16_weights: Path | None, lpips_weights: Path | None = None) -> PerceptualTerm:
    """The best term for the weights that are at hand: LPIPS, plain VGG features, the pyramid.

    Raises InputError for a file that holds other weights, and for LPIPS's own weights without VGG's.
    """
    if lpips_weights is not None:
        from .lpips import lpips_term

        return lpips_term(vgg16_weights, lpips_weights)
    return pyramid_l1 if vgg16_weights is None else Vgg16Term(read_vgg16(vgg16_weights))


def term_name(vgg16_weights: Path | None, lpips_weights: Path | None = None) -> str:
    """What is recorded of the term in use."""
    if lpips_weights is not None:
        return "lpips (vgg16)"
    return "laplacian pyramid" if vgg16_weights is None else "vgg16 features"


def pyramid_l1(prediction: Tensor, target: Tensor, weight: Tensor, levels: int = 4) -> Tensor:
    """Sum over Laplacian pyramid bands of the weighted mean absolute difference; replaces HARP's VGG term.

    prediction, target [H,W,C]; weight [H,W]. The pictures are faded to zero outside the weight, so that no band sees what
    lies beyond the hand.
    """
    difference = ((prediction - target) * weight[..., None]).permute(2, 0, 1)[None]
    mask = weight[None, None]
    total = prediction.new_zeros(())
    for _ in range(levels):
        if min(difference.shape[-2:]) < 4:
            break
        coarse, coarse_mask = avg_pool2d(difference, 2, ceil_mode=True), avg_pool2d(mask, 2, ceil_mode=True)
        blurred = interpolate(coarse, size=difference.shape[-2:], mode="bilinear", align_corners=False)
        total = total + ((difference - blurred).abs().mean(1) * mask[:, 0]).sum() / mask.sum().clamp_min(1.0)
        difference, mask = coarse, coarse_mask
    return total


class Vgg16Term:
    """Mean absolute difference of VGG-16 features, in the hand's region.

    The input is normalised as the network was trained, which HARP's published code leaves out.
    """

    def __init__(self, weights: dict[str, Tensor]):
        self.weights = weights

    def __call__(self, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        with torch.no_grad():
            expected = self.features(target * weight[..., None])
        region = weight[None, None]
        total = ((prediction - target).abs().mean(-1) * weight).sum() / weight.sum().clamp_min(1.0)
        pairs = zip(self.features(prediction * weight[..., None]), expected, _BLOCK_WEIGHTS, strict=True)
        for block, (found, wanted, share) in enumerate(pairs):
            if block:
                region = avg_pool2d(region, 2)
            difference = (found - wanted).abs().mean(1, keepdim=True)
            total = total + share * (difference * region).sum() / region.sum().clamp_min(1.0)
        return total

    def features(self, picture: Tensor) -> list[Tensor]:
        """Activations [1,C,h,w] after each block, of a picture [H,W,3]."""
        return vgg_features(self.weights, picture, _BLOCKS)


def vgg_features(weights: dict[str, Tensor], picture: Tensor, blocks: Blocks) -> list[Tensor]:
    """Activations [1,C,h,w] of VGG-16 after the last layer of each block, of a picture [H,W,3] in [0,1]."""
    mean, deviation = picture.new_tensor(_MEAN), picture.new_tensor(_DEVIATION)
    values = ((picture - mean) / deviation).permute(2, 0, 1)[None]
    found = []
    for block, layers in enumerate(blocks):
        values = max_pool2d(values, 2) if block else values
        for layer in layers:
            kernel, bias = (weights[f"features.{layer}.{part}"].to(values) for part in ("weight", "bias"))
            values = relu(conv2d(values, kernel, bias, padding=1))
        found.append(values)
    return found


def read_vgg16(path: Path, blocks: Blocks | None = None) -> dict[str, Tensor]:
    """The convolutions of a VGG-16 state dict with torchvision's names, through torch's weights-only reader."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError, pickle.UnpicklingError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no file of weights"
        raise InputError(
            f"--vgg16 {path} cannot be read ({reason}): give torchvision's vgg16 weights (.pth)"
        ) from error
    for block, layers in enumerate(blocks or _BLOCKS):
        for position, layer in enumerate(layers):
            inputs, outputs = _CHANNELS[block if position == 0 else block + 1], _CHANNELS[block + 1]
            for part, shape in (("weight", (outputs, inputs, 3, 3)), ("bias", (outputs,))):
                name = f"features.{layer}.{part}"
                value = state.get(name) if isinstance(state, dict) else None
                if not isinstance(value, Tensor) or tuple(value.shape) != shape or not torch.isfinite(value).all():
                    raise InputError(f"--vgg16 {path} has no {name} of shape {shape}: give torchvision's vgg16 weights")
    return {name: value for name, value in state.items() if name.startswith("features.")}
