"""All subjects of a folder: stage one by subject, stage two by scan, then PALM's pose files and a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.palm_files import SubjectPoses, write_poses
from ..errors import DatasetError, OutputError
from ..files import atomic_file, write_json
from ..hand.model import HandModel
from ..processes import map_in_processes
from ..progress import Progress, silent, sub_progress
from .destination import check_destination, describe_destination
from .report import report_of
from .subject_files import ScanSubject
from .subject_work import WORK, Begun, NotBegun, RegisterSettings, ScanResult, begin, points_of, pose_of

SHAPE_SHARE, POINTS_SHARE = 0.35, 0.05
"""Where shapes end, of the progress bar, and where points do, of that part."""
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
    and the registered keypoints [T,21,3]. Subjects that cannot be begun are the report's failures. Raises DatasetError where
    none can, OutputError, Cancelled.
    """
    check_destination(out, root, subjects)
    model = settings.model()
    begun, not_begun = _begin_all(subjects, settings, out, workers, sub_progress(progress, 0.0, SHAPE_SHARE))
    if not begun:
        raise DatasetError(not_begun[0].failure)
    pieces = [(one, frame, settings, out / one.subject.name) for one in begun for frame in sorted(one.subject.scans)]
    found = map_in_processes(pose_of, pieces, workers, sub_progress(progress, SHAPE_SHARE, 0.99), "scan")
    of_subject: dict[str, list[ScanResult]] = {one.subject.name: [] for one in begun}
    for piece, result in zip(pieces, found, strict=True):
        of_subject[piece[0].subject.name].append(result)
    describe_destination(out, model)
    for one in begun:
        _write_subject(out / one.subject.name, one, of_subject[one.subject.name], model)
    report = report_of(begun, not_begun, of_subject, settings)
    write_json(out / "report.json", report)
    progress(1.0, "done")
    return report


def _begin_all(
    subjects: Sequence[ScanSubject], settings: RegisterSettings, out: Path, workers: int, progress: Progress
) -> tuple[list[Begun], list[NotBegun]]:
    """Points and shape of every subject that allows it; a subject with bad cameras does not stop the others."""
    pieces, not_begun = [], []
    for number, subject in enumerate(subjects):
        progress(POINTS_SHARE * number / len(subjects), "triangulating")
        try:
            pieces.append((subject, points_of(subject, settings), settings, out / subject.name))
        except DatasetError as error:
            not_begun.append(NotBegun(subject, str(error)))
    for subject, *_ in pieces:
        _folder(out / subject.name / WORK)
    found = map_in_processes(begin, pieces, workers, sub_progress(progress, POINTS_SHARE, 1.0), "shape of subject")
    not_begun += [one for one in found if isinstance(one, NotBegun)]
    return [one for one in found if isinstance(one, Begun)], not_begun


def _write_subject(folder: Path, begun: Begun, results: list[ScanResult], model: HandModel) -> None:
    points = begun.points
    frames = len(points.keypoints)
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
    poses = SubjectPoses(np.asarray(begun.shape["betas"]), **fields)
    with atomic_file(folder / "poses.npy") as temporary:
        write_poses(temporary, poses, model.hands_mean.numpy())
    with atomic_file(folder / KEYPOINTS_3D) as temporary:
        np.savez_compressed(
            temporary, triangulated=points.keypoints, error_px=points.error_px, registered=keypoints, order="palm"
        )


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path} ({error.strerror}): choose another one") from error
