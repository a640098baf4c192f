"""The steps that photos and videos share: observations, fit, masks, refit on the outlines, quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..hand.joints import KEYPOINT_PARENTS
from ..hand.mano import hand_forward
from ..hand.model import HandModel
from ..hand.rotations import axis_angle_to_matrix
from ..progress import Progress, silent
from .capture_file import Quality
from .energy import LAST_JOINTS, Energy, Observations, Outline, Weights
from .fit import clamp_to_limits, fit_frames_alone, fit_frames_together, pose_held
from .importers import GivenPose
from .kinematics import HandState, angles_from_hand_pose, mano_parameters, state_from_mano
from .landmarks import HandLandmarks
from .mask import WristCut, wrist_cut, wrist_ring
from .silhouette import Window, cover, cut, front_facing, iou, match_outlines, mesh_edges, window_around
from .start import placed, rest_keypoints, start_from_metric, starts_from_pixels

OUTLINE_WINDOW_PX = 256
OUTLINE_POINTS = 160
MIDDLE_KNUCKLE = 4
METRIC_DISAGREEMENT_M = 0.006
"""Disagreement of the detector's 3D and 2D keypoints at which the 3D ones lose half their say."""


@dataclass(frozen=True)
class Fitted:
    """A fitted sequence: the state and the meshes it gives, in NumPy."""

    state: HandState
    parameters: dict[str, np.ndarray]
    """betas [B], global_orient [T,3], hand_pose [T,45], transl [T,3]."""
    vertices: np.ndarray
    """[T,V,3] metres, camera axes."""
    keypoints: np.ndarray
    """[T,21,3]."""
    pixels: np.ndarray
    """[T,V,2] projected vertices."""


