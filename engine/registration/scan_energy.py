"""What registration minimises: distances to planes, distances to triangulated keypoints, and the pose prior.

Every closest-point pair and every outline pair is one plane and one point of the hand's surface that should lie in it; for
given pairs the energy is smooth, and `engine.capture.fit` minimises it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..capture.energy import NormalEquations
from ..capture.kinematics import ANGLES, UNKNOWNS, HandState, PointEvaluator, hand_pose_from_angles, left_jacobian
from ..capture.least_squares import robust
from ..capture.pose_prior import PosePrior, PriorWeights
from ..hand.model import HandModel
from ..hand.rotations import axis_angle_to_matrix, skew

FRAMES_AT_ONCE = 2
"""Frames whose derivatives are held in memory together."""


@dataclass(frozen=True)
class RegistrationWeights(PriorWeights):
    """Expected sizes of the residuals (standard deviations), beside the prior's."""

    flexion: float = 1.5
    abduction: float = 0.3
    twist: float = 0.1
    end_joints: float = 0.7
    limit: float = 0.1
    """People's joints go beyond a model's limits, and a scan shows it."""
    betas: float = 1.5
    robust_scale: float = 3.0
    """Residuals beyond this many expected sizes lose their say (Geman-McClure)."""


@dataclass(frozen=True)
class ScanPairs:
    """Planes in which points of the surface should lie; T frames, N each."""

    corners: Tensor
    """[T,N,3] int64 vertices whose mean is the point."""
    barycentric: Tensor
    """[T,N,3]"""
    directions: Tensor
    """[T,N,3] the planes' unit normals."""
    offsets: Tensor
    """[T,N] metres: direction · point of the plane."""
    sizes: Tensor
    """[T,N] metres, expected residual."""
    weights: Tensor
    """[T,N] how many independent measurements the pair counts as; 0 for padding."""


@dataclass(frozen=True)
class ScanObservations:
    """What T scans show."""

    keypoints: Tensor
    """[T,21,3] metres, world; any number where unknown."""
    whitening: Tensor
    """[T,21,3,3] from metres to expected sizes; 0 where unknown."""
    pairs: ScanPairs | None = None
    links: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def frames(self, chosen: slice) -> ScanObservations:
        pairs = None if self.pairs is None else ScanPairs(*(part[chosen] for part in vars(self.pairs).values()))
        return ScanObservations(self.keypoints[chosen], self.whitening[chosen], pairs, self.links[chosen])


