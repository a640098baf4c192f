"""`python -m engine evaluate --dataset DIR --protocol palm-interhand --methods palm,harp,mean -o REPORT`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError, OutputError
from ..progress import Progress, sub_progress
from .protocols import PROTOCOLS

DEFAULT_METHODS = {
    "harp-relit": "palm,palm-codes,harp,mean,truth",
    "palm-interhand": "palm,harp,mean",
    "harp-video": "palm,harp,harp-video,mean",
}
ABLATIONS = ("palm-raw", "palm-published", "palm-no-light", "palm-no-normals")
LEAST_PX = 32
EVALUATING_SHARE = 0.9
"""Of the progress bar."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("--dataset", type=Path, metavar="DIR", help="the set to evaluate on")
    parser.add_argument(
        "--protocol",
        choices=tuple(PROTOCOLS),
        default="harp-relit",
        help="what is compared, and how (default harp-relit)",
    )
    parser.add_argument(
        "--methods",
        metavar="A,B,…",
        help="default: "
        + "; ".join(f"{names} for {protocol}" for protocol, names in DEFAULT_METHODS.items())
        + f"; also the ablations {', '.join(ABLATIONS)}",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="REPORT",
        help="folder of report, page, sheets and avatars; goes on in one",
    )
    parser.add_argument(
        "--report-only", action="store_true", help="make page and sheets of the report in REPORT anew, and nothing else"
    )
    parser.add_argument(
        "--prior",
        metavar="open|PATH",
        help="of palm, palm-codes and mean: the shipped one (default) or a NAME.palmprior",
    )
    parser.add_argument("--prior-no-normals", type=Path, metavar="PATH", help="one trained without scan normals")
    parser.add_argument("--hand-model", type=Path, metavar="PATH", help="MANO_RIGHT.pkl, for sets of MANO's parameters")
    parser.add_argument(
        "--masks", type=Path, metavar="DIR", help="LABEL.png for pictures of sets that have no masks (255 = hand)"
    )
    parser.add_argument(
        "--quality", choices=("draft", "standard", "paper"), default="standard", help="of personalisation"
    )
    parser.add_argument(
        "--capture",
        choices=("known", "detected"),
        default="known",
        help="known: the set's pose, camera and mask (default); detected: as for any photo",
    )
    parser.add_argument(
        "--test-light",
        choices=("own", "fitted"),
        default="own",
        help="own: avatars stand in the light that they estimated (default); fitted: in one fitted to each picture, an upper "
        "bound (not for harp-relit, which knows the true light)",
    )
    parser.add_argument(
        "--test-pose",
        choices=("known", "refined"),
        default="known",
        help="known: the sequence's poses (default); refined: found anew with each avatar first, for harp-video",
    )
    parser.add_argument("--sequences", type=int, metavar="N", help="the first N (default: all)")
    parser.add_argument(
        "--frames", type=int, metavar="N", help="evaluation frames of a sequence, evenly chosen (default: all)"
    )
    parser.add_argument(
        "--size",
        type=int,
        metavar="PX",
        help="longer side of compared pictures (default: "
        + ", ".join(f"{protocol.longest_px} for {name}" for name, protocol in PROTOCOLS.items())
        + ")",
    )
    parser.add_argument("--vgg16", type=Path, help="torchvision's VGG-16 weights, for LPIPS and the perceptual term")
    parser.add_argument("--lpips", type=Path, help="LPIPS's v0.1 vgg.pth, with --vgg16")
    parser.add_argument("--alexnet", type=Path, help="torchvision's AlexNet weights, for LPIPS alex")
    parser.add_argument("--lpips-alex", type=Path, help="LPIPS's v0.1 alex.pth, with --alexnet")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="sequences at the same time (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    if args.report_only:
        report = _kept_report(args.output)
    else:
        _check(args)
        report = _evaluated(args, sub_progress(progress, 0.0, EVALUATING_SHARE))
    from .pages import write_pages
    from .report import protocol_of, table_of

    written = write_pages(args.output, report, sub_progress(progress, EVALUATING_SHARE, 1.0))
    progress(1.0, "done")
    return {
        "report": str(args.output / "report.json"),
        "page": str(written.page),
        "sheets": str(written.sheets),
        "table": "\n" + table_of(report, protocol_of(report)),
    }


