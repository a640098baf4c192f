"""One subject's pieces of work: its keypoints in space, its shape, each scan's pose; results that are kept are used again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..datasets.palm_pixels import plain_mode, read_picture
from ..datasets.scan import near_hand
from ..datasets.scan_file import read_scan
from ..errors import DatasetError
from ..files import read_json, sha256_of, write_json
from ..hand.model import HandModel, load_hand_model, open_hand_model
from ..progress import Progress
from .accuracy import Accuracy, accuracy
from .register_scans import RegisteredScan, RegistrationConfig, ScanRegistration, SeenScan, simplest
from .subject_files import ScanSubject
from .triangulation import CameraAgreement, Triangulated, TriangulationConfig, camera_agreement, triangulate

WORK = "work"
VERSION = 1
"""Of what is computed; raised when kept results are no longer those of the code."""
LEAST_AGREEMENT, LEAST_KNOWN = 0.5, 0.3
DETECTIONS_TO_JUDGE = 42


@dataclasses.dataclass(frozen=True)
class RegisterSettings:
    """What `register` was told."""

    hand_model: Path | None = None
    """A MANO file; None is the open hand."""
    hand: str = "right"
    """Of the open hand: "right" or "left"."""
    scan_unit: str = "m"
    simple: tuple[int, ...] = ()
    """Frame indices of simple poses; empty: the straightest are chosen."""
    triangulation: TriangulationConfig = dataclasses.field(default_factory=TriangulationConfig)
    registration: RegistrationConfig = dataclasses.field(default_factory=RegistrationConfig)

    def model(self) -> HandModel:
        return open_hand_model(self.hand) if self.hand_model is None else load_hand_model(self.hand_model)


class Points(NamedTuple):
    """A subject's T frames in space."""

    keypoints: np.ndarray
    """[T,21,3] metres, NaN where unknown."""
    covariance: np.ndarray
    """[T,21,3,3]"""
    error_px: np.ndarray
    """[T,21] root mean square reprojection error."""
    cameras: list[CameraAgreement]


class ScanResult(NamedTuple):
    """One scan's outcome: either a failure in one line, or the other fields."""

    frame: int
    failure: str | None
    parameters: dict[str, Any] | None = None
    keypoints: list[list[float]] | None = None
    accuracy: Accuracy | None = None


class Begun(NamedTuple):
    """A subject whose scans can be registered."""

    subject: ScanSubject
    points: Points
    shape: dict[str, Any]
    """As `shape_of` gives it."""


class NotBegun(NamedTuple):
    """A subject that has no points or no shape, and why in one line."""

    subject: ScanSubject
    failure: str


def points_of(subject: ScanSubject, settings: RegisterSettings) -> Points:
    """Triangulate all frames. Raises DatasetError that names the camera which disagrees with the others most."""
    frames, cameras = subject.confidence.shape[:2]
    pixels = subject.keypoints.transpose(0, 2, 1, 3).reshape(-1, cameras, 2)
    confidence = subject.confidence.transpose(0, 2, 1).reshape(-1, cameras)
    found = triangulate(pixels, confidence, subject.cameras, settings.triangulation)
    agreement = camera_agreement(found, subject.cameras)
    _check_cameras(subject, found, confidence, agreement)
    return Points(
        found.points.reshape(frames, 21, 3),
        found.covariance.reshape(frames, 21, 3, 3),
        found.error_px.reshape(frames, 21),
        agreement,
    )


def _check_cameras(
    subject: ScanSubject, found: Triangulated, confidence: np.ndarray, agreement: list[CameraAgreement]
) -> None:
    seen_twice = (confidence > 0).sum(1) >= 2
    if seen_twice.any() and found.known[seen_twice].mean() < LEAST_KNOWN:
        raise DatasetError(
            f"{subject.folder}: cameras agree on {found.known[seen_twice].mean():.0%} of the keypoints that two or more of them "
            "see: cameras.npy is not of these pictures, or not in their pixels"
        )
    shares = {
        camera: camera.agreeing_share
        for camera in agreement
        if camera.detections >= DETECTIONS_TO_JUDGE and camera.agreeing_share is not None
    }
    worst = min(shares, key=lambda camera: shares[camera], default=None)
    if worst is not None and shares[worst] < LEAST_AGREEMENT:
        off = "lie behind it" if worst.median_px is None else f"are off by {worst.median_px:.0f} px and more"
        raise DatasetError(
            f"{subject.folder}: camera {worst.camera} disagrees with the others ({shares[worst]:.0%} of its keypoints "
            f"fit, half {off}): calibrate it again, or leave it out with --leave-out-camera {worst.camera}"
        )


def begin(
    subject: ScanSubject, points: Points, settings: RegisterSettings, out: Path, progress: Progress
) -> Begun | NotBegun:
    """Stage one, whatever comes of it."""
    try:
        return Begun(subject, points, shape_of(subject, points, settings, out, progress))
    except DatasetError as error:
        return NotBegun(subject, str(error))


