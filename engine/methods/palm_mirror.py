"""What the radiance network is told of a surface's direction: its normal and the mirrored view, as functions of the gradient.

The harmonics of a direction are sums of its monomials, so they need not be worked out: the network's weights take them in.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..fields.direction_encoding import spherical_harmonics
from ..lighting.sphere_sampling import fibonacci_sphere

MONOMIALS = 17
"""Of degree 3 and less, without cubes, which a unit vector's others make up."""


def unit_columns(vectors: Tensor) -> Tensor:
    """[3,N] vectors → of length 1."""
    found: Tensor = _UnitColumns.apply(vectors)
    return found


def mirror_monomials(normals: Tensor, directions: Tensor) -> Tensor:
    """[17,N] monomials of the view mirrored at a surface: unit normals and viewing directions [3,N]. Gradients reach normals."""
    found: Tensor = _MirrorMonomials.apply(normals, directions)
    return found


def harmonics_of_monomials(like: Tensor) -> Tensor:
    """[16,17]: monomials of a unit vector → `spherical_harmonics`, exactly."""
    directions = fibonacci_sphere(200, torch.zeros((), dtype=torch.float64))
    found = torch.linalg.pinv(_monomials(directions.T)).T @ spherical_harmonics(directions)
    return found.T.to(like)


def _monomials(unit: Tensor) -> Tensor:
    """[17,N] of [3,N]: 1, x, x², xy, x²y, xy² with their turns (x → y → z → x), and xyz."""
    turned = unit.roll(-1, 0)
    mixed = unit * turned
    parts = [torch.ones_like(unit[:1]), unit, unit * unit, mixed, unit * mixed, turned * mixed, mixed[:1] * unit[2:]]
    return torch.cat(parts)


class _UnitColumns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        length = vectors.square().sum(0).sqrt_().clamp_min_(1e-6)
        unit = vectors / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_unit: Tensor) -> Tensor:
        unit, length = ctx.saved_tensors
        return torch.addcmul(by_unit, unit, (by_unit * unit).sum(0), value=-1).div_(length)


class _MirrorMonomials(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, normals: Tensor, directions: Tensor) -> Tensor:
        facing = (directions * normals).sum(0)
        mirrored = torch.addcmul(directions, normals, facing, value=-2)
        ctx.save_for_backward(normals, directions, facing, mirrored)
        return _monomials(mirrored)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_monomial: Tensor) -> tuple[Tensor, None]:
        normals, directions, facing, unit = ctx.saved_tensors
        turned = unit.roll(-1, 0)
        mixed = unit * turned
        _, by_unit, by_square, by_mixed, by_first, by_second, by_all = by_monomial.split([1, 3, 3, 3, 3, 3, 1])
        by_mixed = torch.addcmul(by_mixed, unit, by_first).addcmul_(turned, by_second)
        by_mixed[:1].addcmul_(unit[2:], by_all)
        by_turned = (mixed * by_second).addcmul_(unit, by_mixed)
        by_unit = torch.addcmul(by_unit, unit, by_square, value=2).addcmul_(mixed, by_first).addcmul_(turned, by_mixed)
        by_unit[2:].addcmul_(mixed[:1], by_all)
        by_unit += by_turned.roll(1, 0)
        # mirrored = d − 2 (d·n) n
        return (by_unit * facing).addcmul_(directions, (by_unit * normals).sum(0)).mul_(-2), None
