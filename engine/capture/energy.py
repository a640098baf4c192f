"""What the fit minimises, linearised: each term gives residuals in units of their expected size, and derivatives."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..hand.joints import KEYPOINT_NAMES, KEYPOINT_PARENTS
from ..hand.model import HandModel
from ..hand.rotations import matrix_to_axis_angle
from .kinematics import ANGLES, POSITION, ROTATION, UNKNOWNS, HandState, PointEvaluator
from .least_squares import robust
from .pose_prior import PosePrior, PriorWeights

LAST_JOINTS = list(KEYPOINT_PARENTS[16:])
"""The joints on which the tips hang, thumb to little finger."""

FRAMES_AT_ONCE = 48
"""Frames whose derivatives are held in memory together."""


@dataclass(frozen=True)
class Weights(PriorWeights):
    """Expected sizes of the residuals (standard deviations)."""

    keypoint: float = 0.012
    """Of 2D keypoints, as a fraction of the hand's bounding-box diagonal."""
    metric_m: float = 0.012
    """Of the detector's 3D keypoints about their mean; its depth is its weakest number."""
    outline: float = 0.012
    """Of the outline, as a fraction of the diagonal."""
    outline_total: float = 30.0
    """How many independent measurements a whole outline counts as, however many points sample it."""
    robust_scale: float = 3.0
    """Residuals beyond this many expected sizes lose their say (Geman-McClure)."""
    betas: float = 1.0
    smooth_rotation: float = 0.06
    """Of second differences between frames, radians."""
    smooth_angles: float = 0.16
    smooth_position_m: float = 0.006


KEYPOINT_WEIGHTS = {"wrist": 0.5, "thumb1": 0.5, "thumb2": 0.8}
"""Say of keypoints that the detector places by other landmarks than MANO's joints: its wrist lies on the crease, at the
middle of the forearm's outline, and its thumb root on the skin over the base of the metacarpal."""


@dataclass(frozen=True)
class Outline:
    """Model vertices and where the picture's outline wants them; T frames, N pairs each."""

    vertices: Tensor
    """[T,N] int64."""
    points: Tensor
    """[T,N,2] px."""
    normals: Tensor
    """[T,N,2] unit, across the outline: only the distance along them counts."""
    weights: Tensor
    """[T,N], summing to at most 1 a frame; 0 for padding."""


@dataclass(frozen=True)
class Observations:
    """What T frames show. Tensors share device and dtype with the model."""

    keypoints: Tensor
    """[T,21,2] px."""
    confidence: Tensor
    """[T,21] 0..1; 0 where a keypoint is unknown."""
    metric: Tensor
    """[T,21,3] metres, any origin, camera axes."""
    metric_confidence: Tensor
    """[T,21]; 0 where there is no 3D."""
    scale_px: Tensor
    """[T] bounding-box diagonals."""
    intrinsics: Tensor
    """[T,3,3] or [3,3]."""
    links: np.ndarray
    """[T] weight of the second difference around each frame; 0 where a neighbour is missing."""
    metric_scale: float
    """Factor that was put on the detector's metres to make `metric`."""
    tip_fraction: Tensor
    """[T] where the observed fingertips lie between the last joint (0) and the model's tip (1)."""
    outline: Outline | None = None

    def frames(self, chosen: slice | Tensor) -> Observations:
        """Some of the frames, by a slice or by their numbers."""
        cut = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, value in cut.items():
            if isinstance(value, Outline):
                cut[name] = Outline(*(part[chosen] for part in vars(value).values()))
            elif isinstance(value, (Tensor, np.ndarray)) and not (name == "intrinsics" and value.ndim == 2):
                cut[name] = value[chosen]
        return Observations(**cut)

    def repeated(self, count: int) -> Observations:
        """The same frames `count` times over, unlinked: for fits from several starts."""
        rows = torch.arange(len(self.keypoints)).repeat(count)
        return dataclasses.replace(self.frames(rows), links=np.zeros(len(rows)))


@dataclass
class NormalEquations:
    """JᵀJ and Jᵀr by frame and for the shared betas, and the cost of each frame."""

    cost: Tensor
    blocks: Tensor
    borders: Tensor
    corner: Tensor
    gradient: Tensor
    border_gradient: Tensor


