"""Other tools' results as parts of a capture: keypoints, cameras, poses (MANO files, HaMeR and PALM's fork of it)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CaptureError, PoseFileError
from ..files import read_json
from ..hand.cameras import pinhole_matrix
from ..hand.joints import OTHER_ORDERS, to_palm
from ..hand.pose_files import PoseSequence, load_pose_file, poses_from_fields
from ..hand.safe_pickle import load_object_array, load_pickle
from ..outside import numbers
from .landmarks import MEDIAPIPE_TIP_FRACTION, HandLandmarks, hand_index

log = logging.getLogger(__name__)

HAMER_FOCAL = 5000 / 256
"""HaMeR's fixed focal length over the longer side of the picture."""


@dataclass(frozen=True)
class GivenPose:
    """Parts of the answer that the user supplies; None leaves a part to the fit."""

    hand_pose: np.ndarray
    """[T,45] axis-angle, absolute."""
    global_orient: np.ndarray | None = None
    """[T,3]."""
    transl: np.ndarray | None = None
    """[T,3] metres."""
    betas: np.ndarray | None = None
    """[10] of the model in use."""
    side: str | None = None
    intrinsics: np.ndarray | None = None
    """[3,3] px, where the file brings its own camera."""


@dataclass(frozen=True)
class GivenVertices:
    """A posed hand as PALM's fork of HaMeR writes it."""

    vertices: np.ndarray
    """[V,3] metres, camera axes."""
    intrinsics: np.ndarray
    """[3,3] px."""
    side: str = "right"
    """The file has no field for it: its layout is that of right hands."""


def read_keypoints(path: Path | str, which: str | None, size: tuple[int, int]) -> HandLandmarks:
    """21 keypoints from JSON: a list of 21 [x, y] or [x, y, confidence], or {"keypoints", "order", "handedness"}.

    order: the project's ("palm", the default) or another tool's name (mediapipe, openpose, interhand, ...).
    which: "left"/"right" where the file does not say. size: (width, height) of the picture. Raises CaptureError.
    """
    path = Path(path)
    raw = _json_any(path, "keypoints")
    order, side = "palm", None
    if isinstance(raw, dict):
        order, side = str(raw.get("order", "palm")), raw.get("handedness")
        raw = raw.get("keypoints", raw.get("keypoints_2d"))
    if order not in OTHER_ORDERS:
        raise CaptureError(f"keypoints {path}: order {order!r} is unknown, use one of {', '.join(OTHER_ORDERS)}")
    points = numbers(raw, f"keypoints {path}", CaptureError)
    if points.shape not in ((21, 2), (21, 3)):
        raise CaptureError(f"keypoints {path} have shape {points.shape}: give 21 × [x, y] or [x, y, confidence]")
    if side not in ("right", "left"):
        side = which if which in ("right", "left") else None
    if side is None:
        raise CaptureError(
            f'keypoints {path} do not say which hand: add "handedness": "right" or "left", or --hand right|left'
        )
    confidence = points[:, 2] if points.shape[1] == 3 else np.ones(21)
    if confidence.min() < 0 or confidence.max() > 1:
        log.info("%s: the third column is no confidence (not in 0..1) and is ignored", path.name)
        confidence = np.ones(21)
    if np.count_nonzero(confidence > 0.05) < 6:
        raise CaptureError(f"keypoints {path}: fewer than 6 have a confidence above 0.05")
    inside = ((points[:, :2] > -np.array(size)) & (points[:, :2] < 2 * np.array(size))).all(1)
    extent = float(np.ptp(points[confidence > 0.05, :2], axis=0).max())
    if not inside[confidence > 0.05].all() or extent < 8:
        raise CaptureError(f"keypoints {path} do not fit a {size[0]}×{size[1]} picture: give them in its pixels")
    fraction = MEDIAPIPE_TIP_FRACTION if order == "mediapipe" else 1.0
    flat = to_palm(points[:, :2], order)
    return HandLandmarks(side, 1.0, flat, to_palm(confidence[:, None], order)[:, 0], None, fraction)


