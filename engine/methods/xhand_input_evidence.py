"""What the masks of a sequence say about its cameras and poses: each beside the posed hand's outline at every moment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from ..datasets.hand_sequence import HAND, HandFrame, load_pixels
from ..datasets.palm_pixels import picture_size
from ..datasets.rendered_masks import model_outline
from ..errors import DatasetError
from ..hand.cameras import project
from ..hand.mano import hand_forward
from ..hand.model import HandModel
from ..progress import Progress, silent
from .wrist import beyond_wrist


@dataclass(frozen=True)
class EvidenceConfig:
    """At what size masks and outlines are compared."""

    hand_px: int = 96
    """The median hand's longer side in the compared pictures; smaller hands are compared as they are."""
    moments_at_once: int = 192
    """Held in memory of one camera, and compared with one another."""
    pixels_at_once: int = 48 << 20
    """Most pixels of masks of one camera that are held; large pictures are compared in shorter runs."""


class PosedMoments(NamedTuple):
    """The hand model at T moments, in the world, metres."""

    numbers: tuple[int, ...]
    vertices: np.ndarray
    """[T,V,3]"""
    keypoints: np.ndarray
    """[T,21,3]"""


class CameraEvidence(NamedTuple):
    """One camera's T masks beside the outlines of the hand posed at its T moments, in their order."""

    camera: str
    frames: tuple[HandFrame, ...]
    overlap: np.ndarray
    """[T] intersection over union of a mask and the outline of its own moment, on the hand's side of the wrist."""
    best: np.ndarray
    """[T] the same with the outline of that moment of the same run that it fits best."""
    best_at: np.ndarray
    """[T] which one that is, an index."""
    late: np.ndarray
    """[T,2K+1] the same with the outline of the moment K, K-1, … -K places earlier; NaN where there is none."""
    offset_px: np.ndarray
    """[T,2] from the outline's centroid to the mask's, in the camera's pixels."""
    size_px: np.ndarray
    """[T] square root of the outline's area; 0 where the camera does not see the posed hand."""
    joints_inside: np.ndarray
    """[T] share of the 21 keypoints that lie on the mask or within two pixels of it."""

    @property
    def median_overlap(self) -> float:
        return float(np.median(self.overlap))

    @property
    def steady_offset(self) -> float:
        """How far the masks lie from the outlines always the same way, in hand sizes."""
        return float(np.linalg.norm(np.median(self.offset_px / np.maximum(self.size_px, 1)[:, None], axis=0)))


LATEST = 5
"""Moments by which masks of a camera may be early or late, and be found to be."""


POSED_AT_ONCE = 128


def posed_keypoints(frames: Sequence[HandFrame], model: HandModel) -> dict[int, np.ndarray]:
    """{moment: [21,3] metres, world} of all moments of the frames. model: of their side."""
    firsts = list({frame.number: frame for frame in frames}.values())
    found: dict[int, np.ndarray] = {}
    for start in range(0, len(firsts), POSED_AT_ONCE):
        posed = posed_moments(firsts[start : start + POSED_AT_ONCE], model)
        found.update(zip(posed.numbers, posed.keypoints, strict=True))
    return found


def posed_moments(frames: Sequence[HandFrame], model: HandModel) -> PosedMoments:
    """The hand at the moments of the frames, each once. model: of their side."""
    firsts = list({frame.number: frame for frame in reversed(frames)}.values())[::-1]
    names = ("betas", "global_orient", "hand_pose", "transl")
    betas, *pose = (
        torch.as_tensor(np.stack([getattr(frame, name) for frame in firsts])).to(model.v_template) for name in names
    )
    with torch.no_grad():
        hand = hand_forward(model, betas[:, : model.num_betas], *pose)
    return PosedMoments(
        tuple(frame.number for frame in firsts), hand.vertices.cpu().numpy(), hand.keypoints.cpu().numpy()
    )