class Energy:
    """The fit's objective for one hand model and one set of weights."""

    def __init__(self, model: HandModel, weights: Weights):
        self.model, self.weights = model, weights
        self.evaluator = PointEvaluator(model)
        like = model.v_template
        self._prior = PosePrior(model, weights)
        self._keypoint_weights = torch.tensor([KEYPOINT_WEIGHTS.get(n, 1.0) for n in KEYPOINT_NAMES]).to(like)
        smooth = torch.zeros(UNKNOWNS).to(like)
        smooth[ROTATION] = weights.smooth_rotation**-2
        smooth[ANGLES] = weights.smooth_angles**-2
        smooth[POSITION] = weights.smooth_position_m**-2
        self.smoothness = smooth

    def chosen_vertices(self, seen: Observations) -> Tensor:
        tips = self.model.tip_vertices.expand(len(seen.keypoints), 5)
        return tips if seen.outline is None else torch.cat([tips, seen.outline.vertices], dim=1)

    # -- cost alone -------------------------------------------------------------------------------------------------

    def cost(self, state: HandState, seen: Observations) -> Tensor:
        """[T] cost of each frame; the betas' and the smoothness' shares are separate."""
        points = self.evaluator.points(state, self.chosen_vertices(seen))
        total = self._prior.cost(state.angles)
        for residual, weight in self._data_residuals(points, seen):
            squared = residual.square().sum(-1)
            total = total + (robust(squared, self.weights.robust_scale)[0] * weight).sum(-1)
        return total

    def betas_cost(self, state: HandState) -> Tensor:
        return (state.betas / self.weights.betas).square().sum() * self._betas_scale(state)

    def smoothness_gradient(self, state: HandState, links: np.ndarray) -> tuple[Tensor, Tensor]:
        """(cost [], gradient [T,51]) of the second differences between linked frames."""
        middle = torch.as_tensor(np.flatnonzero(links), device=state.angles.device)
        gradient = torch.zeros(len(state.angles), UNKNOWNS).to(state.angles)
        if not len(middle):
            return gradient.sum(), gradient
        before, after = middle - 1, middle + 1
        turn_in = matrix_to_axis_angle(state.rotation[middle] @ state.rotation[before].mT)
        turn_out = matrix_to_axis_angle(state.rotation[after] @ state.rotation[middle].mT)
        difference = torch.cat(
            [
                turn_out - turn_in,
                state.angles[before] - 2 * state.angles[middle] + state.angles[after],
                state.position[before] - 2 * state.position[middle] + state.position[after],
            ],
            dim=-1,
        )
        weighted = difference * self.smoothness * torch.as_tensor(links[links > 0]).to(difference)[:, None]
        gradient.index_add_(0, before, weighted)
        gradient.index_add_(0, middle, -2 * weighted)
        gradient.index_add_(0, after, weighted)
        return (difference * weighted).sum(), gradient

    def _betas_scale(self, state: HandState) -> float:
        # the frames of one video err alike: three of them count as one
        return max(1.0, 0.3 * len(state.angles))

    def _data_residuals(self, points: Tensor, seen: Observations) -> list[tuple[Tensor, Tensor]]:
        """[(residuals [T,n,d] in expected sizes, weights [T,n])] of keypoints, metric keypoints and outline."""
        points = _as_observed(points, seen.tip_fraction)
        pixels = project(points, seen.intrinsics)
        scale = seen.scale_px[:, None, None]
        terms = [
            (
                (pixels[:, :21] - seen.keypoints) / (scale * self.weights.keypoint),
                seen.confidence * self._keypoint_weights,
            )
        ]
        weight = seen.metric_confidence * self._keypoint_weights
        terms.append(
            (
                (_centred(points[:, :21], weight) - _centred(seen.metric, weight)) / self.weights.metric_m,
                weight,
            )
        )
        if seen.outline is not None:
            off = ((pixels[:, 21:] - seen.outline.points) * seen.outline.normals).sum(-1, keepdim=True)
            terms.append((off / (scale * self.weights.outline), seen.outline.weights * self.weights.outline_total))
        return terms

    # -- linearised -------------------------------------------------------------------------------------------------

    def linearise(self, state: HandState, seen: Observations) -> NormalEquations:
        """Gauss-Newton's normal equations of everything but the smoothness."""
        count = len(state.angles)
        parts = []
        for start in range(0, count, FRAMES_AT_ONCE):
            cut = slice(start, start + FRAMES_AT_ONCE)
            part_state = HandState(state.rotation[cut], state.angles[cut], state.position[cut], state.betas)
            parts.append(self._linearise_part(part_state, seen.frames(cut)))
        joined = NormalEquations(
            torch.cat([p.cost for p in parts]),
            torch.cat([p.blocks for p in parts]),
            torch.cat([p.borders for p in parts]),
            torch.stack([p.corner for p in parts]).sum(0),
            torch.cat([p.gradient for p in parts]),
            torch.stack([p.border_gradient for p in parts]).sum(0),
        )
        precision = self.weights.betas**-2 * self._betas_scale(state)
        joined.corner += torch.eye(len(state.betas)).to(state.betas) * precision
        joined.border_gradient += state.betas * precision
        return joined

    def _linearise_part(self, state: HandState, seen: Observations) -> NormalEquations:
        points, by_unknowns, by_betas = self.evaluator.points_and_jacobians(state, self.chosen_vertices(seen))
        jacobian = _as_observed(torch.cat([by_unknowns, by_betas], dim=-1), seen.tip_fraction)
        pixel_jacobian = _projection_jacobian(_as_observed(points, seen.tip_fraction), seen.intrinsics) @ jacobian
        scale = seen.scale_px[:, None, None, None]
        keypoint_terms = self._data_residuals(points, seen)
        jacobians = [
            pixel_jacobian[:, :21] / (scale * self.weights.keypoint),
            _centred(jacobian[:, :21], (seen.metric_confidence * self._keypoint_weights)[..., None])
            / self.weights.metric_m,
        ]
        if seen.outline is not None:
            along = torch.einsum("tnd,tndu->tnu", seen.outline.normals, pixel_jacobian[:, 21:])[..., None, :]
            jacobians.append(along / (scale * self.weights.outline))
        size = jacobian.shape[-1]
        matrix = torch.zeros(len(points), size, size).to(points)
        vector = torch.zeros(len(points), size).to(points)
        cost = self._prior.cost(state.angles)
        for (residual, weight), derivative in zip(keypoint_terms, jacobians, strict=True):
            value, say = robust(residual.square().sum(-1), self.weights.robust_scale)
            cost = cost + (value * weight).sum(-1)
            weighted = derivative * (say * weight)[..., None, None]
            flat, flat_weighted = derivative.flatten(1, 2), weighted.flatten(1, 2)
            matrix += flat_weighted.mT @ flat
            vector += (flat_weighted.mT @ residual.flatten(1)[..., None])[..., 0]
        self._prior.add(state.angles, matrix, vector)
        n = UNKNOWNS
        return NormalEquations(
            cost,
            matrix[:, :n, :n],
            matrix[:, :n, n:],
            matrix[:, n:, n:].sum(0),
            vector[:, :n],
            vector[:, n:].sum(0),
        )