class FitSession:
    """Holds what stays the same while one sequence of T frames is fitted: the model, the mesh tables, the energy."""

    def __init__(self, model: HandModel, weights: Weights | None = None):
        self.model = model.to(dtype=torch.float64)
        self.energy = Energy(self.model, weights or Weights())
        self.faces = model.faces.cpu().numpy()
        self.edges, self.edge_faces = mesh_edges(self.faces)
        self.ring = wrist_ring(self.faces, model.cap_faces.cpu().numpy())

    def observe(self, hands: list[HandLandmarks], intrinsics: np.ndarray, links: np.ndarray) -> Observations:
        """Landmarks of T frames as tensors; the detector's metric points are turned from its own view into the camera's."""
        keypoints = np.stack([hand.keypoints_2d for hand in hands])
        confidence = np.stack([hand.confidence for hand in hands])
        known = np.array([hand.keypoints_3d is not None for hand in hands])
        metric = np.stack([np.zeros((21, 3)) if h.keypoints_3d is None else h.keypoints_3d for h in hands])
        for index, points in enumerate(keypoints):
            if not hands[index].in_camera_axes:
                metric[index] = metric[index] @ view_rotation(points.mean(0), intrinsics).T
        trust = np.array([1.0 if hand.in_camera_axes else metric_trust(hand) for hand in hands])
        metric_scale = 1.0
        if not all(hand.in_camera_axes for hand in hands):
            metric_scale = self._metric_scale(metric[known])
        like = self.model.v_template
        return Observations(
            keypoints=torch.as_tensor(keypoints).to(like),
            confidence=torch.as_tensor(confidence).to(like),
            metric=torch.as_tensor(metric * metric_scale).to(like),
            metric_scale=metric_scale,
            metric_confidence=torch.as_tensor(confidence * known[:, None] * trust[:, None]).to(like),
            scale_px=torch.as_tensor([hand.diagonal for hand in hands]).to(like),
            intrinsics=torch.as_tensor(intrinsics).to(like),
            links=links,
            tip_fraction=torch.as_tensor([hand.tip_fraction for hand in hands]).to(like),
        )

    def _metric_scale(self, metric: np.ndarray) -> float:
        """Factor from the detector's metres [T,21,3] to those of an average hand.

        No uncalibrated picture shows a hand's size: the detector's metres vary by a tenth with the pose, while the spread
        of adults' hands is about half of that.
        """
        if not len(metric):
            return 1.0
        rest = rest_keypoints(self.energy.evaluator, torch.zeros(10).to(self.model.v_template), 1)[0].numpy()
        own = sum(np.linalg.norm(rest[k] - rest[p]) for k, p in enumerate(KEYPOINT_PARENTS) if p >= 0)
        lengths = sum(
            np.linalg.norm(metric[:, k] - metric[:, p], axis=-1) for k, p in enumerate(KEYPOINT_PARENTS) if p >= 0
        )
        return float(own / np.maximum(np.median(lengths), 1e-6))

    def fit_keypoints(
        self, seen: Observations, given: GivenPose | None = None, progress: Progress = silent
    ) -> HandState:
        """Closed-form start, each frame alone, then all together."""
        betas = torch.zeros(10).to(self.model.v_template)
        if given is not None:
            return self._fit_given(seen, given, betas)
        if bool((seen.metric_confidence.sum(1) > 0).all()):
            candidates = [start_from_metric(self.model, self.energy.evaluator, seen, betas)]
        else:
            candidates = starts_from_pixels(self.model, self.energy.evaluator, seen, betas)
        best = self._best_alone(candidates, seen)
        progress(0.8, "fitting all frames together")
        return clamp_to_limits(self.energy, fit_frames_together(self.energy, best, seen))

    def _best_alone(self, candidates: list[HandState], seen: Observations) -> HandState:
        """Fit each frame by itself from every start, all at once, and keep the best of each frame."""
        count, frames = len(candidates), len(seen.keypoints)
        stacked = HandState(
            torch.cat([state.rotation for state in candidates]),
            torch.cat([state.angles for state in candidates]),
            torch.cat([state.position for state in candidates]),
            candidates[0].betas,
        )
        fitted, cost = fit_frames_alone(self.energy, stacked, seen.repeated(count))
        best = cost.reshape(count, frames).argmin(0) * frames + torch.arange(frames)
        return HandState(fitted.rotation[best], fitted.angles[best], fitted.position[best], fitted.betas)

    def _fit_given(self, seen: Observations, given: GivenPose, betas: torch.Tensor) -> HandState:
        if given.transl is not None:
            return self.given_state(given)
        like = self.model.v_template
        angles = angles_from_hand_pose(self.model, torch.as_tensor(given.hand_pose).to(like))
        if given.betas is not None:
            betas = torch.as_tensor(given.betas).to(like)
        if given.global_orient is not None:
            rotation = axis_angle_to_matrix(torch.as_tensor(given.global_orient).to(like))
        elif bool((seen.metric_confidence.sum(1) > 0).all()):
            rotation = start_from_metric(self.model, self.energy.evaluator, seen, betas).rotation
        else:
            rotation = self.fit_keypoints(seen).rotation
        state = placed(self.model, self.energy.evaluator, HandState(rotation, angles, angles[:, :3], betas), seen)
        return fit_frames_together(self.energy, state, seen, free=pose_held(), free_betas=given.betas is None)

    def given_state(self, given: GivenPose) -> HandState:
        """The state of a pose that brings its own rotation and translation."""
        like = self.model.v_template
        betas = torch.zeros(10).to(like) if given.betas is None else torch.as_tensor(given.betas).to(like)
        parts = [torch.as_tensor(part).to(like) for part in (given.global_orient, given.hand_pose, given.transl)]
        return state_from_mano(self.model, betas, *parts)

    def mesh(self, state: HandState, intrinsics: np.ndarray) -> Fitted:
        """Evaluate the whole hand, a few frames at a time."""
        parameters = mano_parameters(self.model, state)
        parts = []
        for start in range(0, len(state.angles), 32):
            cut_ = slice(start, start + 32)
            out = hand_forward(
                self.model,
                parameters["betas"],
                parameters["global_orient"][cut_],
                parameters["hand_pose"][cut_],
                parameters["transl"][cut_],
            )
            parts.append((out.vertices.numpy(), out.keypoints.numpy()))
        vertices = np.concatenate([part[0] for part in parts])
        keypoints = np.concatenate([part[1] for part in parts])
        return Fitted(
            state,
            {name: value.numpy() for name, value in parameters.items()},
            vertices,
            keypoints,
            project_points(vertices, intrinsics),
        )

    def wrist(self, fitted: Fitted, frame: int, intrinsics: np.ndarray) -> WristCut:
        knuckle = fitted.keypoints[frame, MIDDLE_KNUCKLE]
        return wrist_cut(
            fitted.vertices[frame, self.ring],
            fitted.pixels[frame, self.ring],
            knuckle,
            project_points(knuckle[None], intrinsics)[0],
        )

    def outline_observations(
        self,
        seen: Observations,
        fitted: Fitted,
        masks: Sequence[np.ndarray],
        reach: float,
        intrinsics: np.ndarray,
    ) -> Observations:
        """`seen` with the pairs between each mask's outline and the fitted hand's. reach: over the hand's size."""
        count = len(masks)
        vertices = np.zeros((count, OUTLINE_POINTS), np.int64)
        points, normals = np.zeros((count, OUTLINE_POINTS, 2)), np.zeros((count, OUTLINE_POINTS, 2))
        weights = np.zeros((count, OUTLINE_POINTS))
        normals[..., 0] = 1
        for frame, mask in enumerate(masks):
            window = window_around(fitted.pixels[frame], (mask.shape[1], mask.shape[0]), 0.12, OUTLINE_WINDOW_PX)
            local = cut(mask.astype(np.uint8), window)
            size = float(seen.scale_px[frame]) * window.scale
            wrist = self.wrist(fitted, frame, intrinsics)
            pairs = match_outlines(
                local,
                window.to_window(fitted.pixels[frame]),
                self.faces,
                self.edges,
                self.edge_faces,
                reach * size,
                OUTLINE_POINTS,
                _wrist_zone(wrist, window) if wrist.visible else None,
            )
            n = len(pairs.vertices)
            vertices[frame, :n], weights[frame, :n] = pairs.vertices, pairs.weights
            points[frame, :n], normals[frame, :n] = window.to_image(pairs.points), pairs.normals
        like = self.model.v_template
        parts = (torch.as_tensor(part).to(like) for part in (points, normals, weights))
        return replace(seen, outline=Outline(torch.as_tensor(vertices), *parts))

    def refine(
        self,
        seen: Observations,
        state: HandState,
        masks: Sequence[np.ndarray],
        intrinsics: np.ndarray,
        held: bool = False,
        rounds: int = 3,
        free_betas: bool = True,
        progress: Progress = silent,
    ) -> HandState:
        """Fit again with the masks' outlines, pairing anew in each round with a shorter reach."""
        for number in range(rounds):
            progress(number / rounds, "fitting the outline")
            fitted = self.mesh(state, intrinsics)
            with_outline = self.outline_observations(seen, fitted, masks, 0.08 / (1 + number) ** 0.5, intrinsics)
            state = fit_frames_together(
                self.energy,
                state,
                with_outline,
                iterations=4,
                free=pose_held() if held else None,
                free_betas=free_betas,
            )
        return clamp_to_limits(self.energy, state)

    def quality(
        self, seen: Observations, fitted: Fitted, masks: Sequence[np.ndarray], intrinsics: np.ndarray
    ) -> list[Quality]:
        fractions = seen.tip_fraction.numpy()[:, None, None]
        keypoints = fitted.keypoints.copy()
        keypoints[:, 16:] += (1 - fractions) * (keypoints[:, LAST_JOINTS] - keypoints[:, 16:])
        pixels = project_points(keypoints, intrinsics)
        known = seen.confidence.numpy() > 0
        result = []
        for frame, mask in enumerate(masks):
            distance = np.linalg.norm(pixels[frame] - seen.keypoints[frame].numpy(), axis=-1)
            error = float(distance[known[frame]].mean())
            metric_error = None
            if bool(seen.metric_confidence[frame].sum() > 0):
                detected = seen.metric[frame].numpy() / seen.metric_scale
                off = (keypoints[frame] - keypoints[frame, 0]) - (detected - detected[0])
                metric_error = float(np.linalg.norm(off, axis=-1).mean() * 1000)
            window = window_around(fitted.pixels[frame], (mask.shape[1], mask.shape[0]), 0.35, 512)
            local = window.to_window(fitted.pixels[frame])
            drawn = cover(local, self.faces[front_facing(local, self.faces)], window.width, window.height)
            overlap = iou(drawn, cut(mask.astype(np.uint8), window))
            result.append(Quality(error, error / float(seen.scale_px[frame]), overlap, metric_error))
        return result


