"""Colours of rays from samples that stay where they are: `engine.rendering.compositing`, with its way back written out."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Runs(NamedTuple):
    """Which of N samples, sorted by ray, belong together."""

    ray: Tensor
    """[N] int64."""
    first: Tensor
    """[N] int64 the first sample of each one's ray."""
    last: Tensor
    """[N] int64 the last."""
    rays: int


def runs_of(ray: Tensor, rays: int) -> Runs:
    """The runs of sorted rays [N] int64."""
    return Runs(ray, torch.searchsorted(ray, ray), torch.searchsorted(ray, ray, right=True) - 1, rays)


def composite_runs(depth: Tensor, colors: Tensor, runs: Runs) -> tuple[Tensor, Tensor]:
    """Opacity [R] and premultiplied colour [3,R] of optical depths [N] ≥ 0 and colours [3,N]. Gradients reach both."""
    opacity, color = _Composite.apply(depth, colors, runs)
    return opacity, color


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, depth: Tensor, colors: Tensor, runs: Runs) -> tuple[Tensor, Tensor]:
        # one running sum over all rays: in double precision, as in `transmittance`
        exact = depth.double()
        nearer = exact.cumsum(0).sub_(exact)
        reaching = (nearer.index_select(0, runs.first) - nearer).exp_().to(depth.dtype)
        weights = torch.expm1(-depth).mul_(reaching).neg_()
        values = torch.cat([weights[None], weights * colors])
        ctx.save_for_backward(weights, reaching, colors)
        ctx.runs = runs
        opacity, color = depth.new_zeros(4, runs.rays).index_add_(1, runs.ray, values).split([1, 3])
        return opacity[0], color

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_opacity: Tensor, by_color: Tensor) -> tuple[Tensor, Tensor, None]:
        weights, reaching, colors = ctx.saved_tensors
        runs: Runs = ctx.runs
        of_color = by_color.index_select(1, runs.ray)
        by_weight = (of_color * colors).sum(0).add_(by_opacity.index_select(0, runs.ray))
        # more depth takes light from all samples behind it
        lost = (by_weight * weights).double().cumsum(0)
        behind = lost.index_select(0, runs.last).sub_(lost)
        by_depth = by_weight.mul_(reaching - weights).sub_(behind)
        return by_depth, of_color.mul_(weights), None
