"""What an evaluation says: means by method, a table for the terminal, JSON for programs."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .frame_scores import Scores
from .measures import MEASURES, mean_scores
from .protocols import HARP_RELIT, PROTOCOLS, Protocol
from .unit import UnitResult

REPORT_SCHEMA = 2
MISSING = "–"
LIGHT_SCORES = ("irradiance_error", "direction_cosine", "brightness")


class Column(NamedTuple):
    """Of a table."""

    title: str
    part: str
    """"unseen", "seen" or "light"."""
    score: str


def columns_of(protocol: Protocol, summaries: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The protocol's scores, those that any method has; then what is said of seen pictures and of light, and as published."""
    wanted = [Column(MEASURES[name].title, "unseen", name) for name in protocol.scores]
    first = protocol.scores[0]
    seen = protocol.scores if protocol.held_out else (first,)
    wanted += [Column(f"seen {MEASURES[name].title}", "seen", name) for name in seen]
    wanted += [Column(MEASURES[name].title, "light", name) for name in LIGHT_SCORES]
    wanted += [Column(MEASURES[name].title, "unseen", name) for name in protocol.published]
    return [column for column in wanted if any(column.score in summary[column.part] for summary in summaries)]


def all_scores(results: Sequence[UnitResult]) -> list[Scores]:
    """Of every picture, seen and judged."""
    return [scores for result in results for scores in (*result.seen_frames.values(), *result.frames.values())]


def method_summary(results: Sequence[UnitResult]) -> dict[str, Any]:
    """One method: the mean over sequences of each sequence's mean, as PALM counts; medians of the colour errors beside it."""
    done = [result for result in results if result.failed is None]
    by_sequence = [mean_scores(result.frames.values()) for result in done]
    everything = [mean_scores([*result.seen_frames.values(), *result.frames.values()]) for result in done]
    summary: dict[str, Any] = {
        "sequences": len(done),
        "failed": len(results) - len(done),
        "pictures": sum(len(result.frames) for result in done),
        "unseen": mean_scores(by_sequence),
        "seen": mean_scores(result.seen for result in done),
        "all": mean_scores(everything),
        "light": mean_scores(result.light for result in done if result.light),
        "median": {
            name: statistics.median(values)
            for name in ("delta_e", "tone_delta_e")
            if (values := [scores[name] for scores in by_sequence if name in scores])
        },
    }
    seconds = [result.making_s for result in done if result.making_s is not None]
    summary["making_s"] = statistics.fmean(seconds) if seconds else None
    return summary


def report_of(
    results: Sequence[UnitResult],
    methods: Sequence[str],
    settings: dict[str, Any],
    notes: Sequence[str],
    protocol: Protocol,
) -> dict[str, Any]:
    """The report as JSON."""
    failures = [f"{result.sequence}, {result.method}: {result.failed}" for result in results if result.failed]
    return {
        "schema_version": REPORT_SCHEMA,
        "protocol": dataclasses.asdict(protocol),
        "settings": settings,
        "notes": [*notes, *failures],
        "methods": {name: method_summary([result for result in results if result.method == name]) for name in methods},
        "units": [result._asdict() for result in results],
    }


def table_of(report: dict[str, Any], protocol: Protocol) -> str:
    """The report's methods as lines of text; the best of each score has a star."""
    summaries = report["methods"]
    columns = columns_of(protocol, list(summaries.values()))
    best = [best_methods(column, summaries) for column in columns]
    rows = [["method", *(column.title for column in columns), "made in s"]]
    for name, summary in summaries.items():
        cells = [
            cell_text(column, summary) + ("*" if name in winners else " ")
            for column, winners in zip(columns, best, strict=True)
        ]
        seconds = summary["making_s"]
        rows.append([name, *cells, MISSING if seconds is None else f"{seconds:.0f}"])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*lines, *report["notes"]])


def cell_text(column: Column, summary: Mapping[str, Any]) -> str:
    """A table's number."""
    value = summary[column.part].get(column.score)
    return MISSING if value is None else f"{value:.{MEASURES[column.score].digits}f}"


def best_methods(column: Column, summaries: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Whose number is best as it is printed; nobody's where all are alike, or neither more nor less is better.

    The true hand is the renderer's ceiling and no competitor.
    """
    measure = MEASURES[column.score]
    values = {
        name: round(summary[column.part][column.score], measure.digits)
        for name, summary in summaries.items()
        if column.score in summary[column.part] and name != "truth"
    }
    if measure.higher is None or len(set(values.values())) < 2:
        return set()
    best = (max if measure.higher else min)(values.values())
    return {name for name, value in values.items() if value == best}


def protocol_of(report: Mapping[str, Any]) -> Protocol:
    """The protocol that a report names."""
    described = report.get("protocol")
    name = described.get("name") if isinstance(described, dict) else None
    return PROTOCOLS.get(str(name), HARP_RELIT)


def units_of(report: Mapping[str, Any]) -> list[UnitResult]:
    """A report's results."""
    return [UnitResult(**unit) for unit in report["units"]]