def gather_evidence(
    cameras: Iterable[tuple[str, Sequence[HandFrame]]],
    model: HandModel,
    config: EvidenceConfig | None = None,
    progress: Progress = silent,
) -> tuple[list[CameraEvidence], dict[str, str]]:
    """([one a camera that has a readable mask], {label of a frame that cannot be used: why}).

    cameras: (name, its frames in order), all frames with a mask. Masks are decoded in threads and dropped after each run.
    """
    config = config or EvidenceConfig()
    cameras = list(cameras)
    found, unusable = [], {}
    total = sum(len(frames) for _, frames in cameras)
    done = 0
    for name, frames in cameras:
        runs = []
        for run in _runs(frames, config):
            progress(done / max(total, 1), f"comparing masks with the posed hand: {done} of {total}")
            evidence, problems = _compare(name, run, model, config)
            unusable.update(problems)
            runs += [] if evidence is None else [evidence]
            done += len(run)
        if runs:
            found.append(_joined(runs))
    return found, unusable


def outline_fit(frames: Sequence[HandFrame], model: HandModel, flipped: bool = False) -> float:
    """Median overlap of the frames' masks, decoded once, with the hand of a model posed by their parameters.

    flipped: of the masks seen in a mirror. Frames that cannot be read or do not show the hand count nothing.
    """
    config = EvidenceConfig()
    overlaps = []
    for frame, mask in zip(frames, _masks(frames), strict=True):
        if isinstance(mask, str):
            continue
        seen = _outline(frame, posed_moments([frame], model), 0, model, _scale([frame], model, config))
        small = _shrunk(mask[:, ::-1] if flipped else mask, seen.outline.shape)
        overlaps.append(float(_iou(small.reshape(1, -1), seen.outline.reshape(1, -1), seen.valid.reshape(1, -1))[0, 0]))
    return float(np.median(overlaps)) if overlaps else 0.0


