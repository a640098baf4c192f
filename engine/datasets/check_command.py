"""`python -m engine check-data`: what a folder of hand data holds and what is wrong with it, before work rests on it."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from ..progress import Progress

log = logging.getLogger(__name__)

FORMAT_NAMES = ("auto", "palm", "interhand", "harp", "hamer", "freihand", "hanco", "ours")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the data set's folder")
    parser.add_argument("--format", choices=FORMAT_NAMES, default="auto", help="its layout (default: found out)")
    parser.add_argument(
        "--hand-model", type=Path, metavar="FILE", help="MANO_RIGHT.pkl: compares annotated joints with posed ones too"
    )
    parser.add_argument("--headers", action="store_true", help="do not decode the pictures, only read their sizes")
    parser.add_argument("-o", "--report", type=Path, metavar="FILE", help="write the result as JSON, bad sets' too")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Read the whole set. Raises DatasetError (after logging every problem) where nothing of it can be used."""
    from ..errors import DatasetError
    from ..files import check_output, write_json
    from ..hand.model import load_hand_model
    from .check_set import check_set
    from .set_files import Findings

    if args.report is not None:
        check_output(args.report, force=True)
    model = None if args.hand_model is None else load_hand_model(args.hand_model)
    findings = Findings(keep_incomplete=True)
    report = check_set(args.folder, findings, progress, args.format, model, not args.headers)
    usable = report.frames > 0 and report.decoded != 0
    result = {"folder": str(args.folder), "usable": usable, **report.as_dict(findings)}
    if args.report is not None:
        write_json(args.report, result)
    if not usable:
        for problem in findings.problems[1:]:
            log.warning("%s", problem)
        reason = findings.problems[0] if findings.problems else "give the set's top folder"
        raise DatasetError(f"nothing in {args.folder} can be used as {report.format}: {reason}")
    progress(1.0, "done")
    return result
