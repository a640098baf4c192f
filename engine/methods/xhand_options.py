"""Options of `personalize` that only XHand takes, and which of the others it does not. Imports nothing heavy."""

from __future__ import annotations

import argparse

from ..errors import InputError

NAMES = ("sequence", "views", "hold_out_cameras", "hold_out_frames")


def add_xhand_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this method takes."""
    group = parser.add_argument_group("xhand, of the folder of a sequence with known poses")
    group.add_argument("--sequence", metavar="NAME", help="which sequence, where the folder holds several")
    group.add_argument("--views", type=int, metavar="N", help="learn from this many of its cameras, evenly chosen")
    group.add_argument("--hold-out-cameras", metavar="NAMES", help="cameras that only measure the avatar, as a,b,c")
    group.add_argument("--hold-out-frames", metavar="NUMBERS", help="moments that only measure it, as 3,7,20-25")
    group.add_argument(
        "--light-per-camera", action="store_true", help="each camera has its own light (default: one for all)"
    )


def refuse_xhand_options(args: argparse.Namespace) -> None:
    """Raise InputError where another method is given an option of this one."""
    given = [f"--{name.replace('_', '-')}" for name in NAMES if getattr(args, name) is not None]
    given += ["--light-per-camera"] if args.light_per_camera else []
    if given:
        raise InputError(f"{', '.join(given)} would change nothing with --method {args.method}: leave it out")


def refuse_other_options(args: argparse.Namespace) -> None:
    """Raise InputError where this method is given several inputs, no folder, or an option of another one."""
    if len(args.inputs) != 1 or not args.inputs[0].is_dir():
        raise InputError(f"{args.inputs[0]} is not the folder of one sequence: --method xhand learns from many cameras")
    given = [f"--{name}" for name in ("prior", "mesh", "lpips", "vgg16", "frames", "template") if getattr(args, name)]
    given += [] if args.detail is None else ["--detail" if args.detail else "--no-detail"]
    given += ["--no-shadow"] if args.no_shadow else []
    if given:
        raise InputError(f"{', '.join(given)} would change nothing with --method xhand: leave it out")
