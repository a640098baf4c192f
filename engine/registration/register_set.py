"""All subjects of a folder: stage one by subject, stage two by scan, then PALM's pose files and a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.palm_files import SubjectPoses, write_poses
from ..errors import OutputError
from ..files import atomic_file, write_json
from ..hand.model import HandModel
from ..processes import map_in_processes
from ..progress import Progress, silent, sub_progress
from .destination import check_destination, describe_destination
from .report import report_of
from .subject_files import ScanSubject
from .subject_work import WORK, RegisterSettings, ScanResult, points_of, pose_of, shape_of

POINTS_SHARE, SHAPE_SHARE = 0.02, 0.35
"""Of the progress bar, where these stages end."""
KEYPOINTS_3D = "keypoints_3d.npz"


def register_set(
    root: Path,
    subjects: Sequence[ScanSubject],
    settings: RegisterSettings,
    out: Path,
    workers: int = 1,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Register everything that is not registered in `out` yet; returns the report, also written to OUT/report.json.

    root: the folder that the subjects were read from, where nothing is written.
    OUT/SUBJECT/poses.npy has PALM's layout (NaN for frames whose scan failed or is missing), keypoints_3d.npz the triangulated
    and the registered keypoints [T,21,3]. Raises DatasetError for subjects that cannot be begun, OutputError, Cancelled.
    """
    check_destination(out, root, subjects)
    model = settings.model()
    for subject in subjects:
        progress(0.0, "triangulating")
        points_of(subject, settings)
        _folder(out / subject.name / WORK)
    shapes = map_in_processes(
        shape_of,
        [(subject, settings, out / subject.name) for subject in subjects],
        workers,
        sub_progress(progress, POINTS_SHARE, SHAPE_SHARE),
        "shape of subject",
    )
    pieces = [
        (subject, frame, shape, settings, out / subject.name)
        for subject, shape in zip(subjects, shapes, strict=True)
        for frame in sorted(subject.scans)
    ]
    found = map_in_processes(pose_of, pieces, workers, sub_progress(progress, SHAPE_SHARE, 0.99), "scan")
    of_subject: dict[str, list[ScanResult]] = {subject.name: [] for subject in subjects}
    for piece, result in zip(pieces, found, strict=True):
        of_subject[piece[0].name].append(result)
    describe_destination(out, model)
    for subject, shape in zip(subjects, shapes, strict=True):
        _write_subject(out / subject.name, subject, shape, of_subject[subject.name], settings, model)
    report = report_of(subjects, shapes, of_subject, settings)
    write_json(out / "report.json", report)
    progress(1.0, "done")
    return report


def _write_subject(
    folder: Path,
    subject: ScanSubject,
    shape: dict[str, Any],
    results: list[ScanResult],
    settings: RegisterSettings,
    model: HandModel,
) -> None:
    frames = len(subject.keypoints)
    fields = {
        name: np.full((frames, width), np.nan)
        for name, width in (("global_orient", 3), ("hand_pose", 45), ("transl", 3))
    }
    keypoints = np.full((frames, 21, 3), np.nan)
    for result in results:
        if result.parameters is None:
            continue
        for name, values in fields.items():
            values[result.frame] = result.parameters[name]
        keypoints[result.frame] = result.keypoints
    poses = SubjectPoses(np.asarray(shape["betas"]), **fields)
    with atomic_file(folder / "poses.npy") as temporary:
        write_poses(temporary, poses, model.hands_mean.numpy())
    points = points_of(subject, settings)
    with atomic_file(folder / KEYPOINTS_3D) as temporary:
        np.savez_compressed(
            temporary, triangulated=points.keypoints, error_px=points.error_px, registered=keypoints, order="palm"
        )


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path} ({error.strerror}): choose another one") from error
