"""Whether pages can be made of a report that was read from a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..errors import InputError
from .report import REPORT_SCHEMA
from .unit import UnitResult

SUMMARIES = ("unseen", "seen", "all", "light")


def checked_report(report: dict[str, Any], path: Path) -> dict[str, Any]:
    """A report as it is. Raises InputError, saying where, for one that pages cannot be made of."""
    if report.get("schema_version") != REPORT_SCHEMA:
        raise InputError(f"{path} is a report of another version: evaluate again into its folder")
    wrong = _wrong(report)
    if wrong is not None:
        raise InputError(f"{path} is damaged at {wrong}: evaluate again into its folder")
    return report


def _wrong(report: dict[str, Any]) -> str | None:
    """The first place that is not as it should be; None where all is well."""
    for name, kind in (("units", list), ("methods", dict), ("notes", list), ("settings", dict)):
        if not isinstance(report.get(name), kind):
            return name
    if not all(isinstance(note, str) for note in report["notes"]):
        return "notes"
    for name, summary in report["methods"].items():
        if not _is_summary(summary):
            return f"methods, {name[:80]!r}"
    labels: dict[str, tuple[set[str], set[str]]] = {}
    for number, unit in enumerate(report["units"]):
        if not _is_unit(unit) or unit["method"] not in report["methods"]:
            return f"unit {number + 1}"
        own = set(unit["seen_frames"]), set(unit["frames"])
        # methods stand beside each other, picture by picture
        if unit["failed"] is None and labels.setdefault(unit["sequence"], own) != own:
            return f"unit {number + 1}, whose pictures are not those of others"
    return None


def _is_summary(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(_are_scores(value.get(part)) for part in SUMMARIES)
        and "making_s" in value
        and _is_seconds(value["making_s"])
    )


def _is_unit(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != set(UnitResult._fields):
        return False
    said = isinstance(value["sequence"], str) and isinstance(value["method"], str) and _is_seconds(value["making_s"])
    if not said or not isinstance(value["failed"], str | None):
        return False
    frames, seen, pictures = value["frames"], value["seen_frames"], value["pictures"]
    if not all(isinstance(part, dict) for part in (frames, seen, pictures)):
        return False
    means = _are_scores(value["seen"]) and _are_scores(value["light"])
    if value["failed"] is None and not (frames and seen):
        return False
    shown = all(isinstance(pictures.get(label), str) for label in (*frames, *seen))
    every = (*frames.values(), *seen.values())
    return means and shown and all(_are_scores(scores) and "psnr_db" in scores for scores in every)


def _are_scores(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_number(one) for one in value.values())


def _is_seconds(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