def shape_of(
    subject: ScanSubject, points: Points, settings: RegisterSettings, out: Path, progress: Progress
) -> dict[str, Any]:
    """Stage one, or what is kept of it: betas [10], the simple frames with their keypoints so far, what could not be used.

    Raises DatasetError where no simple scan can be used.
    """
    chosen = _simple_frames(subject, points, settings)
    mark = _fingerprint(subject, settings, chosen)
    kept = _kept(out / WORK / "shape.json", mark)
    if kept is not None:
        return kept
    registration = ScanRegistration(settings.model(), subject.cameras, settings.registration)
    seen, used, failures = [], [], []
    for frame in chosen:
        progress(0.0, "reading scans")
        try:
            scan = seen_scan(subject, frame, points, settings)
            registration.check(scan)
            seen.append(scan)
            used.append(int(frame))
        except DatasetError as error:
            failures.append(str(error))
    if not seen:
        raise DatasetError(f"no simple pose of {subject.folder} can be registered ({failures[0]})")
    betas, fitted = registration.fit_shape(seen, progress)
    result = {
        "betas": betas,
        "frames": used,
        "keypoints": [scan.keypoints for scan in fitted],
        "failures": failures,
        "fingerprint": mark,
    }
    write_json(out / WORK / "shape.json", result)
    return read_json(out / WORK / "shape.json")


def pose_of(begun: Begun, frame: int, settings: RegisterSettings, out: Path, progress: Progress) -> ScanResult:
    """Stage two of one scan, or what is kept of it. What is wrong with the scan is its failure."""
    subject, points, shape = begun
    path = out / WORK / f"{frame + 1:06d}.json"
    mark = _fingerprint(subject, settings, [frame], shape["betas"])
    kept = _kept(path, mark)
    if kept is not None:
        found = kept["accuracy"]
        return ScanResult(
            frame, kept["failure"], kept["parameters"], kept["keypoints"], None if found is None else Accuracy(**found)
        )
    registration = ScanRegistration(settings.model(), subject.cameras, settings.registration)
    try:
        scan = seen_scan(subject, frame, points, settings)
        registration.check(scan)
        fitted = registration.fit_pose(scan, np.asarray(shape["betas"]), progress)
        result = _result(frame, fitted, registration, scan)
    except DatasetError as error:
        result = ScanResult(frame, str(error))
    found = None if result.accuracy is None else result.accuracy._asdict()
    write_json(path, {**result._asdict(), "accuracy": found, "fingerprint": mark})
    return result


def seen_scan(subject: ScanSubject, frame: int, points: Points, settings: RegisterSettings) -> SeenScan:
    """A frame's scan, keypoints and masks. Raises DatasetError."""
    masks = {}
    for name, camera in subject.cameras.items():
        path = subject.mask(name, frame)
        if path is None:
            continue
        mask = read_picture(path, plain_mode)
        mask = (mask if mask.ndim == 2 else mask[..., :3].max(-1)) >= 128
        if mask.shape != (camera.height, camera.width):
            raise DatasetError(
                f"{path} has {mask.shape[1]}×{mask.shape[0]} pixels, but cameras.npy says {camera.width}×{camera.height}: "
                "give masks of the pictures' size"
            )
        masks[name] = mask
    scan = read_scan(subject.scans[frame], settings.scan_unit)
    return SeenScan(str(subject.scans[frame]), scan, points.keypoints[frame], points.covariance[frame], masks)


def _result(frame: int, fitted: RegisteredScan, registration: ScanRegistration, scan: SeenScan) -> ScanResult:
    near = near_hand(scan.scan, scan.keypoints)
    found = accuracy(fitted.vertices, fitted.keypoints, registration.tables, near, scan.keypoints)
    parameters = {name: value.tolist() for name, value in fitted.parameters.items()}
    return ScanResult(frame, None, parameters, fitted.keypoints.tolist(), found)


def _simple_frames(subject: ScanSubject, points: Points, settings: RegisterSettings) -> list[int]:
    if settings.simple:
        absent = [frame + 1 for frame in settings.simple if frame not in subject.scans]
        if absent:
            raise DatasetError(f"{subject.folder} has no scan of frame {absent[0]}: give --simple frames that have one")
        return list(settings.simple)
    frames = np.array(sorted(subject.scans))
    return frames[simplest(points.keypoints[frames], settings.registration.simple)].tolist()


def _fingerprint(
    subject: ScanSubject, settings: RegisterSettings, frames: list[int], betas: list[float] | None = None
) -> str:
    """Of all that the result follows from."""
    told = dataclasses.asdict(settings)
    digest = hashlib.sha256(json.dumps([VERSION, told, betas], default=str, sort_keys=True).encode())
    if settings.hand_model is not None:
        digest.update(sha256_of(settings.hand_model).encode())
    for values in (
        subject.keypoints,
        subject.confidence,
        *(np.concatenate([*c[:2]], None) for c in subject.cameras.values()),
    ):
        digest.update(np.ascontiguousarray(values, dtype=float).tobytes())
    for frame in frames:
        digest.update(sha256_of(subject.scans[frame]).encode())
        for camera in subject.cameras:
            mask = subject.mask(camera, frame)
            digest.update(b"-" if mask is None else sha256_of(mask).encode())
    return digest.hexdigest()


def _kept(path: Path, mark: str) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    kept = read_json(path)
    return kept if kept.get("fingerprint") == mark else None
