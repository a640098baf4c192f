"""Keypoints seen by several calibrated cameras → points in space, whatever a detector gets wrong in some of them.

As InterHand2.6M and PALM (section 3.2) do it: hypotheses from pairs of cameras by linear least squares (the point nearest
to both rays), the one most cameras agree with (RANSAC with MSAC's score, Torr and Zisserman 2000), then the robust least
squares of the reprojection in those. NumPy, all points at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..datasets.palm_files import Camera

POINTS_AT_ONCE = 512
REFINEMENTS = 12
KNOWN, TOO_FEW_VIEWS, PARALLEL_RAYS, NO_AGREEMENT = "known", "fewer than two views", "parallel rays", "no agreement"


@dataclass(frozen=True)
class TriangulationConfig:
    """What counts as agreement."""

    inlier_px: float | None = None
    """Reprojection error up to which a camera agrees; None: `inlier_share` of the picture's longer side."""
    inlier_share: float = 0.006
    least_confidence: float = 0.1
    """Detections below are missing ones."""
    least_angle_deg: float = 2.0
    """Between the rays of some two agreeing cameras; below, depth is a guess and the point is refused."""
    least_agreeing_share: float = 0.4
    """Of the cameras that see a point; with fewer, two errors that happen to meet would make one."""
    pairs_at_most: int = 120
    """Of the pairs of cameras; beyond, so many are drawn at random."""
    seed: int = 0


class Triangulated(NamedTuple):
    """P points. NaN where a point is not known."""

    points: np.ndarray
    """[P,3] metres, world."""
    inliers: np.ndarray
    """[P,M] bool: the cameras that agree."""
    errors_px: np.ndarray
    """[P,M] reprojection error in every camera that detected the point (infinite behind it), NaN elsewhere."""
    covariance: np.ndarray
    """[P,3,3] square metres, of the agreeing cameras at one pixel of noise."""
    status: np.ndarray
    """[P] str: "known", or why not."""

    @property
    def known(self) -> np.ndarray:
        """[P] bool."""
        return np.isfinite(self.points).all(-1)

    @property
    def error_px(self) -> np.ndarray:
        """[P] root mean square error over the agreeing cameras, NaN where unknown."""
        squares = np.where(self.inliers, np.nan_to_num(self.errors_px) ** 2, 0.0).sum(1)
        return np.sqrt(squares / np.where(self.known, self.inliers.sum(1), np.nan))


class CameraAgreement(NamedTuple):
    """How one camera's detections fit the points that the others agree on."""

    camera: str
    detections: int
    """Of points that are known."""
    agreeing_share: float | None
    """None where there are none."""
    median_px: float | None
    """None where there are none, or where half of the points lie behind the camera."""


