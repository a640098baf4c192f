"""`python -m engine view NAME.palmhand [--poses FILE] [--out FOLDER|FILM.mp4]`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..progress import Progress

SMALLEST_PX, LARGEST_PX = 16, 4096
FRAMES = 60
"""Where no poses are given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("avatar", type=Path, help="NAME.palmhand")
    parser.add_argument("--poses", type=Path, metavar="FILE", help="poses of any tool, or captures.json, to play")
    parser.add_argument(
        "--out",
        "-o",
        type=Path,
        metavar="PATH",
        help="write frames into this folder, or a film NAME.mp4, without a window",
    )
    parser.add_argument("--size", default="512", metavar="PX|WxH", help="of the pictures (default 512: square)")
    parser.add_argument("--frames", type=int, metavar="N", help=f"at most so many (default: all poses, or {FRAMES})")
    parser.add_argument(
        "--neural",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="with the neural renderer, where the avatar has one (default: it has)",
    )
    parser.add_argument("--azimuth", type=float, default=0.0, metavar="DEG", help="the camera goes around to its right")
    parser.add_argument("--elevation", type=float, default=0.0, metavar="DEG", help="the camera rises")
    parser.add_argument("--light", type=float, default=0.0, metavar="DEG", help="turn the light about the vertical")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where to compute (default cpu)")
    parser.add_argument(
        "--force", action="store_true", help="replace existing frames or film once the new ones are complete"
    )


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    from .photo_input import device_named
    from .view_open import held_as, open_hand, poses_of_file

    size = picture_size(args.size)
    if args.frames is not None and args.frames < 1:
        raise InputError(f"--frames {args.frames} is not 1 or more")
    if not all(math.isfinite(angle) for angle in (args.azimuth, args.elevation, args.light)):
        raise InputError("--azimuth, --elevation and --light are degrees: give numbers")
    device = device_named(args.device)
    opened = open_hand(args.avatar, device)
    if args.neural and not opened.hand.neural:
        raise InputError(f"{args.avatar} has no neural renderer: leave out --neural")
    neural = opened.hand.neural if args.neural is None else args.neural
    poses, fps, notes = (None, None, ()) if args.poses is None else poses_of_file(args.poses, opened.hand.side, device)
    if poses is not None:
        poses = held_as(opened.own, poses[: args.frames])
    if args.out is None:
        from .view_window import show

        return {**show(opened, poses, fps, size, neural, progress), "notes": list(notes) or None}
    from .view_out import Wanted, write_frames

    angles = tuple(map(math.radians, (args.azimuth, args.elevation, args.light)))
    wanted = Wanted(size, neural, angles, fps, args.force)
    return {
        **write_frames(opened, poses, args.frames or FRAMES, args.out, wanted, progress),
        "notes": list(notes) or None,
    }


def picture_size(words: str) -> tuple[int, int]:
    """(width, height) of "512" or "334x512". Raises InputError."""
    parts = words.lower().replace("×", "x").split("x")
    try:
        sides = [int(part) for part in parts]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or not all(SMALLEST_PX <= side <= LARGEST_PX for side in sides):
        raise InputError(f"--size {words} is no size from {SMALLEST_PX} to {LARGEST_PX} px: write 512, or 334x512")
    return sides[0], sides[-1]
