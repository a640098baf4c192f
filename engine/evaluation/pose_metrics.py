"""How far points of a hand are from the true ones: MPJPE of joints, MPVPE of vertices, and both after alignment. Pure functions.

Points are [*,N,3] in metres, in the same order; errors are [*] in millimetres, the mean over points of each set.
"""

from __future__ import annotations

import torch
from torch import Tensor

MM = 1000.0
_TINY = 1e-12


def mean_point_error_mm(prediction: Tensor, target: Tensor, root: int | None = None) -> Tensor:
    """MPJPE or MPVPE: mean distance. root: the point (MANO's wrist is joint 0) that both sets are moved to; None: as they are."""
    _check(prediction, target)
    if root is not None:
        prediction, target = (points - points[..., root : root + 1, :] for points in (prediction, target))
    return MM * (prediction - target).norm(dim=-1).mean(-1)


def aligned_error_mm(prediction: Tensor, target: Tensor, scale: bool = True) -> Tensor:
    """PA-MPJPE or PA-MPVPE: mean distance after `procrustes`. HARP and most tables scale; without, a wrong size counts too."""
    return mean_point_error_mm(procrustes(prediction, target, scale), target)


def procrustes(source: Tensor, target: Tensor, scale: bool = True) -> Tensor:
    """Source moved, turned and (with `scale`) sized so that it lies on target best, by least squares (Umeyama 1991) → [*,N,3].

    Never mirrored. A source that is one point stays one point, at the target's mean.
    """
    _check(source, target)
    centre, goal = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    a, b = source - centre, target - goal
    u, values, v = torch.linalg.svd(a.transpose(-1, -2) @ b)
    # a reflection would fit a flat or mirrored set better; the least axis pays for the turn
    sign = torch.linalg.det(u @ v).sign()
    signs = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    turn = u @ (signs[..., None] * v)
    size = (values * signs).sum(-1) / (a**2).sum((-1, -2)).clamp_min(_TINY) if scale else torch.ones_like(sign)
    return size[..., None, None] * (a @ turn) + goal


def recall(errors_mm: Tensor, threshold_mm: float) -> float:
    """Share of errors [*] that are at or below a threshold, of those that are numbers. Raises ValueError where none is."""
    known = errors_mm[torch.isfinite(errors_mm)]
    if not len(known):
        raise ValueError("a recall of no errors means nothing")
    return float((known <= threshold_mm).double().mean())


def _check(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape or prediction.ndim < 2 or prediction.shape[-1] != 3 or not prediction.shape[-2]:
        raise ValueError(f"points {tuple(prediction.shape)} and {tuple(target.shape)} are not two [*,N,3] of one shape")
