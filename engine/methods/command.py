"""`python -m engine personalize PHOTO…|capture.json|VIDEO|FOLDER -o NAME.palmhand`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..capture.command import add_capture_options
from ..errors import InputError
from ..files import check_output
from ..progress import Progress, sub_progress
from .xhand_options import add_xhand_arguments, refuse_other_options, refuse_xhand_options

if TYPE_CHECKING:
    from .config import HarpConfig

MIN_TEXTURE_PX, MAX_TEXTURE_PX = 128, 8192
MOST_FRAMES = 64
"""Photos, or frames of a video, in one run."""
MOST_VIDEO_FRAMES = 600
"""Of a video with harp: crops of more would fill a small machine's memory."""
CAPTURE_SHARE = 0.15
"""Of the progress bar."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="PHOTO",
        help="photo of a hand, or several of the same hand in the same light; or one video; or what capture wrote of one of "
        "them; with --method harp or xhand the folder of a sequence with known poses",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="avatar folder to write, NAME.palmhand")
    parser.add_argument(
        "--method",
        choices=("palm", "harp", "xhand"),
        default="palm",
        help="palm: a prior that has learned many hands is fitted (default); harp: mesh and textures fitted to one photo or "
        "one video alone; xhand: a hand whose shape and skin follow its pose, learned from a sequence seen by many cameras",
    )
    parser.add_argument(
        "--prior",
        metavar="open|PATH",
        help="palm: the NAME.palmprior to fit (default: open, which ships with the project)",
    )
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help="of a video: how many of its frames are used, evenly chosen (default 6; with harp all, up to 600)",
    )
    parser.add_argument(
        "--hold-out",
        type=int,
        metavar="K",
        help="of a video or sequence: every how many-th frame, or moment, has no say and measures the avatar (harp: default 10; "
        "xhand: none; 0: none)",
    )
    parser.add_argument(
        "--template",
        choices=("hand", "forearm"),
        help="harp, with the open hand: forearm where the masks show it (default: hand, which ends at the wrist)",
    )
    parser.add_argument(
        "--no-shadow", action="store_true", help="harp: skin does not shade itself from the lamp, for comparison"
    )
    parser.add_argument(
        "--quality",
        choices=("draft", "standard", "paper"),
        default="standard",
        help="draft: a quick look; paper: with palm, as many rays and samples as published",
    )
    parser.add_argument(
        "--mesh", choices=("template", "marching"), help="palm: the hand model's mesh (default), or marching cubes"
    )
    parser.add_argument(
        "--detail",
        action=argparse.BooleanOptionalAction,
        help="palm: whether moles, scars, nails and such are taken from the photo (default) or left out",
    )
    parser.add_argument(
        "--texture-size", type=int, metavar="PX", help="side of the textures (default 1024; xhand 2048; draft 512)"
    )
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where to compute (default cpu)")
    parser.add_argument(
        "--vgg16", type=Path, help="torchvision's VGG-16 weights for the perceptual term (default: a pyramid instead)"
    )
    parser.add_argument(
        "--lpips", type=Path, help="palm: LPIPS's v0.1 vgg.pth, with --vgg16: the paper's perceptual term"
    )
    add_capture_options(parser)
    parser.add_argument("--force", action="store_true", help="replace an existing avatar once the new one is complete")
    add_xhand_arguments(parser)


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    if args.output.suffix != ".palmhand":
        raise InputError(f"{args.output} should end in .palmhand: name the avatar folder NAME.palmhand")
    check_output(args.output, args.force)
    if args.force and args.output.exists() and not args.output.is_dir():
        raise InputError(f"{args.output} is a file, not an avatar folder: choose another name")
    if args.texture_size is not None and not MIN_TEXTURE_PX <= args.texture_size <= MAX_TEXTURE_PX:
        raise InputError(
            f"--texture-size {args.texture_size} is not between {MIN_TEXTURE_PX} and {MAX_TEXTURE_PX}: try 1024 or 2048"
        )
    _check_inputs(args.inputs, folders=args.method != "palm")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed} is negative: give 0 or more")
    if args.method == "xhand":
        from .xhand_command import run_xhand

        refuse_other_options(args)
        return run_xhand(args, progress)
    refuse_xhand_options(args)
    most = MOST_FRAMES if args.method == "palm" else MOST_VIDEO_FRAMES
    if args.frames is not None and not 1 <= args.frames <= most:
        raise InputError(
            f"--frames {args.frames} is not between 1 and {most}: try {6 if most == MOST_FRAMES else most}"
        )
    if args.method == "palm":
        from .palm_command import run_palm

        _refuse_harp_options(args)

        args.mesh, args.detail = args.mesh or "template", args.detail is not False
        return run_palm(args, progress)
    _refuse_palm_options(args)
    if is_video(args.inputs):
        from .harp_video_command import run_video

        return run_video(args, progress)
    if args.hold_out is not None:
        raise InputError(f"--hold-out {args.hold_out} is for videos: leave it out, {args.inputs[0]} is none")
    return _personalize(args, progress)


def is_video(inputs: Sequence[Path]) -> bool:
    """Whether the input is one video, the captures of one, or a sequence's folder. Raises InputError."""
    from ..capture.video import VIDEO_SUFFIXES
    from .photo_input import holds_frames

    if len(inputs) > 1:
        return False
    kind = inputs[0].suffix.lower()
    return inputs[0].is_dir() or kind in VIDEO_SUFFIXES or (kind == ".json" and holds_frames(inputs[0]))


