"""`python -m engine personalize PHOTO|capture.json -o NAME.palmhand`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..capture.command import add_capture_options, options_from
from ..errors import InputError
from ..files import check_output
from ..progress import Progress, sub_progress

MIN_TEXTURE_PX, MAX_TEXTURE_PX = 128, 8192
CAPTURE_SHARE = 0.15
"""Of the progress bar."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("input", type=Path, help="photo of a hand, or the capture.json of one")
    parser.add_argument("-o", "--output", type=Path, required=True, help="avatar folder to write, NAME.palmhand")
    parser.add_argument(
        "--method", choices=("harp",), default="harp", help="harp: mesh and textures fitted to the photo"
    )
    parser.add_argument(
        "--quality", choices=("draft", "standard"), default="standard", help="draft: a look within seconds"
    )
    parser.add_argument("--texture-size", type=int, metavar="PX", help="side of the textures (default 1024; draft 512)")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where to compute (default cpu)")
    parser.add_argument(
        "--vgg16",
        type=Path,
        help="torchvision's VGG-16 weights for HARP's perceptual term (default: a pyramid instead)",
    )
    add_capture_options(parser)
    parser.add_argument("--force", action="store_true", help="replace an existing avatar once the new one is complete")


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
    if not args.input.exists():
        raise InputError(f"{args.input} does not exist: give a photo of a hand, or the capture.json of one")
    if args.input.is_dir():
        raise InputError(f"{args.input} is a folder: give one photo of a hand, or the capture.json of one")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed} is negative: give 0 or more")
    return _personalize(args, progress)


def _personalize(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    import dataclasses
    import time

    from .config import quality
    from .harp import personalize
    from .output import write_personalised

    started = time.monotonic()
    device = _device(args.device)
    capture, image, mask = _capture(args, sub_progress(progress, 0.0, CAPTURE_SHARE))
    captured = time.monotonic()
    config = dataclasses.replace(quality(args.quality), seed=args.seed, vgg16_weights=args.vgg16)
    if args.texture_size is not None:
        config = dataclasses.replace(config, texture_px=args.texture_size)
    model = _hand_model(args, capture.handedness).to(device)
    result = personalize(capture, image, mask, model, config, sub_progress(progress, CAPTURE_SHARE, 0.93))
    progress(0.93, "writing the avatar")
    provenance = _provenance(args, capture, captured - started)
    quality_of_capture = {f"capture_{name}": value for name, value in dataclasses.asdict(capture.quality).items()}
    avatar = write_personalised(args.output, result, provenance, quality_of_capture, args.force)
    progress(1.0, "done", preview=args.output / "preview.png")
    return {
        "avatar": str(args.output),
        "preview": str(args.output / "preview.png"),
        "handedness": avatar.handedness,
        "rerender_psnr_db": avatar.metrics.get("rerender_psnr_db"),
        "silhouette_iou": avatar.metrics.get("silhouette_iou"),
        "seconds": round(time.monotonic() - started, 1),
    }


def _capture(args: argparse.Namespace, progress: Progress) -> tuple[Any, Any, Any]:
    """(capture, picture, mask): made from a photo, or read with its photo from a capture file."""
    if args.input.suffix.lower() != ".json":
        from ..capture.photo import capture_photo

        made = capture_photo(args.input, options_from(args), progress)
        return made.capture, made.image, made.mask
    from ..capture.capture_file import read_capture, read_mask
    from ..capture.images import load_photo

    _refuse_capture_options(args)
    capture = read_capture(args.input)
    _check_fitted_hand(args, capture)
    photo = load_photo(_photo_of(args.input, capture.image))
    if photo.sha256 != capture.image_sha256 or photo.size != capture.image_size:
        raise InputError(f"{photo.path} is not the picture that {args.input} was made from: capture it again")
    return capture, photo.pixels, read_mask(args.input, capture)


def _refuse_capture_options(args: argparse.Namespace) -> None:
    """A capture file has settled what these options would settle."""
    given = [
        name for name in ("hand", "focal_px", "mask", "pose", "keypoints", "camera") if getattr(args, name) is not None
    ]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InputError(
            f"{flags} cannot change {args.input}, which is fitted already: give the photo, or capture it again"
        )


def _check_fitted_hand(args: argparse.Namespace, capture: Any) -> None:
    """Betas mean something only with the hand model that they were fitted with; HARP works in the camera's frame."""
    import numpy as np

    from ..capture.options import hand_model_name

    if capture.hand_model != hand_model_name(options_from(args)):
        remedy = "leave out --hand-model" if capture.hand_model == "open" else f"add --hand-model {capture.hand_model}"
        raise InputError(f"{args.input} was fitted with the hand model {capture.hand_model!r}: {remedy}")
    if not np.allclose(capture.world_to_camera, np.eye(4), atol=1e-6):
        raise InputError(f"{args.input} has a moved camera: capture the photo again, its camera is then the origin")


def _photo_of(capture_path: Path, named: str) -> Path:
    """The capture's photo: where it says, or beside the capture file."""
    for candidate in (Path(named), capture_path.parent / named, capture_path.parent / Path(named).name):
        if named and candidate.is_file():
            return candidate
    raise InputError(f"the photo {named!r} of {capture_path} is missing: put it beside the capture file")


def _hand_model(args: argparse.Namespace, side: str) -> Any:
    from ..capture.options import hand_model_for
    from ..hand.atlas import with_texture_charts

    return with_texture_charts(hand_model_for(side, options_from(args)))


def _device(name: str) -> Any:
    import torch

    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name} cannot be used here: use cpu") from error
    return device


def _provenance(args: argparse.Namespace, capture: Any, capture_seconds: float) -> dict[str, Any]:
    import platform

    import numpy
    import torch

    from .. import __version__

    return {
        "program": f"PALM Hands {__version__}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__},
        "input": Path(capture.image).name,
        "input_sha256": capture.image_sha256,
        "quality": args.quality,
        "perceptual_term": "laplacian pyramid" if args.vgg16 is None else f"vgg16 ({args.vgg16.name})",
        "hand_model": capture.hand_model,
        "focal_source": capture.focal_source,
        "capture_s": round(capture_seconds, 2),
    }