def read_camera(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """Intrinsics [3,3] from JSON: {"K": 3×3}, {"fx", "fy", "cx", "cy"} or {"focal_px"}; px, first centre at 0.5.

    Raises CaptureError naming the field.
    """
    path = Path(path)
    raw = read_json(path, "camera file")
    if "K" in raw:
        matrix = numbers(raw["K"], f"camera {path}: K", CaptureError)
    elif "fx" in raw:
        defaults = {"fx": None, "fy": raw["fx"], "cx": size[0] / 2, "cy": size[1] / 2}
        fx, fy, cx, cy = (
            numbers(raw.get(name, default), f"camera {path}: {name}", CaptureError, ())
            for name, default in defaults.items()
        )
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    elif "focal_px" in raw:
        matrix = pinhole_matrix(float(numbers(raw["focal_px"], f"camera {path}: focal_px", CaptureError, ())), *size)
    else:
        raise CaptureError(f"camera {path} has neither K, fx nor focal_px: add one of them, in pixels")
    return checked_intrinsics(matrix, f"camera {path}", size)


def checked_intrinsics(matrix: np.ndarray, where: str, size: tuple[int, int]) -> np.ndarray:
    """The matrix if it is a pinhole camera's for a picture of this size. Raises CaptureError."""
    if matrix.shape != (3, 3) or not np.allclose(matrix[2], (0, 0, 1)) or abs(matrix[1, 0]) > 1e-6:
        raise CaptureError(f"{where}: K is not a 3×3 pinhole matrix with last row 0 0 1")
    if abs(matrix[0, 1]) > 1e-6:
        raise CaptureError(f"{where}: K has skew, which Blender's camera cannot show: give a camera with K[0][1] = 0")
    longest = max(size)
    focal_fits = all(0.1 * longest <= matrix[k, k] <= 200 * longest for k in (0, 1))
    centre_fits = all(-size[k] <= matrix[k, 2] <= 2 * size[k] for k in (0, 1))
    if not focal_fits or not centre_fits:
        raise CaptureError(f"{where}: K does not fit a {size[0]}×{size[1]} picture; is it of another resolution?")
    return matrix


def read_pose(
    path: Path | str, size: tuple[int, int], which: str | None, hands_mean: Callable[[str], np.ndarray]
) -> GivenPose | GivenVertices:
    """A pose from a MANO file or HaMeR's output, or the vertices that PALM's fork of HaMeR writes ({"v3d_cam", "K"}).

    which: the side, or the index of `--hand`, to choose among several hands of a HaMeR file.
    hands_mean: side → [45], for files whose pose is relative to the mean pose of the side that they are of.
    Raises PoseFileError or CaptureError.
    """
    path = Path(path)
    raw = _unpickled(path)
    if raw is not None and "pred_mano_params" in raw:
        return _from_hamer(_one_hand(raw, which, path), str(path), size)
    meshed = None if raw is None else _vertices_of(raw, path, size)
    if meshed is not None:
        log.info("%s does not say which hand it is: v3d_cam is a right hand's by its layout", path.name)
        return meshed

    def poses_with_mean_of(side: str) -> PoseSequence:
        mean = hands_mean(side)
        return load_pose_file(path, mean) if raw is None else poses_from_fields(raw, str(path), mean)

    assumed = which if which in ("right", "left") else "right"
    poses = poses_with_mean_of(assumed)
    if poses.side not in (None, assumed):
        poses = poses_with_mean_of(poses.side)
    return _from_sequence(poses)


def _from_sequence(poses: PoseSequence) -> GivenPose:
    # readers fill what a file lacks with zeros; no photographed hand stands at the camera's own place
    placed = bool(np.any(poses.transl)) and bool((poses.transl[:, 2] > 0.05).all())
    turned = bool(np.any(poses.global_orient))
    return GivenPose(
        poses.hand_pose,
        poses.global_orient if turned else None,
        poses.transl if placed and turned else None,
        poses.betas,
        poses.side,
    )


def _unpickled(path: Path) -> Mapping[str, Any] | None:
    """The dictionary in a `.npy` or pickle (the first of HaMeR's list); None for files of other kinds."""
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in (".pkl", ".pickle", ".npy"):
        return None
    value = load_object_array(path) if suffix == ".npy" else load_pickle(path)
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    if not isinstance(value, Mapping):
        raise PoseFileError(f"pose file {path} holds {type(value).__name__}, not named MANO parameters")
    return value


def _one_hand(raw: Mapping[str, Any], which: str | None, path: Path) -> dict[str, Any]:
    """One hand of a batch, chosen by side or index; HaMeR keeps a `right` flag per hand."""
    flags = numbers(raw.get("right", raw.get("is_right", 1)), f"pose file {path}: right", PoseFileError).ravel()
    if not flags.size:
        raise PoseFileError(f"pose file {path} holds no hand: run HaMeR on a picture with one")
    sides = ["right" if flag > 0.5 else "left" for flag in flags]
    index, wanted = 0, hand_index(which)
    if which in ("right", "left"):
        if which not in sides:
            raise CaptureError(f"{path} has no {which} hand (found: {', '.join(sides)})")
        index = sides.index(which)
    elif wanted is not None and len(sides) > 1:
        if wanted >= len(sides):
            raise CaptureError(f"--hand {which} is out of range: {path} has {len(sides)} hands, counted from 0")
        index = wanted
    count = len(sides)

    def pick(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: pick(part) for key, part in value.items()}
        batched = isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)
        return value[index : index + 1] if batched and len(value) == count else value

    return {**pick(dict(raw)), "right": np.array([1.0 if sides[index] == "right" else 0.0])}