def project(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Pinhole projection of camera-space points [T,N,3] metres → pixels [T,N,2]. intrinsics [3,3] or [T,3,3]."""
    homogeneous = points @ intrinsics.mT
    return homogeneous[..., :2] / homogeneous[..., 2:].clamp_min(1e-4)


def _projection_jacobian(points: Tensor, intrinsics: Tensor) -> Tensor:
    """[T,N,2,3] derivatives of `project`."""
    depth = points[..., 2:].clamp_min(1e-4)
    pixels = project(points, intrinsics)
    top = intrinsics[..., :2, :].expand(len(points), 2, 3)[:, None]
    bottom = intrinsics[..., 2, :].expand(len(points), 3)[:, None, None]
    return (top - pixels[..., None] * bottom) / depth[..., None]


def _as_observed(points: Tensor, tip_fraction: Tensor) -> Tensor:
    """Points [T,21+N,...] with the tips 16..20 drawn back towards their last joints, as the detector sees them."""
    fraction = tip_fraction.reshape(-1, *([1] * (points.ndim - 1)))
    last = points[:, LAST_JOINTS]
    tips = last + fraction * (points[:, 16:21] - last)
    return torch.cat([points[:, :16], tips, points[:, 21:]], dim=1)


def _centred(points: Tensor, weights: Tensor) -> Tensor:
    """Points [T,N,...] minus their weighted mean over N; weights [T,N] or with trailing ones."""
    weights = weights[..., None]
    total = weights.sum(1, keepdim=True).clamp_min(1e-9)
    return points - (points * weights).sum(1, keepdim=True) / total
