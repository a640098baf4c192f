"""What people look at: a sheet a sequence and one page, made of a report and the pictures beside it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import AvatarError, OutputError
from ..progress import Progress, sub_progress
from .contact_sheet import write_sheet
from .page import write_page
from .page_data import page_data, turntable_path
from .personalisers import METHODS
from .report import protocol_of, units_of
from .shots import file_name
from .turntable import write_turntable
from .unit import UnitResult

log = logging.getLogger(__name__)

TURNED, DRAWN = 0.5, 0.65
"""Of the progress: where turntables and sheets are done."""


class Written(NamedTuple):
    page: Path
    sheets: Path


def write_pages(out: Path, report: Mapping[str, Any], progress: Progress) -> Written:
    """Write REPORT/turntables, REPORT/sheets and REPORT/report.html.

    Raises InputError for a picture that is missing, OutputError. An avatar that is no longer there has no turntable.
    """
    units = [unit for unit in units_of(report) if unit.failed is None]
    names = list(dict.fromkeys(unit.sequence for unit in units))
    sheets, page = out / "sheets", out / "report.html"
    _write_turntables(out, units, report["settings"].get("dataset"), sub_progress(progress, 0.0, TURNED))
    try:
        sheets.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {sheets} ({error.strerror}): choose another report") from error
    for number, name in enumerate(names):
        progress(TURNED + (DRAWN - TURNED) * number / len(names), "drawing the sheets")
        own = [unit for unit in units if unit.sequence == name]
        write_sheet(sheets / f"{file_name(name)}.png", own, out / "pictures" / file_name(name))
    protocol = protocol_of(report)
    data = page_data(out, report, protocol, sub_progress(progress, DRAWN, 1.0))
    methods = ", ".join(report["methods"])
    write_page(page, data, protocol, f"{protocol.name}: {methods}")
    return Written(page, sheets)


def _write_turntables(out: Path, units: Sequence[UnitResult], dataset: Any, progress: Progress) -> None:
    for number, unit in enumerate(units):
        part = sub_progress(progress, number / len(units), (number + 1) / len(units))
        folder = out / "avatars" / file_name(unit.sequence) / f"{file_name(unit.method)}.palmhand"
        if unit.method in METHODS and METHODS[unit.method].make is None:
            folder = Path(str(dataset)) / "avatars" / f"{file_name(unit.sequence)}.palmhand"
        path = turntable_path(out, unit.sequence, unit.method)
        if path.is_file() and not folder.is_dir():
            continue  # the report was moved without its avatars
        try:
            write_turntable(path, folder, part)
        except (AvatarError, FileNotFoundError):
            log.warning("%s is not there: the page shows no turntable of it", folder)