def _from_hamer(raw: dict[str, Any], source: str, size: tuple[int, int]) -> GivenPose:
    poses = poses_from_fields({k: v for k, v in raw.items() if k not in ("pred_vertices", "pred_keypoints_3d")}, source)
    mirrored = poses.side == "left"
    # HaMeR sees every hand as a right one: a left hand's numbers are those of its mirror image
    flip = np.array([1.0, -1.0, -1.0]) if mirrored else np.ones(3)
    full = raw.get("pred_cam_t_full", raw.get("cam_t_full"))
    transl = None if full is None else numbers(full, f"pose file {source}: pred_cam_t_full", PoseFileError).ravel()
    if transl is not None and (not transl.size or transl.size % 3):
        raise PoseFileError(f"pose file {source}: pred_cam_t_full has {transl.size} numbers, not 3 a hand")
    focal = numbers(
        raw.get("scaled_focal_length", HAMER_FOCAL * max(size)),
        f"pose file {source}: scaled_focal_length",
        PoseFileError,
    )
    focal_px = float(focal.flat[0]) if focal.size else 0.0
    if focal_px <= 0:
        raise PoseFileError(f"pose file {source}: scaled_focal_length is {focal_px}; give a focal length in pixels")
    intrinsics = checked_intrinsics(pinhole_matrix(focal_px, *size), source, size) if transl is not None else None
    return GivenPose(
        (poses.hand_pose.reshape(-1, 15, 3) * flip).reshape(-1, 45),
        poses.global_orient * flip,
        None if transl is None else transl.reshape(-1, 3),
        poses.betas,
        poses.side,
        intrinsics,
    )


def _vertices_of(raw: Mapping[str, Any], path: Path, size: tuple[int, int]) -> GivenVertices | None:
    """The first hand of {"v3d_cam", "K"}, or of the first picture of {picture: {"v3d_cam", "K"}}; None without those.

    Raises CaptureError when they are unusable.
    """
    by_picture = raw and all(isinstance(part, Mapping) for part in raw.values())
    value = next(iter(raw.values())) if by_picture else raw
    if "v3d_cam" not in value:
        return None
    vertices = numbers(value["v3d_cam"], f"{path}: v3d_cam", CaptureError)
    if vertices.ndim not in (2, 3) or vertices.shape[-1] != 3 or not vertices.size:
        raise CaptureError(f"{path}: v3d_cam has shape {vertices.shape}, not (hands, vertices, 3)")
    vertices = vertices.reshape(-1, *vertices.shape[-2:])[0]
    if (vertices[:, 2] < 0.01).any():
        raise CaptureError(f"{path}: v3d_cam lies behind the camera; it must be in camera axes, metres")
    matrix = numbers(value.get("K"), f"{path}: K", CaptureError)
    return GivenVertices(vertices, checked_intrinsics(matrix, str(path), size))


def landmarks_from_vertices(
    vertices: np.ndarray,
    intrinsics: np.ndarray,
    joint_regressor: np.ndarray,
    tip_vertices: np.ndarray,
    side: str,
) -> HandLandmarks:
    """Keypoints of posed vertices [V,3] of a hand model with the same vertices (MANO's 778 for HaMeR).

    Raises CaptureError when the model's vertices are others.
    """
    if len(vertices) != joint_regressor.shape[1]:
        raise CaptureError(
            f"the pose file has {len(vertices)} vertices but the hand model {joint_regressor.shape[1]}: "
            "give the same model with --hand-model, e.g. MANO_RIGHT.pkl"
        )
    points = np.concatenate([joint_regressor @ vertices, vertices[tip_vertices]])
    pixels = points @ intrinsics.T
    return HandLandmarks(
        side, 1.0, pixels[:, :2] / pixels[:, 2:], np.ones(21), points - points.mean(0), in_camera_axes=True
    )


def _json_any(path: Path, what: str) -> Any:
    """A JSON file's value, of any type."""
    import json

    try:
        if path.stat().st_size > 64 << 20:
            raise CaptureError(f"{path} is larger than 64 MB: not a {what} file")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaptureError(f"cannot read {what} {path} ({error.strerror}): check the path") from error
    except (ValueError, RecursionError) as error:
        raise CaptureError(f"{what} {path} is not valid JSON ({error})") from error
