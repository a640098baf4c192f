"""The command line: one verb a job, progress as a bar or as JSON lines, one line an error.

Exit status: 0 done, 2 an error the user can mend (one line on stderr), 130 cancelled, 1 a defect of ours.
A verb lives in a `command` module with `add_arguments(parser)` and `run(args, progress) -> dict`; those modules import
what is heavy only when they run, so that help is instant.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from . import __version__
from .errors import Cancelled, OutputError, PalmError
from .parent import end_with_parent
from .progress import BarProgress, JsonProgress, Progress, cancel_on_signal, silent

COMMANDS: dict[str, tuple[str, str]] = {
    "capture": ("engine.capture.command", "photo or video → hand pose, camera and mask"),
    "look": ("engine.capture.look_command", "photo → what is seen in it, to be corrected before it is captured"),
    "personalize": ("engine.methods.command", "photo → avatar folder NAME.palmhand"),
    "refine-poses": ("engine.methods.refine_command", "avatar and video → the hand's pose in every frame"),
    "render": ("engine.methods.render_command", "avatar and poses → pictures from any side, in any light"),
    "view": ("engine.methods.view_command", "avatar → its hand moving in a window, or as frames of a pose file"),
    "train-prior": ("engine.training.command", "pictures of many hands → learned prior NAME.palmprior"),
    "bake-subject": ("engine.methods.subject_command", "one of a prior's subjects → avatar folder NAME.palmhand"),
    "import-prior": ("engine.training.official_command", "published PALM checkpoint → prior NAME.palmprior"),
    "register": ("engine.registration.command", "scans and keypoints of many cameras → hand shape and poses"),
    "evaluate": (
        "engine.evaluation.command",
        "data set with known truth → table, report and page that compare methods",
    ),
    "check-data": ("engine.datasets.check_command", "a data set's folder → what it holds, and what is wrong with it"),
    "check": ("engine.evaluation.check_command", "what works here: device, prior, hand model, landmarks, versions"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    # what libraries do with each picture is no decision of ours
    logging.getLogger(__package__).setLevel(logging.DEBUG if args.verbose else logging.WARNING)
    follows = os.environ.get("RANK", "0") != "0"  # one of torchrun's processes, of which the first reports
    if args.parent_pipe:
        end_with_parent()
    reporter: Progress = (
        silent if follows or args.progress == "none" else JsonProgress() if args.progress == "json" else BarProgress()
    )
    try:
        with cancel_on_signal(reporter) as progress:
            result = importlib.import_module(COMMANDS[args.verb][0]).run(args, progress)
    except Cancelled as error:
        return _fail(reporter, error, 130)
    except PalmError as error:
        return _fail(reporter, error, 2)
    except BrokenPipeError:
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG, errno.EIO):
            raise
        place = f" {error.filename}" if error.filename else ""
        return _fail(
            reporter, OutputError(f"cannot write{place}: {error.strerror}; free space or choose another place"), 2
        )
    except MemoryError:
        return _fail(
            reporter, PalmError("not enough memory: use a smaller photo, --quality draft, or close programs"), 2
        )
    if not follows:
        _show(reporter, result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description="PALM Hands: one photo → a rigged hand.")
    parser.add_argument("--version", action="version", version=f"PALM Hands {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (module, summary) in COMMANDS.items():
        verb = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        verb.add_argument(
            "--progress",
            choices=("bar", "json", "none"),
            default="bar",
            help="bar: for people (default); json: one JSON object a line on stdout; none",
        )
        verb.add_argument("-v", "--verbose", action="store_true", help="log what is decided, on stderr")
        verb.add_argument(
            "--parent-pipe",
            action="store_true",
            help="end when standard input ends: for programs that start the engine",
        )
        importlib.import_module(module).add_arguments(verb)
    return parser


def _fail(reporter: Any, error: PalmError, status: int) -> int:
    if isinstance(reporter, BarProgress):
        reporter.close()
    if isinstance(reporter, JsonProgress):
        reporter.emit("cancelled" if status == 130 else "error", message=str(error), kind=type(error).__name__)
    sys.stderr.write(f"error: {error}\n")
    return status


def _show(reporter: Any, result: dict[str, Any]) -> None:
    if isinstance(reporter, JsonProgress):
        reporter.emit("result", **result)
        return
    if isinstance(reporter, BarProgress):
        reporter.close()
    for name, value in result.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            sys.stdout.writelines(f"{name.replace('_', ' ').removesuffix('s')}: {item}\n" for item in value)
        elif value is not None:
            sys.stdout.write(f"{name.replace('_', ' ')}: {_readable(value)}\n")


def _readable(value: Any) -> str:
    """Numbers to four digits; a group of them on one line."""
    if isinstance(value, dict):
        return ", ".join(
            f"{name.replace('_', ' ')} {_readable(item)}" for name, item in value.items() if item is not None
        )
    return f"{value:.4g}" if isinstance(value, float) else str(value)
