"""AlexNet's convolutions (Krizhevsky et al. 2012, as torchvision numbers them), on weights that the user brings."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, relu

from ..errors import InputError

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# layer, (outputs, inputs, side), stride, padding, whether pooling comes before it
_LAYERS = (
    (0, (64, 3, 11), 4, 2, False),
    (3, (192, 64, 5), 1, 2, True),
    (6, (384, 192, 3), 1, 1, True),
    (8, (256, 384, 3), 1, 1, False),
    (10, (256, 256, 3), 1, 1, False),
)
LEAST_PX = 31
"""Shorter side from which every layer has a place."""


def alexnet_features(weights: dict[str, Tensor], picture: Tensor) -> list[Tensor]:
    """Activations [1,C,h,w] after each of the five rectified convolutions, of a picture [H,W,3] in [0,1]."""
    mean, deviation = picture.new_tensor(_MEAN), picture.new_tensor(_DEVIATION)
    values = ((picture - mean) / deviation).permute(2, 0, 1)[None]
    found = []
    for layer, _, stride, padding, pooled in _LAYERS:
        values = max_pool2d(values, 3, 2) if pooled else values
        kernel, bias = (weights[f"features.{layer}.{part}"].to(values) for part in ("weight", "bias"))
        values = relu(conv2d(values, kernel, bias, stride=stride, padding=padding))
        found.append(values)
    return found


def read_alexnet(path: Path) -> dict[str, Tensor]:
    """The convolutions of an AlexNet state dict with torchvision's names, through torch's weights-only reader."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError, pickle.UnpicklingError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no file of weights"
        raise InputError(
            f"--alexnet {path} cannot be read ({reason}): give torchvision's alexnet weights (.pth)"
        ) from error
    for layer, (outputs, inputs, side), *_ in _LAYERS:
        for part, shape in (("weight", (outputs, inputs, side, side)), ("bias", (outputs,))):
            name = f"features.{layer}.{part}"
            value = state.get(name) if isinstance(state, dict) else None
            if not isinstance(value, Tensor) or tuple(value.shape) != shape or not torch.isfinite(value).all():
                raise InputError(f"--alexnet {path} has no {name} of shape {shape}: give torchvision's alexnet weights")
    return {name: value for name, value in state.items() if name.startswith("features.")}