class SurfaceEvaluator(PointEvaluator):
    """All vertices with derivatives that include the pose correctives, which reach millimetres a radian at the creases."""

    def points_and_jacobians(self, state: HandState, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        points, by_unknowns, by_betas = super().points_and_jacobians(state, chosen)
        by_unknowns[:, 16:, :, ANGLES] += self._by_correctives(state, chosen)
        return points, by_unknowns, by_betas

    def _by_correctives(self, state: HandState, chosen: Tensor) -> Tensor:
        """[T,N,3,45]: what the angles change through R_j - I alone."""
        vectors = hand_pose_from_angles(self.model, state.angles).unflatten(-1, (15, 3))
        turns = left_jacobian(vectors) @ self.model.joint_axes.mT
        # column a of joint j: d vec(R_j) / d angle = vec(skew(turn) R_j)
        changes = (skew(turns.mT) @ axis_angle_to_matrix(vectors)[:, :, None]).flatten(-2)
        rotations = self._chain(state)[0]
        parts = []
        for frame, index in enumerate(chosen):
            basis = self.model.posedirs[index].unflatten(-1, (15, 9))
            rest = torch.einsum("ncjp,jap->ncja", basis, changes[frame]).flatten(-2)
            blended = torch.einsum("nk,kcd->ncd", self.model.skinning_weights[index], rotations[frame])
            parts.append(blended @ rest)
        return torch.stack(parts)


class ScanEnergy:
    """The objective of one hand model, as `engine.capture.fit.Objective` asks."""

    def __init__(self, model: HandModel, weights: RegistrationWeights | None = None):
        self.model, self.weights = model, weights or RegistrationWeights()
        self.evaluator = SurfaceEvaluator(model)
        self.smoothness = torch.zeros(UNKNOWNS).to(model.v_template)
        self._prior = PosePrior(model, self.weights)
        tips = model.tip_vertices + 16
        self._keypoints = torch.cat([torch.arange(16).to(tips), tips])
        self._all = torch.arange(len(model.v_template), device=tips.device)

    def vertices(self, state: HandState) -> Tensor:
        """[T,V,3]"""
        return self.evaluator.points(state, self._all.expand(len(state.angles), -1))[:, 16:]

    def keypoints(self, state: HandState) -> Tensor:
        """[T,21,3]"""
        points = self.evaluator.points(state, self.model.tip_vertices.expand(len(state.angles), 5))
        return points

    def cost(self, state: HandState, seen: ScanObservations) -> Tensor:
        """[T] cost of each frame; the betas' share is separate."""
        if seen.pairs is None:
            return self._keypoint_cost(self.keypoints(state), seen) + self._prior.cost(state.angles)
        points = self.evaluator.points(state, self._all.expand(len(state.angles), -1))
        residual = self._plane_residual(points, seen.pairs)
        planes = (robust(residual.square(), self.weights.robust_scale)[0] * seen.pairs.weights).sum(-1)
        return planes + self._keypoint_cost(points[:, self._keypoints], seen) + self._prior.cost(state.angles)

    def betas_cost(self, state: HandState) -> Tensor:
        return (state.betas / self.weights.betas).square().sum()

    def smoothness_gradient(self, state: HandState, links: np.ndarray) -> tuple[Tensor, Tensor]:
        """Nothing: scans are no sequence."""
        return state.angles.new_zeros(()), state.angles.new_zeros(len(state.angles), UNKNOWNS)

    def linearise(self, state: HandState, seen: ScanObservations) -> NormalEquations:
        """Gauss-Newton's normal equations."""
        costs, matrices, vectors = [], [], []
        for start in range(0, len(state.angles), FRAMES_AT_ONCE):
            cut = slice(start, start + FRAMES_AT_ONCE)
            part = HandState(state.rotation[cut], state.angles[cut], state.position[cut], state.betas)
            cost, matrix, vector = self._linearise_part(part, seen.frames(cut))
            costs.append(cost)
            matrices.append(matrix)
            vectors.append(vector)
        n = UNKNOWNS
        matrix, vector = torch.cat(matrices), torch.cat(vectors)
        precision = self.weights.betas**-2
        return NormalEquations(
            torch.cat(costs),
            matrix[:, :n, :n],
            matrix[:, :n, n:],
            matrix[:, n:, n:].sum(0) + torch.eye(len(state.betas)).to(matrix) * precision,
            vector[:, :n],
            vector[:, n:].sum(0) + state.betas * precision,
        )

    def _linearise_part(self, state: HandState, seen: ScanObservations) -> tuple[Tensor, Tensor, Tensor]:
        frames = len(state.angles)
        chosen = self.model.tip_vertices if seen.pairs is None else self._all
        points, by_unknowns, by_betas = self.evaluator.points_and_jacobians(state, chosen.expand(frames, -1))
        jacobian = torch.cat([by_unknowns, by_betas], dim=-1)
        keypoints = torch.arange(21) if seen.pairs is None else self._keypoints
        residual = (seen.whitening @ (points[:, keypoints] - seen.keypoints)[..., None])[..., 0]
        value, say = robust(residual.square().sum(-1), self.weights.robust_scale)
        cost = value.sum(-1) + self._prior.cost(state.angles)
        rows = (seen.whitening @ jacobian[:, keypoints]).flatten(1, 2)
        matrix, vector = _normal(rows, residual.flatten(1), say.repeat_interleave(3, 1))
        if seen.pairs is not None:
            off = self._plane_residual(points, seen.pairs)
            value, say = robust(off.square(), self.weights.robust_scale)
            cost = cost + (value * seen.pairs.weights).sum(-1)
            added = _normal(_plane_rows(jacobian[:, 16:], seen.pairs), off, say * seen.pairs.weights)
            matrix, vector = matrix + added[0], vector + added[1]
        self._prior.add(state.angles, matrix, vector)
        return cost, matrix, vector

    def _keypoint_cost(self, keypoints: Tensor, seen: ScanObservations) -> Tensor:
        residual = (seen.whitening @ (keypoints - seen.keypoints)[..., None])[..., 0]
        return robust(residual.square().sum(-1), self.weights.robust_scale)[0].sum(-1)

    def _plane_residual(self, points: Tensor, pairs: ScanPairs) -> Tensor:
        """[T,N] in expected sizes."""
        frame = torch.arange(len(points))[:, None, None]
        place = (pairs.barycentric[..., None] * points[frame, pairs.corners + 16]).sum(-2)
        return ((place * pairs.directions).sum(-1) - pairs.offsets) / pairs.sizes


def _plane_rows(jacobian: Tensor, pairs: ScanPairs) -> Tensor:
    """[T,N,U] derivatives of `_plane_residual` from the vertices' [T,V,3,U]."""
    scaled = pairs.directions / pairs.sizes[..., None]
    frame = torch.arange(len(jacobian))[:, None]
    total = jacobian.new_zeros(*pairs.offsets.shape, jacobian.shape[-1])
    for corner in range(3):
        own = scaled * pairs.barycentric[..., corner, None]
        total += torch.einsum("tnc,tncu->tnu", own, jacobian[frame, pairs.corners[..., corner]])
    return total


def _normal(rows: Tensor, residual: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """JᵀWJ [T,U,U] and JᵀWr [T,U]."""
    weighted = rows * weights[..., None]
    return weighted.mT @ rows, (weighted.mT @ residual[..., None])[..., 0]
