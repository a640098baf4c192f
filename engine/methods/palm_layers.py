"""The split networks over many samples, as few functions whose ways back are written out.

Samples are columns: the networks' thin products are quickest so. What is a constant of a sample (its "own" part of the first
layer) gets no gradient; codes do. Operation by operation autograd would take twice the time and keep three times the memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Layers = tuple[tuple[Tensor, Tensor], ...]
"""Weight [O,H] and bias [O] of each layer after the first."""

threshold_backward = torch.ops.aten.threshold_backward


def rectified_layers(own: Tensor, added: Tensor, later: Layers, inner: Tensor | None, weight: Tensor | None) -> Tensor:
    """[O,N] of a first layer's sums own [H,N] + added [H] (+ weight [H,I] inner [I,N]) through rectified layers.

    Gradients reach added and inner.
    """
    found: Tensor = _RectifiedLayers.apply(added, inner, own, weight, later)
    return found


class _RectifiedLayers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, added: Tensor, inner: Tensor | None, own: Tensor, weight: Tensor | None, later: Layers
    ) -> Tensor:
        values = own + added[:, None]
        if inner is not None and weight is not None:
            values.addmm_(weight, inner)
        hidden = []
        for matrix, bias in later:
            hidden.append(values.relu_())
            values = torch.addmm(bias[:, None], matrix, values)
        ctx.save_for_backward(weight, *hidden)
        ctx.later = later
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_output: Tensor) -> tuple[Tensor | None, ...]:
        weight, *hidden = ctx.saved_tensors
        for (matrix, _), values in zip(reversed(ctx.later), reversed(hidden), strict=True):
            by_output = threshold_backward(matrix.T @ by_output, values, 0)
        by_inner = weight.T @ by_output if ctx.needs_input_grad[1] else None
        return by_output.sum(1), by_inner, None, None, None


def distance_layers(
    own: Tensor, added: Tensor, layer: tuple[Tensor, Tensor], encoding: Tensor, turn: Tensor, features: bool
) -> tuple[Tensor | None, Tensor]:
    """The geometry network as `palm_heads.geometry_head` has it: features [F,N], or None, and the distance's gradient [3,N].

    own [H,N] + added [H]: the first layer's sums; layer: weight [F,H] and bias [F] of the second; encoding [H,E] of the first;
    turn [3,E,N]: cotangents of the encoding → axes. Gradients reach added.
    """
    found: tuple[Tensor | None, Tensor] = _DistanceLayers.apply(added, own, layer, encoding, turn, features)
    return found


class _DistanceLayers(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        added: Tensor,
        own: Tensor,
        layer: tuple[Tensor, Tensor],
        encoding: Tensor,
        turn: Tensor,
        features: bool,
    ) -> tuple[Tensor | None, Tensor]:
        weight, bias = layer
        sums = own + added[:, None]
        below = sums.sigmoid()
        # the derivative of ln σ is 1 − σ: the share that every unit carries of the distance's cotangent
        carried = (encoding * weight[0][:, None]).T
        cotangent = torch.addmm(carried.sum(1, keepdim=True), carried, below, alpha=-1)
        feature = None
        if features:
            # where σ underflows, its logarithm is the sum itself
            rectified = torch.minimum(below.clamp_min(torch.finfo(own.dtype).tiny).log_(), sums)
            feature = torch.addmm(bias[:, None], weight, rectified)
        ctx.save_for_backward(below, weight, carried, turn)
        ctx.set_materialize_grads(False)
        return feature, (turn * cotangent).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_feature: Tensor | None, by_gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        below, weight, carried, turn = ctx.saved_tensors
        if by_feature is None and by_gradient is None:
            return None, None, None, None, None, None
        values = torch.zeros_like(below) if by_feature is None else weight.T @ by_feature
        if by_gradient is not None:
            values.addcmul_(carried.T @ (turn * by_gradient[:, None]).sum(0), below, value=-1)
        # σ′ = σ (1 − σ): all of it has the factor 1 − σ
        return values.sum(1) - values.mul_(below).sum(1), None, None, None, None, None
