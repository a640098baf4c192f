"""What people look at: a sheet a sequence and one page, made of a report and the pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..progress import Progress
from .contact_sheet import write_sheet
from .report import units_of


class Written(NamedTuple):
    page: Path
    sheets: Path


def write_pages(out: Path, report: Mapping[str, Any], progress: Progress) -> Written:
    """Write REPORT/sheets/SEQUENCE.png and REPORT/report.html. Raises InputError for a picture that is missing, OutputError."""
    units = [unit for unit in units_of(report) if unit.failed is None]
    sheets, page = out / "sheets", out / "report.html"
    sheets.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(unit.sequence for unit in units))
    for number, name in enumerate(names):
        progress(0.3 * number / len(names), "drawing the sheets")
        write_sheet(sheets / f"{name}.png", [unit for unit in units if unit.sequence == name], out / "pictures" / name)
    return Written(page, sheets)
