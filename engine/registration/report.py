"""What `register` found, as JSON and as a table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .subject_work import Begun, NotBegun, RegisterSettings, ScanResult

REPORT_SCHEMA = 1
POOR_RECALL = 0.9
"""Of a scan, below which its registration is listed as poor."""
LISTED = 12


def report_of(
    begun: Sequence[Begun],
    not_begun: Sequence[NotBegun],
    results: Mapping[str, Sequence[ScanResult]],
    settings: RegisterSettings,
) -> dict[str, Any]:
    """Means over the scans that did not fail, each subject's cameras and shape, every scan, and what failed, by name.

    results: of each begun subject's scans, by its name. The scans of subjects that were not begun are counted too.
    """
    everything = [result for own in results.values() for result in own]
    good = [result.accuracy for result in everything if result.accuracy is not None]

    def mean(name: str) -> float | None:
        values = [getattr(one, name) for one in good if getattr(one, name) is not None]
        return float(np.mean(values)) if values else None

    names = ("scan_recall_10mm", "scan_mm", "scan_95_mm", "keypoint_recall_10mm", "keypoint_mm")
    failures = [one.failure for one in not_begun]
    failures += [line for one in begun for line in one.shape["failures"]]
    failures += [result.failure for result in everything if result.failure is not None]
    return {
        "schema_version": REPORT_SCHEMA,
        "settings": json.loads(json.dumps(dataclasses.asdict(settings), default=str)),
        "scans": len(everything) + sum(len(one.subject.scans) for one in not_begun),
        "registered": len(good),
        "mean": {name: mean(name) for name in names},
        "subjects": {one.subject.name: _subject(one, results[one.subject.name]) for one in begun},
        "not_begun": [one.subject.name for one in not_begun],
        "poor": [
            f"{name}/{result.frame + 1:06d}"
            for name, own in results.items()
            for result in own
            if result.accuracy is not None and result.accuracy.scan_recall_10mm < POOR_RECALL
        ],
        "failed": list(dict.fromkeys(failures)),
    }


def _subject(begun: Begun, results: Sequence[ScanResult]) -> dict[str, Any]:
    points, shape = begun.points, begun.shape
    known = np.isfinite(points.keypoints).all(-1)
    return {
        "betas": shape["betas"],
        "simple_frames": [frame + 1 for frame in shape["frames"]],
        "cameras": [camera._asdict() for camera in points.cameras],
        "keypoints_known": float(known.mean()),
        "reprojection_px": float(points.error_px[known].mean()) if known.any() else None,
        "scans": {
            f"{result.frame + 1:06d}": {"failure": result.failure}
            if result.accuracy is None
            else {**result.accuracy._asdict(), "keypoints_known": int(known[result.frame].sum())}
            for result in results
        },
    }


def table_of(report: Mapping[str, Any]) -> str:
    """A line a subject, the means, and what failed."""
    lines = ["subject        scans  recall at 10 mm  scan mm  keypoint recall  keypoint mm  reprojection px"]
    for name, subject in report["subjects"].items():
        scans = [scan for scan in subject["scans"].values() if "scan_mm" in scan]
        lines.append(_line(name, f"{len(scans)}/{len(subject['scans'])}", _means(scans), subject["reprojection_px"]))
    lines.append(_line("all", f"{report['registered']}/{report['scans']}", report["mean"], None))
    for title, names in (("poor", report["poor"]), ("failed", report["failed"])):
        lines += [f"{title}: {name}" for name in names[:LISTED]]
        if len(names) > LISTED:
            lines.append(f"{title}: {len(names) - LISTED} more, in report.json")
    return "\n".join(lines)


def _means(scans: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    names = ("scan_recall_10mm", "scan_mm", "keypoint_recall_10mm", "keypoint_mm")
    values = {name: [scan[name] for scan in scans if scan[name] is not None] for name in names}
    return {name: float(np.mean(found)) if found else None for name, found in values.items()}


def _line(name: str, count: str, mean: Mapping[str, float | None], reprojection: float | None) -> str:
    def shown(value: float | None, pattern: str) -> str:
        return "–" if value is None else format(value, pattern)

    return (
        f"{name:12s} {count:>7s}  {shown(mean['scan_recall_10mm'], '.2%'):>15s}  {shown(mean['scan_mm'], '.2f'):>7s}  "
        f"{shown(mean['keypoint_recall_10mm'], '.1%'):>15s}  {shown(mean['keypoint_mm'], '.2f'):>11s}  "
        f"{shown(reprojection, '.2f'):>15s}"
    )
