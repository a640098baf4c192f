"""`python -m engine evaluate --dataset DIR --protocol harp-relit --methods palm,harp,mean -o REPORT`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError, OutputError
from ..progress import Progress, sub_progress

PROTOCOLS = ("harp-relit",)
DEFAULT_METHODS = "palm,palm-codes,harp,mean,truth"
LEAST_PX = 32
EVALUATING_SHARE = 0.98
"""Of the progress bar."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="the set to evaluate on")
    parser.add_argument("--protocol", choices=PROTOCOLS, default=PROTOCOLS[0], help="what is compared, and how")
    parser.add_argument(
        "--methods",
        default=DEFAULT_METHODS,
        metavar="A,B,…",
        help=f"default: {DEFAULT_METHODS}; also the ablations palm-raw, palm-published, palm-no-light, palm-no-normals",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="REPORT",
        help="folder of report, sheets and avatars; goes on in one",
    )
    parser.add_argument(
        "--prior",
        metavar="open|PATH",
        help="of palm, palm-codes and mean: the shipped one (default) or a NAME.palmprior",
    )
    parser.add_argument("--prior-no-normals", type=Path, metavar="PATH", help="one trained without scan normals")
    parser.add_argument(
        "--quality", choices=("draft", "standard", "paper"), default="standard", help="of personalisation"
    )
    parser.add_argument(
        "--capture",
        choices=("known", "detected"),
        default="known",
        help="known: the set's pose, camera and mask (default); detected: as for any photo",
    )
    parser.add_argument("--sequences", type=int, metavar="N", help="the first N (default: all)")
    parser.add_argument(
        "--frames", type=int, metavar="N", help="evaluation frames of a sequence, evenly chosen (default: all)"
    )
    parser.add_argument(
        "--size", type=int, default=256, metavar="PX", help="longer side of compared pictures (default 256)"
    )
    parser.add_argument("--vgg16", type=Path, help="torchvision's VGG-16 weights, for LPIPS and the perceptual term")
    parser.add_argument("--lpips", type=Path, help="LPIPS's v0.1 vgg.pth, with --vgg16")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="sequences at the same time (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    _check(args)
    from ..files import write_json
    from ..hand.model import open_hand_model
    from ..methods.open_prior import prior_folder
    from .avatar_picture import PictureConfig
    from .contact_sheet import write_sheet
    from .harp_relit import ProtocolConfig
    from .packages import metric_package
    from .personalisers import METHODS, check_methods
    from .relit_set import read_relit_set
    from .report import report_of, table_of
    from .run import evaluate_all
    from .settings import MakingConfig

    for name in ("skimage", "flip_evaluator"):
        metric_package(name)
    progress(0.0, "reading the set")
    methods = tuple(name.strip() for name in args.methods.split(",") if name.strip())
    wants_prior = any(name in METHODS and METHODS[name].prior == "prior" for name in methods)
    prior = prior_folder(args.prior) if wants_prior else None
    making = MakingConfig(prior, args.prior_no_normals, args.quality, args.capture, args.seed, args.vgg16, args.lpips)
    check_methods(methods, making)
    sequences = read_relit_set(args.dataset, open_hand_model("right"), args.sequences)
    config = ProtocolConfig(making, PictureConfig(longest_px=args.size, seed=args.seed), args.frames)
    out = _folder(args.output)
    part = sub_progress(progress, 0.0, EVALUATING_SHARE)
    results = evaluate_all(sequences, methods, out, config, args.workers, part)
    sheets = _folder(out / "sheets")
    for number, sequence in enumerate(sequences):
        progress(EVALUATING_SHARE + 0.02 * number / len(sequences), "drawing the sheets")
        own = [result for result in results if result.sequence == sequence.name]
        write_sheet(sheets / f"{sequence.name}.png", sequence, own, out / "pictures" / sequence.name, args.size)
    settings = {
        name: value for name, value in vars(args).items() if name not in ("verb", "verbose", "progress", "workers")
    }
    notes = [] if args.lpips else ["LPIPS is missing: it needs weights that do not ship; give --vgg16 and --lpips"]
    report = report_of(results, methods, settings, notes)
    write_json(out / "report.json", report)
    progress(1.0, "done")
    return {"report": str(out / "report.json"), "sheets": str(sheets), "table": "\n" + table_of(report)}


def _check(args: argparse.Namespace) -> None:
    for name, least in (("sequences", 1), ("frames", 1), ("size", LEAST_PX), ("workers", 1), ("seed", 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise InputError(f"--{name} {value} is less than {least}: give {least} or more")
    if args.lpips is not None and args.vgg16 is None:
        raise InputError("--lpips needs VGG-16 too: add --vgg16 with torchvision's vgg16 weights (.pth)")


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path} ({error.strerror}): choose another one") from error
    return path