def metric_trust(hand: HandLandmarks) -> float:
    """How far the detector's 3D keypoints deserve belief, 0.02..1: as far as they agree with its own 2D ones.

    The disagreement is what remains, in metres, when the 3D points' x and y are scaled and moved onto the pixels.
    """
    if hand.keypoints_3d is None:
        return 0.0
    flat = hand.keypoints_3d[:, :2] - hand.keypoints_3d[:, :2].mean(0)
    pixels = hand.keypoints_2d - hand.keypoints_2d.mean(0)
    scale = (flat * pixels).sum() / max((flat * flat).sum(), 1e-12)
    if scale <= 0:
        return 0.02
    off = float(np.sqrt(((pixels / scale - flat) ** 2).sum(1).mean()))
    return float(np.clip(1 / (1 + (off / METRIC_DISAGREEMENT_M) ** 2), 0.02, 1.0))


def project_points(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """[*,3] camera axes → [*,2] px."""
    homogeneous = points @ intrinsics.T
    return homogeneous[..., :2] / np.maximum(homogeneous[..., 2:], 1e-4)


def view_rotation(pixel: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """[3,3] the shortest turn from the optical axis to the ray through a pixel.

    The detector sees the hand in a cut-out, as a camera would that looks straight at it.
    """
    ray = np.linalg.solve(intrinsics, np.array([*pixel, 1.0]))
    ray /= np.linalg.norm(ray)
    axis = np.cross([0.0, 0.0, 1.0], ray)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + ray[2])


def _wrist_zone(wrist: WristCut, window: Window) -> np.ndarray:
    """[h,w] bool: where the outline is only the cut at the wrist."""
    return wrist.beyond(window) | wrist.near(window, 0.12)
