"""Displacements that depend on the pose as pose correctives: MANO's 135 columns, and more where they pay.

Ridge regression with a free intercept. Columns beyond MANO's are tried set by set and kept where they lower the error at poses
that the regression has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..avatar.pose_extras import ExtraCorrectives
from ..avatar.pose_terms import Hinge, Term, evaluate_terms
from ..hand.joints import MANO_PARENTS
from ..hand.mano import pose_features
from ..hand.rotations import axis_angle_to_matrix

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Strengths that are tried, as shares of the columns' mean variance."""
LEAST_GAIN = 0.03
"""Share of the held-out error that a set of columns must take away to be kept,"""
LEAST_GAIN_MM = 0.003
"""and the millimetres: less is nothing to be seen."""
TRIED_VERTICES = 1500
"""About so many, spread over the hand, tell whether columns pay."""


class ColumnSet(NamedTuple):
    """Columns that are tried together."""

    name: str
    terms: tuple[Term, ...]


class Correctives(NamedTuple):
    """What displacement became."""

    mean: Tensor
    """[C,3] metres at zero pose."""
    pose_basis: Tensor
    """[135,C,3] metres, to be added to the hand model's."""
    extra: ExtraCorrectives | None
    ridge: float
    tried: tuple[tuple[str, int, float, bool], ...]
    """Each set of columns: name, columns in all, mean held-out error in mm, whether it was kept."""


def fit_correctives(
    fitted: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], sets: Sequence[ColumnSet]
) -> Correctives:
    """Offsets [N,C,3] metres at poses [N,45], and others to judge by, as correctives. sets: tried in their order."""
    (poses, offsets), (judged_poses, judged) = fitted, held_out
    some = slice(None, None, max(1, offsets.shape[1] // TRIED_VERTICES))
    sample, truth = (values[:, some].flatten(1).double() for values in (offsets, judged))

    def tried(terms: tuple[Term, ...]) -> tuple[float, float]:
        columns, asked = mano_and_extra(poses, terms), mano_and_extra(judged_poses, terms)
        found = []
        for ridge in RIDGES:
            solved = solve_ridge(columns, sample, ridge)
            found.append((mean_distance_mm(solved[0] + asked @ solved[1:], truth), ridge))
        return min(found)

    kept: tuple[Term, ...] = ()
    error, ridge = tried(kept)
    told = [("MANO", 135, error, True)]
    for one in sets:
        new = tried(kept + one.terms)
        pays = new[0] < min((1 - LEAST_GAIN) * error, error - LEAST_GAIN_MM)
        told.append((one.name, 135 + len(kept) + len(one.terms), new[0], pays))
        if pays:
            kept, (error, ridge) = kept + one.terms, new
    solved = solve_ridge(mano_and_extra(poses, kept), offsets.flatten(1).double(), ridge)
    shaped = solved.float().reshape(len(solved), -1, 3)
    extra = ExtraCorrectives(kept, shaped[136:].numpy()) if kept else None
    return Correctives(shaped[0], shaped[1:136], extra, ridge, tuple(told))


def mano_and_extra(poses: Tensor, terms: Sequence[Term]) -> Tensor:
    """The columns [N,135+E] of poses [N,45], double precision."""
    axis_angles = torch.cat([poses.new_zeros(len(poses), 3), poses], dim=1).double().reshape(-1, 16, 3)
    mano = pose_features(axis_angle_to_matrix(axis_angles))
    return torch.cat([mano, torch.as_tensor(evaluate_terms(terms, poses.double().numpy()))], dim=1)


def solve_ridge(columns: Tensor, wanted: Tensor, ridge: float) -> Tensor:
    """[1+F,Y]: an intercept that costs nothing and coefficients that do; columns [N,F], wanted [N,Y]."""
    middle, centre = columns.mean(0), wanted.mean(0)
    moved = columns - middle
    gram = moved.T @ moved
    gram = gram + ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    slopes = torch.cholesky_solve(moved.T @ (wanted - centre), torch.linalg.cholesky(gram))
    return torch.cat([(centre - middle @ slopes)[None], slopes])


def mean_distance_mm(one: Tensor, other: Tensor) -> float:
    """Mean distance of points, given as [*, 3 C] metres."""
    return 1e3 * float((one - other).unflatten(-1, (-1, 3)).norm(dim=-1).mean())


def column_sets(axes: np.ndarray) -> tuple[ColumnSet, ...]:
    """What may be added to MANO's columns. axes [15,3,3]: flexion, abduction and twist of each joint (rows), in the rest frame.

    MANO's columns say of a hinge's angle θ what sin θ and cos θ say; powers of one joint's own add sin 2θ, cos 2θ and higher
    ones, products of neighbours what two joints do together.
    """

    def hinge(joint: int, w_power: int, h_power: int, kind: int = 0) -> Hinge:
        x, y, z = axes[joint - 1, kind].tolist()
        return Hinge(joint, (x, y, z), w_power, h_power)

    joints = range(1, 16)
    neighbours = [(joint, MANO_PARENTS[joint]) for joint in joints if MANO_PARENTS[joint] > 0]
    roots = [(1, 4), (4, 10), (10, 7), (13, 1)]
    pairs = ((1, 1), (0, 2))
    return (
        ColumnSet("flexion, 2nd", tuple((hinge(joint, *power),) for joint in joints for power in ((1, 3), (0, 4)))),
        ColumnSet("flexion, 3rd", tuple((hinge(joint, *power),) for joint in joints for power in ((1, 5), (0, 6)))),
        ColumnSet("along fingers", tuple((hinge(a, *one), hinge(b, *one)) for a, b in neighbours for one in pairs)),
        ColumnSet("across knuckles", tuple((hinge(a, 1, 1), hinge(b, 1, 1)) for a, b in roots)),
    )