def _runs(frames: Sequence[HandFrame], config: EvidenceConfig) -> list[Sequence[HandFrame]]:
    largest = max(frame.height * frame.width for frame in frames)
    length = max(2 * LATEST + 2, min(config.moments_at_once, config.pixels_at_once // max(largest, 1)))
    return [frames[start : start + length] for start in range(0, len(frames), length)]


class _Seen(NamedTuple):
    outline: np.ndarray
    valid: np.ndarray
    centroid: np.ndarray
    area: float


def _compare(
    camera: str, frames: Sequence[HandFrame], model: HandModel, config: EvidenceConfig
) -> tuple[CameraEvidence | None, dict[str, str]]:
    problems: dict[str, str] = {}
    usable, masks = [], []
    for frame, mask in zip(frames, _masks(frames), strict=True):
        if isinstance(mask, str):
            problems[frame.label] = mask
        else:
            usable.append(frame)
            masks.append(mask)
    if not usable:
        return None, problems
    posed = posed_moments(usable, model)
    scale = _scale(usable, model, config, posed)
    seen = [_outline(frame, posed, at, model, scale) for at, frame in enumerate(usable)]
    small = [_shrunk(mask, view.outline.shape) for mask, view in zip(masks, seen, strict=True)]
    offsets, inside = [], []
    for frame, mask, view, shrunk, points in zip(usable, masks, seen, small, posed.keypoints, strict=True):
        kept = shrunk & view.valid
        offsets.append((_centroid(kept if kept.any() else shrunk) - view.centroid) / scale)
        inside.append(_share_inside(frame, mask, points))
    overlap = _iou(*(np.stack([part.reshape(-1) for part in parts]) for parts in (
        small, [view.outline for view in seen], [view.valid for view in seen]
    )))  # fmt: skip
    count = len(usable)
    late = np.full((count, 2 * LATEST + 1), np.nan)
    for place, shift in enumerate(range(LATEST, -LATEST - 1, -1)):
        rows = np.arange(max(shift, 0), min(count, count + shift))
        late[rows, place] = overlap[rows, rows - shift]
    best_at = overlap.argmax(1)
    evidence = CameraEvidence(
        camera,
        tuple(usable),
        overlap.diagonal().copy(),
        overlap[np.arange(count), best_at],
        best_at,
        late,
        np.array(offsets),
        np.sqrt([view.area for view in seen]) / scale,
        np.array(inside),
    )
    return evidence, problems


def _masks(frames: Sequence[HandFrame]) -> Iterable[np.ndarray | str]:
    """[H,W] bool of each frame, or what is wrong with its files; decoded ahead in threads."""
    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        yield from pool.map(_mask, frames)


def _mask(frame: HandFrame) -> np.ndarray | str:
    try:
        size = picture_size(frame.image)
        if size != (frame.width, frame.height):
            raise DatasetError(
                f"{frame.image} has {size[0]}×{size[1]} pixels, but its camera {frame.width}×{frame.height}"
            )
        mask = load_pixels(frame).mask
        assert mask is not None
        if not (mask >= HAND).any():
            raise DatasetError(f"{frame.mask} shows no hand")
    except DatasetError as error:
        return str(error).split(": copy")[0]
    return mask >= HAND


def _scale(
    frames: Sequence[HandFrame], model: HandModel, config: EvidenceConfig, posed: PosedMoments | None = None
) -> float:
    """Of the compared pictures: the median hand's longer side gets `hand_px`; never above 1."""
    posed = posed or posed_moments(frames, model)
    extents = []
    for frame, points in zip(frames, posed.keypoints, strict=True):
        depth = points @ frame.world_to_camera[2, :3] + frame.world_to_camera[2, 3]
        if depth.min() > 1e-3:
            extents.append(float(np.ptp(project(points, frame.intrinsics, frame.world_to_camera), axis=0).max()))
    extent = float(np.median(extents)) if extents else 0.0
    longest = max(frames[0].height, frames[0].width)
    # a camera that sees the hand far too large or not at all is compared at the size of its picture
    return min(1.0, config.hand_px / min(max(extent, longest / 8), longest))


def _outline(frame: HandFrame, posed: PosedMoments, at: int, model: HandModel, scale: float) -> _Seen:
    height, width = max(1, round(frame.height * scale)), max(1, round(frame.width * scale))
    intrinsics = np.diag([width / frame.width, height / frame.height, 1.0]) @ frame.intrinsics
    vertices = torch.as_tensor(posed.vertices[at]).float()
    to_camera = torch.as_tensor(frame.world_to_camera).float()
    in_camera = vertices @ to_camera[:3, :3].T + to_camera[:3, 3]
    joints = torch.as_tensor(posed.keypoints[at][:16]).float() @ to_camera[:3, :3].T + to_camera[:3, 3]
    matrix = torch.as_tensor(intrinsics).float()
    outline = model_outline(in_camera, model.faces.cpu(), matrix, height, width).numpy()
    valid = ~beyond_wrist(in_camera, _lid(model), joints, matrix, height, width).numpy()
    covered = outline & valid
    centre = _centroid(covered if covered.any() else np.ones_like(covered))
    return _Seen(outline, valid, centre, float(covered.sum()))


def _lid(model: HandModel) -> Tensor:
    return torch.unique(model.faces[model.cap_faces]).cpu()


def _shrunk(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[h,w] bool: pixels of which at least half is hand."""
    small = cv2.resize(mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return small >= 0.5


def _iou(masks: np.ndarray, outlines: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """[N,T] of masks [N,P] and outlines [T,P], each judged where its own valid [T,P] says so."""
    ours, shown = masks.astype(np.float32), (outlines & valid).astype(np.float32)
    both = ours @ shown.T
    union = ours @ valid.astype(np.float32).T + shown.sum(1) - both
    return both / np.maximum(union, 1)


def _centroid(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()]) + 0.5 if len(rows) else np.array(mask.shape[::-1]) / 2


def _share_inside(frame: HandFrame, mask: np.ndarray, posed: np.ndarray) -> float:
    """Of the set's own points where it has any, else of the model's."""
    points = frame.keypoints_3d if frame.keypoints_3d is not None else posed
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return float("nan")
    depth = points @ frame.world_to_camera[2, :3] + frame.world_to_camera[2, 3]
    points = points[depth > 1e-3]
    if not len(points):
        return 0.0
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    place = np.floor(project(points, frame.intrinsics, frame.world_to_camera)).clip(-1, 1 << 20).astype(int)
    inside = ((place >= 0) & (place < (frame.width, frame.height))).all(1)
    hits = near[place[inside, 1], place[inside, 0]] > 0
    return float(hits.sum() / len(depth))


def _joined(runs: list[CameraEvidence]) -> CameraEvidence:
    if len(runs) == 1:
        return runs[0]
    starts = np.cumsum([0, *(len(run.frames) for run in runs)])
    shifted = [run._replace(best_at=run.best_at + start) for run, start in zip(runs, starts, strict=False)]
    arrays = {
        name: np.concatenate([getattr(run, name) for run in shifted])
        for name in CameraEvidence._fields
        if name not in ("camera", "frames")
    }
    return CameraEvidence(runs[0].camera, tuple(frame for run in runs for frame in run.frames), **arrays)
