"""What a personalisation starts with: a photo captured now or before, its hand model, the device, and where it came from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..capture.command import options_from
from ..errors import InputError
from ..progress import Progress


def captured_photo(args: argparse.Namespace, progress: Progress) -> tuple[Any, Any, Any]:
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


def charted_hand_model(args: argparse.Namespace, side: str) -> Any:
    """The chosen hand model of a side ("right"/"left"), with texture coordinates."""
    from ..capture.options import hand_model_for
    from ..hand.atlas import with_texture_charts

    return with_texture_charts(hand_model_for(side, options_from(args)))


def device_named(name: str) -> Any:
    """The torch device of a name. Raises InputError where it cannot be used."""
    import torch

    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name} cannot be used here: use cpu") from error
    return device


def provenance_of(args: argparse.Namespace, capture: Any, capture_seconds: float) -> dict[str, Any]:
    """Where an avatar comes from, as far as all methods know it."""
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
        "hand_model": capture.hand_model,
        "focal_source": capture.focal_source,
        "capture_s": round(capture_seconds, 2),
    }
