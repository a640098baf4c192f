"""What an evaluation says: means by method, a table for the terminal, JSON for programs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .frame_scores import Scores
from .harp_relit import UnitResult

REPORT_SCHEMA = 1


class Column(NamedTuple):
    """Of the table."""

    title: str
    part: str
    """"unseen", "seen" or "light"."""
    score: str
    digits: int


COLUMNS = (
    Column("PSNR", "unseen", "psnr_db", 2),
    Column("SSIM", "unseen", "ssim", 3),
    Column("LPIPS", "unseen", "lpips", 3),
    Column("FLIP", "unseen", "flip", 3),
    Column("IoU", "unseen", "iou", 3),
    Column("seen PSNR", "seen", "psnr_db", 2),
    Column("albedo PSNR", "unseen", "albedo_psnr_db", 2),
    Column("(scaled)", "unseen", "albedo_scaled_psnr_db", 2),
    Column("ΔE px", "unseen", "delta_e", 2),
    Column("ΔE tone", "unseen", "tone_delta_e", 2),
    Column("normal °", "unseen", "normal_deg", 2),
    Column("light L2", "light", "irradiance_error", 3),
    Column("light cos", "light", "direction_cosine", 3),
    Column("light ×", "light", "brightness", 2),
)
MISSING = "–"


def mean_scores(scores: Iterable[Scores]) -> Scores:
    """Means of each score over those that have it."""
    collected: dict[str, list[float]] = {}
    for one in scores:
        for name, value in one.items():
            collected.setdefault(name, []).append(value)
    return {name: statistics.fmean(values) for name, values in collected.items()}


def method_summary(results: Sequence[UnitResult]) -> dict[str, Any]:
    """One method: the mean over sequences of each sequence's mean, as PALM counts; medians of the colour errors beside it."""
    by_sequence = [mean_scores(result.frames.values()) for result in results]
    summary: dict[str, Any] = {
        "sequences": len(results),
        "pictures": sum(len(result.frames) for result in results),
        "unseen": mean_scores(by_sequence),
        "seen": mean_scores(result.seen for result in results),
        "light": mean_scores(result.light for result in results if result.light),
        "median": {
            name: statistics.median(values)
            for name in ("delta_e", "tone_delta_e")
            if (values := [scores[name] for scores in by_sequence if name in scores])
        },
    }
    seconds = [result.making_s for result in results if result.making_s is not None]
    summary["making_s"] = statistics.fmean(seconds) if seconds else None
    return summary


def report_of(
    results: Sequence[UnitResult], methods: Sequence[str], settings: dict[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    """The report as JSON."""
    return {
        "schema_version": REPORT_SCHEMA,
        "settings": settings,
        "notes": list(notes),
        "methods": {name: method_summary([result for result in results if result.method == name]) for name in methods},
        "units": [result._asdict() for result in results],
    }


def table_of(report: dict[str, Any]) -> str:
    """The report's methods as lines of text."""
    heads = ["method", *(column.title for column in COLUMNS), "made in s"]
    rows = [[name, *_cells(summary)] for name, summary in report["methods"].items()]
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    ]
    return "\n".join([*lines, *report["notes"]])


def _cells(summary: dict[str, Any]) -> list[str]:
    values = [summary[column.part].get(column.score) for column in COLUMNS]
    cells = [
        MISSING if value is None else f"{value:.{column.digits}f}"
        for value, column in zip(values, COLUMNS, strict=True)
    ]
    seconds = summary["making_s"]
    return [*cells, MISSING if seconds is None else f"{seconds:.0f}"]
