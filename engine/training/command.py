"""`python -m engine train-prior --data DIR --config open|official -o NAME.palmprior [--resume]`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import check_output
from ..progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of subjects in PALM's layout; or with train/ and val/ in it"
    )
    parser.add_argument(
        "--config",
        choices=("open", "cohort", "official"),
        default="open",
        help="size of fields and run; cohort: the bundled prior's, on sets that know their skin (build.py cohort)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="prior to write, NAME.palmprior")
    parser.add_argument("--resume", action="store_true", help="go on from the output's last checkpoint")
    parser.add_argument("--force", action="store_true", help="start anew where the output exists")
    parser.add_argument(
        "--steps",
        type=int,
        help="optimiser steps; the stages keep their shares (open 1200, cohort 3000, official 24000)",
    )
    parser.add_argument("--pretrain-steps", type=int, help="steps that fit the geometry to the hand model first")
    parser.add_argument(
        "--known-steps", type=int, help="steps that fit the skin at known points (cohort 5000; 0: none)"
    )
    parser.add_argument(
        "--images", type=int, help="images a step, over all processes (open and cohort 4, official 128)"
    )
    parser.add_argument("--quality", type=Path, help="PALM's quality_dict_*.npy; with --best")
    parser.add_argument("--best", type=int, help="use only this many frames, those of least error")
    parser.add_argument(
        "--keep-incomplete", action="store_true", help="leave out what does not fit, and say what, instead of stopping"
    )
    parser.add_argument(
        "--hold-out", type=int, default=8, metavar="N", help="without val/: keep every N-th pose back (0: none)"
    )
    parser.add_argument(
        "--hold-out-views",
        type=int,
        default=0,
        metavar="N",
        help="keep every N-th picture of all back besides (0: none)",
    )
    parser.add_argument(
        "--exclude",
        default="",
        metavar="NAMES",
        help="subjects that nothing here touches, such as 0000-0011,0042",
    )
    parser.add_argument("--no-scan-normals", action="store_true", help="do not use the set's normals (an ablation)")
    parser.add_argument("--hand-model", type=Path, help="MANO_RIGHT.pkl or .npz; default: the bundled open hand")
    parser.add_argument(
        "--vgg16", type=Path, help="torchvision's VGG-16 weights for the perceptual term (default: a pyramid)"
    )
    parser.add_argument("--lpips", type=Path, help="LPIPS's v0.1 vgg.pth, with --vgg16: the paper's perceptual term")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where to compute (default cpu)")
    parser.add_argument(
        "--grid-backend", choices=("warp", "tinycudann"), default="warp", help="tinycudann: where installed, with CUDA"
    )
    parser.add_argument("--seed", type=int, default=42)


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    if args.output.suffix != ".palmprior":
        raise InputError(f"{args.output} should end in .palmprior: name the prior NAME.palmprior")
    if args.resume and args.force:
        raise InputError("--resume goes on and --force starts anew: give one of them")
    for name in ("steps", "pretrain_steps", "images", "best"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} {value} is not 1 or more")
    for name in ("hold_out", "hold_out_views", "known_steps", "seed"):
        value = getattr(args, name)
        if value is not None and value < 0:
            raise InputError(f"--{name.replace('_', '-')} {value} is negative: give 0 or more")
    for name, what in (("hold_out", "pose"), ("hold_out_views", "picture")):
        if getattr(args, name) == 1:
            option = f"--{name.replace('_', '-')} 1"
            raise InputError(f"{option} would leave no {what} to train on: give 2 or more, or 0 for none")
    if args.resume and not args.output.is_dir():
        raise InputError(f"{args.output} does not exist, so there is nothing to resume: leave out --resume")
    check_output(args.output, force=args.force or args.resume)
    from .job import train_prior

    return train_prior(args, progress)
