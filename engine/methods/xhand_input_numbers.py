"""Whether a sequence's numbers can be true: poses, shapes, cameras, which pictures there are. No pixel is read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch

from ..datasets.hand_sequence import HandFrame, HandSequence
from ..datasets.set_files import pinhole, plural, rigid, some
from ..errors import DatasetError
from ..hand.model import HandModel

LARGEST_ANGLE = 2 * math.pi + 1e-3
"""Radians of an axis-angle vector: a rotation needs at most half a turn, and some tools count up to a whole one."""
LARGEST_BETA = 12.0
FAR_M = 20.0
"""Between hand and camera; beyond, somebody's millimetres are taken for metres."""
NEAREST_M = 0.04
"""Between a camera and a joint of the hand."""
SAME_POSE = 1e-4
SHAPES_APART_M, OTHER_PERSON_M = 0.001, 0.01
"""Shifts of a joint from which on shapes that differ between moments are worth a word, and are not of one hand."""
JOINTS_APART_M = 0.02
"""Mean distance of annotated and posed joints from which on they are of different releases."""


def check_poses(sequence: HandSequence) -> None:
    """Raises DatasetError naming the first frame whose parameters no hand can have, or whose moment has two poses."""
    first: dict[int, HandFrame] = {}
    seen: dict[tuple[str, int], HandFrame] = {}
    for frame in sequence.frames:
        where = f"{sequence.name}, {frame.label}"
        for name, width in (("betas", 10), ("global_orient", 3), ("hand_pose", 45), ("transl", 3)):
            values = np.asarray(getattr(frame, name))
            if values.shape != (width,) or not np.isfinite(values).all():
                what = f"shape {values.shape}" if values.shape != (width,) else "NaN or infinite numbers"
                raise DatasetError(f"{where}: {name} has {what}: fit this frame again, or leave it out")
        angles = np.linalg.norm(np.concatenate([frame.global_orient, frame.hand_pose]).reshape(16, 3), axis=1)
        if angles.max() > LARGEST_ANGLE:
            raise DatasetError(
                f"{where}: joint {angles.argmax()} is turned by {angles.max() / (2 * math.pi):.1f} whole turns: its pose is in"
                " degrees, or wrong; convert it to radians, or leave the frame out"
            )
        if np.abs(frame.betas).max() > LARGEST_BETA:
            raise DatasetError(
                f"{where}: a shape number (betas) is {np.abs(frame.betas).max():.3g}, beyond any hand's (±{LARGEST_BETA:.0f}):"
                " fit the shape again"
            )
        other = first.setdefault(frame.number, frame)
        if _pose_distance(frame, other) > SAME_POSE:
            raise DatasetError(
                f"{where}: its pose is another one than {other.label}'s of the same moment {frame.number}: one moment has one"
                " pose; use the parameters in the world's axes, not each camera's"
            )
        twin = seen.setdefault((frame.camera, frame.number), frame)
        if twin is not frame:
            raise DatasetError(f"{where}: {twin.label} is of the same camera and moment: remove one")


def _pose_distance(one: HandFrame, other: HandFrame) -> float:
    if one is other:
        return 0.0
    names = ("betas", "global_orient", "hand_pose", "transl")
    return max(float(np.abs(np.asarray(getattr(one, name)) - getattr(other, name)).max()) for name in names)


def check_sizes(sequence: HandSequence) -> None:
    """Raises DatasetError where pictures of one camera differ in size; those of different cameras may."""
    for camera, frames in by_camera(sequence.frames).items():
        sizes = Counter((frame.width, frame.height) for frame in frames)
        if len(sizes) > 1:
            listed = ", ".join(f"{count} of {width}×{height}" for (width, height), count in sizes.most_common(3))
            raise DatasetError(
                f"{sequence.name}: pictures of camera {camera} differ in size ({listed}): export them all alike"
            )


def by_camera(frames: Sequence[HandFrame]) -> dict[str, list[HandFrame]]:
    """Frames of each camera, in order."""
    grouped: dict[str, list[HandFrame]] = {}
    for frame in frames:
        grouped.setdefault(frame.camera, []).append(frame)
    return grouped