def _evaluated(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from ..files import write_json
    from ..methods.open_prior import prior_folder
    from ..training.ms_ssim import LEAST_PX as MS_SSIM_LEAST_PX
    from .avatar_picture import PictureConfig
    from .packages import metric_package
    from .personalisers import METHODS, check_methods
    from .report import all_scores, report_of
    from .run import evaluate_all
    from .sets import read_set
    from .settings import MakingConfig, hand_model_of
    from .unit import ProtocolConfig, networks_of

    for name in ("skimage", "flip_evaluator"):
        metric_package(name)
    progress(0.0, "reading the set")
    protocol = PROTOCOLS[args.protocol]
    told = DEFAULT_METHODS[protocol.name] if args.methods is None else args.methods
    methods = tuple(name.strip() for name in told.split(",") if name.strip())
    wants_prior = any(name in METHODS and METHODS[name].prior == "prior" for name in methods)
    prior = prior_folder(args.prior) if wants_prior else None
    making = MakingConfig(
        *(prior, args.prior_no_normals, args.quality, args.capture, args.seed, args.vgg16, args.lpips, args.hand_model)
    )
    check_methods(methods, making)
    fits_light = args.test_light == "fitted"
    size = protocol.longest_px if args.size is None else args.size
    pictures = PictureConfig(longest_px=size, seed=args.seed)
    config = ProtocolConfig(
        making, pictures, args.frames, protocol, args.alexnet, args.lpips_alex, fits_light, args.test_pose == "refined"
    )
    networks = networks_of(config)
    found = read_set(args.dataset, protocol, hand_model_of(making), args.sequences, args.masks)
    out = _folder(args.output)
    results = evaluate_all(found.sequences, methods, out, config, args.workers, progress)
    kept_out = ("verb", "verbose", "progress", "workers", "parent_pipe", "report_only", "output")
    settings = {name: value for name, value in vars(args).items() if name not in kept_out} | {
        "methods": ",".join(methods),
        "size": size,
    }
    notes = list(found.notes)
    if fits_light:
        notes.append(
            "the light was fitted to the judged pictures themselves: an upper bound, not comparable with others"
        )
    if networks.vgg is None and "lpips_vgg" in protocol.scores:
        notes.append("LPIPS is missing: it needs weights that do not ship; give --vgg16 and --lpips")
    if networks.alex is None and "lpips_alex" in protocol.scores:
        notes.append("LPIPS alex is missing: it needs weights that do not ship; give --alexnet and --lpips-alex")
    if "ms_ssim" in protocol.scores and any("ms_ssim" not in scores for scores in all_scores(results)):
        notes.append(
            f"MS-SSIM is missing of pictures under {MS_SSIM_LEAST_PX} pixels: its five scales need that many on the shorter side"
        )
    report = report_of(results, methods, settings, notes, protocol)
    write_json(out / "report.json", report)
    return report


def _kept_report(folder: Path) -> dict[str, Any]:
    from ..files import read_json
    from .report_check import checked_report

    path = folder / "report.json"
    return checked_report(read_json(path, "report of an evaluation"), path)


def _check(args: argparse.Namespace) -> None:
    if args.dataset is None:
        raise InputError(
            "--dataset is missing: give the folder of a set, or --report-only for the report that is there"
        )
    for name, least in (("sequences", 1), ("frames", 1), ("size", LEAST_PX), ("workers", 1), ("seed", 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise InputError(f"--{name} {value} is less than {least}: give {least} or more")
    if args.lpips is not None and args.vgg16 is None:
        raise InputError("--lpips needs VGG-16 too: add --vgg16 with torchvision's vgg16 weights (.pth)")
    if args.lpips_alex is not None and args.alexnet is None:
        raise InputError("--lpips-alex needs AlexNet too: add --alexnet with torchvision's alexnet weights (.pth)")
    if args.test_light == "fitted" and PROTOCOLS[args.protocol].lit_frames:
        raise InputError(f"--test-light fitted is not for {args.protocol}, whose true light is known: leave it out")
    if args.test_pose == "refined" and not PROTOCOLS[args.protocol].held_out:
        raise InputError(f"--test-pose refined is for harp-video, not for {args.protocol}: leave it out")
    if args.masks is not None and not args.masks.is_dir():
        raise InputError(f"--masks {args.masks} is not a folder: give the folder of LABEL.png")


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path} ({error.strerror}): choose another one") from error
    return path