def _check_inputs(inputs: Sequence[Path], folders: bool) -> None:
    if len(inputs) > MOST_FRAMES:
        raise InputError(f"{len(inputs)} photos are more than {MOST_FRAMES}: give the best of them")
    seen: set[Path] = set()
    for path in inputs:
        if not path.exists():
            raise InputError(f"{path} does not exist: give photos of a hand, a video, or what capture wrote of one")
        if path.is_dir() and not (folders and len(inputs) == 1):
            raise InputError(
                f"{path} is a folder: give the photos in it, or capture it as a video and give captures.json"
            )
        if path.resolve() in seen:
            raise InputError(f"{path} is given twice: give each photo once")
        seen.add(path.resolve())


def _refuse_palm_options(args: argparse.Namespace) -> None:
    given = [f"--{name}" for name in ("prior", "mesh", "lpips") if getattr(args, name) is not None]
    given += [] if args.detail is None else ["--detail" if args.detail else "--no-detail"]
    given += ["--quality paper"] if args.quality == "paper" else []
    if given:
        raise InputError(f"{', '.join(given)} would change nothing with --method harp: leave one of them out")


def _refuse_harp_options(args: argparse.Namespace) -> None:
    given = ["--hold-out"] if args.hold_out is not None else []
    given += ["--no-shadow"] if args.no_shadow else []
    given += [] if args.template is None else [f"--template {args.template}"]
    if given:
        raise InputError(
            f"{', '.join(given)} would change nothing with --method palm: leave it out, or add --method harp"
        )


def _personalize(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    import time

    from ..training.perceptual import term_name
    from .harp import personalize
    from .output import outcome, write_personalised
    from .photo_input import capture_metrics, captured_photo, charted_hand_model, device_named, provenance_of

    started = time.monotonic()
    device = device_named(args.device)
    capture, image, mask = captured_photo(args, sub_progress(progress, 0.0, CAPTURE_SHARE))
    captured = time.monotonic()
    config = config_of(args)
    model = charted_hand_model(args, capture.handedness).to(device)
    result = personalize(capture, image, mask, model, config, sub_progress(progress, CAPTURE_SHARE, 0.93))
    progress(0.93, "writing the avatar")
    provenance = {**provenance_of(args, [capture], captured - started), "perceptual_term": term_name(args.vgg16)}
    avatar = write_personalised(args.output, result, provenance, capture_metrics([capture]), args.force)
    progress(1.0, "done", preview=args.output / "preview.png")
    return outcome(args.output, avatar, started)


def config_of(args: argparse.Namespace) -> HarpConfig:
    """What the options say of a HARP personalisation."""
    import dataclasses

    from .config import quality

    config = dataclasses.replace(
        quality(args.quality), seed=args.seed, vgg16_weights=args.vgg16, shadow=not args.no_shadow
    )
    return config if args.texture_size is None else dataclasses.replace(config, texture_px=args.texture_size)