def impossible_cameras(
    cameras: Mapping[str, Sequence[HandFrame]], keypoints: Mapping[int, np.ndarray]
) -> dict[str, str]:
    """{camera: why it cannot be one, or not one that sees this hand}. keypoints: {moment: [21,3]} of the posed hand."""
    found = {}
    for name, frames in cameras.items():
        calibrations: dict[tuple[bytes, bytes], list[HandFrame]] = {}
        for frame in frames:
            key = (np.asarray(frame.intrinsics).tobytes(), np.asarray(frame.world_to_camera).tobytes())
            calibrations.setdefault(key, []).append(frame)
        try:
            for alike in calibrations.values():
                _check_camera(alike[0], np.stack([keypoints[frame.number] for frame in alike]))
        except DatasetError as error:
            found[name] = str(error)
    return found


def _check_camera(frame: HandFrame, points: np.ndarray) -> None:
    """A frame's camera against the hand's keypoints [T,21,3] at the moments that it saw."""
    intrinsics, matrix = np.asarray(frame.intrinsics), np.asarray(frame.world_to_camera)
    if intrinsics.shape != (3, 3) or matrix.shape != (4, 4):
        raise DatasetError("its matrices have other shapes than 3×3 and 4×4")
    if not (np.isfinite(intrinsics).all() and np.isfinite(matrix).all()):
        raise DatasetError("its matrices hold NaN or infinite numbers")
    pinhole(intrinsics, (frame.width, frame.height), "its picture size")
    rotation = matrix[:3, :3]
    if np.linalg.det(rotation) < 0:
        raise DatasetError("its extrinsics mirror the world (determinant −1): one axis has the wrong sign")
    try:
        rigid(rotation, matrix[:3, 3], "its rotation")
    except DatasetError as error:
        raise DatasetError("its rotation is none (its rows are not unit and perpendicular)") from error
    distance = float(np.linalg.norm(points + rotation.T @ matrix[:3, 3], axis=-1).min())
    if distance < NEAREST_M:
        raise DatasetError(f"it lies inside the hand or on it ({1000 * distance:.0f} mm from a joint)")
    if distance > FAR_M:
        raise DatasetError(f"it is {distance:.0f} m from the hand: millimetres were taken for metres")
    if (points @ matrix[2, :3] + matrix[2, 3]).min() <= 0:
        raise DatasetError("the hand is behind it: its extrinsics are inverted (camera to world), or another set's")


def shape_shifts(frames: Sequence[HandFrame], model: HandModel) -> np.ndarray:
    """[N] metres by which a frame's shape puts some rest joint elsewhere than the frames' mean shape does."""
    betas = np.stack([np.asarray(frame.betas, dtype=float) for frame in frames])[:, : model.num_betas]
    directions = model.shapedirs[..., : betas.shape[1]].double()
    basis = torch.einsum("jv,vcb->jcb", model.joint_regressor.double(), directions).cpu().numpy()
    return np.linalg.norm(np.einsum("jcb,nb->njc", basis, betas - betas.mean(0)), axis=2).max(1)


def joints_apart(frames: Sequence[HandFrame], keypoints: Mapping[int, np.ndarray]) -> float | None:
    """Mean distance in metres of annotated from posed joints; None without any."""
    errors = [
        np.linalg.norm(frame.keypoints_3d - keypoints[frame.number], axis=1)
        for frame in frames
        if frame.keypoints_3d is not None
    ]
    flat = np.concatenate(errors) if errors else np.zeros(0)
    return float(flat[np.isfinite(flat)].mean()) if np.isfinite(flat).any() else None


def missing_parts(frames: Sequence[HandFrame]) -> list[str]:
    """Lines that list the moments, and each camera's pictures, that a regular recording would have."""
    numbers = sorted({frame.number for frame in frames})
    lines = []
    steps = np.diff(numbers)
    if len(steps):
        values, counts = np.unique(steps, return_counts=True)
        step = int(values[counts.argmax()])
        # a recording without a regular step has no gaps to speak of
        regular = counts.max() >= 0.5 * len(steps)
        gone = [n for a, b in pairwise(numbers) for n in range(a + step, b, step)] if regular else []
        if gone:
            lines.append(f"{plural(len(gone), 'moment')} missing ({some(gone)}): used without")
    for camera, own in by_camera(frames).items():
        present = {frame.number for frame in own}
        absent = [number for number in numbers if number not in present]
        if absent:
            lines.append(
                f"camera {camera} lacks {len(absent)} of {len(numbers)} moments ({some(absent)}): used without"
            )
    return lines