def triangulate(
    pixels: np.ndarray,
    confidence: np.ndarray,
    cameras: Mapping[str, Camera],
    config: TriangulationConfig | None = None,
) -> Triangulated:
    """Points from their detections.

    pixels [P,M,2] px, NaN where missing; confidence [P,M] in [0,1]; M cameras in the mapping's order. A point that fewer than
    two cameras see, whose rays are parallel, or on which no two cameras agree, is NaN and `status` says so.
    """
    config = config or TriangulationConfig()
    views = _Views(cameras, config)
    pixels, confidence = np.asarray(pixels, float), np.asarray(confidence, float)
    if pixels.shape != (len(pixels), len(cameras), 2) or confidence.shape != pixels.shape[:2]:
        raise ValueError(f"pixels {pixels.shape} and confidence {confidence.shape} do not fit {len(cameras)} cameras")
    parts = [
        _triangulate(pixels[start : start + POINTS_AT_ONCE], confidence[start : start + POINTS_AT_ONCE], views, config)
        for start in range(0, len(pixels), POINTS_AT_ONCE)
    ]
    if not parts:
        m = len(cameras)
        return Triangulated(
            np.zeros((0, 3)), np.zeros((0, m), bool), np.zeros((0, m)), np.zeros((0, 3, 3)), np.zeros(0, "U24")
        )
    return Triangulated(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def camera_agreement(found: Triangulated, cameras: Mapping[str, Camera]) -> list[CameraAgreement]:
    """Of each camera, in the mapping's order."""
    result = []
    for index, name in enumerate(cameras):
        errors = found.errors_px[found.known, index]
        seen = ~np.isnan(errors)
        if not seen.any():
            result.append(CameraAgreement(name, 0, None, None))
            continue
        share, median = found.inliers[found.known, index][seen].mean(), np.median(errors[seen])
        result.append(
            CameraAgreement(name, int(seen.sum()), float(share), float(median) if np.isfinite(median) else None)
        )
    return result


class _Views:
    """M cameras as arrays."""

    def __init__(self, cameras: Mapping[str, Camera], config: TriangulationConfig):
        self.intrinsics = np.stack([camera.intrinsics for camera in cameras.values()])
        self.world_to_camera = np.stack([camera.world_to_camera[:3] for camera in cameras.values()])
        self.inverse_intrinsics = np.linalg.inv(self.intrinsics)
        rotation, shift = self.world_to_camera[:, :, :3], self.world_to_camera[:, :, 3]
        self.rotation = rotation
        self.centres = -np.einsum("mcd,mc->md", rotation, shift)
        sides = np.array([max(camera.height, camera.width) for camera in cameras.values()], float)
        self.inlier_px = (
            sides * config.inlier_share if config.inlier_px is None else np.full_like(sides, config.inlier_px)
        )
        self.pairs = np.array(list(combinations(range(len(cameras)), 2)), int).reshape(-1, 2)
        if len(self.pairs) > config.pairs_at_most:
            drawn = np.random.default_rng(config.seed).choice(len(self.pairs), config.pairs_at_most, replace=False)
            self.pairs = self.pairs[np.sort(drawn)]

    def in_cameras(self, points: np.ndarray) -> np.ndarray:
        """[...,3] world → [...,M,3] camera axes."""
        return np.einsum("mcd,...d->...mc", self.rotation, points) + self.world_to_camera[:, :, 3]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[...,3] → px [...,M,2] and depth [...,M] metres."""
        seen = np.einsum("mcd,...md->...mc", self.intrinsics, self.in_cameras(points))
        depth = seen[..., 2]
        return seen[..., :2] / np.where(np.abs(depth) < 1e-9, 1e-9, depth)[..., None], depth

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """[P,M,2] px → [P,M,3] unit, world."""
        image = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1)
        rays = np.einsum("mcd,mce,pme->pmd", self.rotation, self.inverse_intrinsics, image)
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def errors(self, points: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """[P,M] px; infinite behind a camera. points [P,3], pixels [P,M,2]."""
        projected, depth = self.project(points)
        return np.where(depth > 1e-6, np.linalg.norm(projected - pixels, axis=-1), np.inf)


def _triangulate(
    pixels: np.ndarray, confidence: np.ndarray, views: _Views, config: TriangulationConfig
) -> Triangulated:
    usable = np.isfinite(pixels).all(-1) & np.isfinite(confidence) & (confidence >= config.least_confidence)
    filled = np.where(usable[..., None], pixels, 0.0)
    say = np.where(usable, np.clip(np.nan_to_num(confidence), 0.0, 1.0), 0.0)
    rays = views.rays(filled)
    least = np.cos(np.radians(config.least_angle_deg))
    status = np.full(len(pixels), KNOWN, dtype="U24")
    points, score = _best_hypotheses(filled, usable, say, rays, least, views)
    errors = views.errors(points, filled)
    inliers = usable & (errors < views.inlier_px)
    for _ in range(2):  # what the refined point agrees with may differ from what its start did
        points, covariance = _refined(points, filled, np.where(inliers, say, 0.0), views)
        errors = views.errors(points, filled)
        inliers = usable & (errors < views.inlier_px)
    agreeing = np.maximum(2, np.ceil(config.least_agreeing_share * usable.sum(1)))
    status[(inliers.sum(1) < agreeing) | ~np.isfinite(score)] = NO_AGREEMENT
    status[_all_parallel(rays, inliers, least) & (status == KNOWN)] = PARALLEL_RAYS
    status[_all_parallel(rays, usable, least)] = PARALLEL_RAYS
    status[usable.sum(1) < 2] = TOO_FEW_VIEWS
    known = status == KNOWN
    return Triangulated(
        np.where(known[:, None], points, np.nan),
        inliers & known[:, None],
        np.where(usable & known[:, None], errors, np.nan),
        np.where(known[:, None, None], covariance, np.nan),
        status,
    )


def _best_hypotheses(
    pixels: np.ndarray, usable: np.ndarray, say: np.ndarray, rays: np.ndarray, least: float, views: _Views
) -> tuple[np.ndarray, np.ndarray]:
    """Points [P,3] and their scores [P] (lower is better; infinite where no pair gives one)."""
    best, score = np.zeros((len(pixels), 3)), np.full(len(pixels), np.inf)
    for one, other in views.pairs:
        opens = np.abs((rays[:, one] * rays[:, other]).sum(-1)) < least
        tried = np.flatnonzero(usable[:, one] & usable[:, other] & opens)
        if not len(tried):
            continue
        points = _linear(rays[tried][:, [one, other]], views.centres[[one, other]])
        ratio = np.minimum((views.errors(points, pixels[tried]) / views.inlier_px) ** 2, 1.0)
        agrees = ((ratio < 1) & usable[tried]).sum(1) >= 2
        cost = np.where(agrees, ((ratio - 1) * say[tried]).sum(1), np.inf)
        better = cost < score[tried]
        best[tried[better]], score[tried[better]] = points[better], cost[better]
    return best, score


def _linear(rays: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """[P,3] the points closest to their rays [P,N,3] (unit) from centres [N,3]: (I - d dᵀ)(x - c) = 0 by least squares."""
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    return np.linalg.solve(across.sum(1), (across @ centres[..., None]).sum(1))[..., 0]


def _refined(
    points: np.ndarray, pixels: np.ndarray, weights: np.ndarray, views: _Views
) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Newton on Huber's cost of the reprojection (knee at a third of the inlier bound); and the covariance [P,3,3]."""
    knee = views.inlier_px / 3
    covariance = np.tile(np.eye(3), (len(points), 1, 1))
    for _ in range(REFINEMENTS):
        projected, jacobian = _projection(points, views)
        residual = projected - pixels
        length = np.linalg.norm(residual, axis=-1)
        robust = weights * np.minimum(1.0, knee / np.maximum(length, 1e-9))
        weighted = jacobian * robust[..., None, None]
        matrix = np.einsum("pmck,pmcl->pkl", weighted, jacobian)
        right = np.einsum("pmck,pmc->pk", weighted, residual)
        # a point without rays stays where it is
        scale = np.trace(matrix, axis1=1, axis2=2)[:, None, None]
        damped = matrix + np.eye(3) * np.where(scale > 0, 1e-9 * scale, 1.0)
        step = np.linalg.solve(damped, right[..., None])[..., 0]
        far = np.linalg.norm(step, axis=-1, keepdims=True)
        points = points - step * np.minimum(1.0, 0.1 / np.maximum(far, 1e-12))
        covariance = np.linalg.inv(damped)
        if float(far.max(initial=0.0)) < 1e-9:
            break
    return points, covariance


def _projection(points: np.ndarray, views: _Views) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [P,M,2] and their derivatives by the points [P,M,2,3]."""
    projected, depth = views.project(points)
    depth = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
    matrix = views.intrinsics @ views.rotation
    jacobian = (matrix[None, :, :2] - projected[..., None] * matrix[None, :, 2:3]) / depth[..., None, None]
    return projected, jacobian


def _all_parallel(rays: np.ndarray, chosen: np.ndarray, least: float) -> np.ndarray:
    """[P] bool: no two of the chosen rays [P,M] open by the least angle."""
    cosines = np.abs(np.einsum("pmc,pnc->pmn", rays, rays))
    together = chosen[:, :, None] & chosen[:, None, :]
    return ~(together & (cosines < least)).any((1, 2))
