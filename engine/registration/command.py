"""`python -m engine register DIR -o OUT`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument(
        "set", type=Path, metavar="DIR", help="a subject's folder, or the folder of the subjects' folders"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder of poses and report; goes on in one"
    )
    parser.add_argument(
        "--hand-model", type=Path, metavar="FILE", help="MANO_RIGHT.pkl or .npz; default: the open hand"
    )
    parser.add_argument("--hand", choices=("right", "left"), default="right", help="which open hand (default right)")
    parser.add_argument(
        "--simple", metavar="N,N,…", help="numbers of the scans of simple poses, which give the shape (default: found)"
    )
    parser.add_argument("--scan-unit", choices=("m", "cm", "mm"), default="m", help="of the scan files (default m)")
    parser.add_argument(
        "--leave-out-camera", action="append", default=[], metavar="NAME", help="a camera not to use; may come again"
    )
    parser.add_argument(
        "--inlier-px",
        type=float,
        metavar="PX",
        help="largest reprojection error of a good keypoint (default: 0.6 %% of the picture's longer side)",
    )
    parser.add_argument("--no-outlines", action="store_true", help="do not use masks")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="scans at the same time (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    for name, least in (("workers", 1), ("seed", 0)):
        if getattr(args, name) < least:
            raise InputError(f"--{name} {getattr(args, name)} is less than {least}: give {least} or more")
    if args.inlier_px is not None and not args.inlier_px > 0:
        raise InputError(f"--inlier-px {args.inlier_px:g} is not above 0: give pixels")
    simple = _frames(args.simple)
    from .register_scans import RegistrationConfig
    from .register_set import register_set
    from .report import table_of
    from .subject_files import read_scan_subjects
    from .subject_work import RegisterSettings
    from .triangulation import TriangulationConfig

    settings = RegisterSettings(
        args.hand_model,
        args.hand,
        args.scan_unit,
        simple,
        TriangulationConfig(inlier_px=args.inlier_px, seed=args.seed),
        RegistrationConfig(outlines=not args.no_outlines, seed=args.seed),
    )
    progress(0.0, "reading the set")
    subjects = read_scan_subjects(args.set, frozenset(args.leave_out_camera))
    report = register_set(args.set, subjects, settings, args.output, args.workers, progress)
    return {
        "report": str(args.output / "report.json"),
        "registered": f"{report['registered']} of {report['scans']} scans",
        "table": "\n" + table_of(report),
    }


def _frames(given: str | None) -> tuple[int, ...]:
    """Frame indices of the numbers that were given."""
    if given is None:
        return ()
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--simple {given!r} is no list of scans' numbers: give numbers from 1, such as 1,2,5")
    return tuple(dict.fromkeys(int(part) - 1 for part in parts))
