"""Vertices' means as sums over coarse and fine meshes, while they are learned.

Per-vertex gradients of pictures are noise to each vertex alone: a finger that is too thin would be moved a vertex at a time. A
mean is therefore what it was at first plus an offset on the coarse hand, one on each finer mesh, each spread over the finest
by linear interpolation. Large shapes move by the coarse ones' few numbers, and skin that no picture showed follows its
surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..hand.subdivide import spread
from .xhand_model import Means, XHandModel
from .xhand_template import XHandTemplate, refining_edges


class MeanOffsets(NamedTuple):
    """What is learned of one mean, leaves of the autograd graph: [V_k,n] by mesh, coarse to fine."""

    levels: list[Tensor]


def spreading(template: XHandTemplate, least_growth: float = 1.5) -> list[list[Tensor]]:
    """Of each mesh that carries offsets but the finest, coarse to fine: the passes [E,2] that lead to the finest.

    Meshes are those of the hand's refinement that have at least `least_growth` times the vertices of the one before.
    """
    passes = refining_edges(template)
    starts, last, count = [], 0.0, len(template.coarse.v_template)
    for number, ends in enumerate(passes):
        if count >= least_growth * last:
            starts.append(number)
            last = count
        count += len(ends)
    if starts and count < least_growth * last:
        starts.pop()
    return [passes[start:] for start in starts]


def new_offsets(first: Tensor, ways: Sequence[Sequence[Tensor]]) -> MeanOffsets:
    """Zero offsets of a mean that begins as `first` [V,n]."""
    total = len(first)
    counts = [total - sum(len(ends) for ends in way) for way in ways] + [total]
    return MeanOffsets([torch.zeros(count, first.shape[1]).to(first).requires_grad_() for count in counts])


def mean_of(first: Tensor, offsets: MeanOffsets, ways: Sequence[Sequence[Tensor]]) -> Tensor:
    """[V,n]."""
    total = first + offsets.levels[-1]
    for values, way in zip(offsets.levels, ways, strict=False):
        total = total + spread(values, way)
    return total


@torch.no_grad()
def settle(model: XHandModel, means: Means) -> None:
    """Write learned means into the model."""
    for part, mean in zip((model.displacement, model.skinning, model.albedo), means, strict=True):
        if mean is not None:
            part.mean.copy_(mean)
