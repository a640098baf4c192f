"""What a personalisation starts with: photos captured now or before, their hand model, the device, and where they came from."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..capture.command import options_from
from ..errors import InputError
from ..progress import Progress, sub_progress

if TYPE_CHECKING:
    import numpy as np

    from ..capture.capture_file import Capture

OF_ONE_PHOTO = ("mask", "pose", "keypoints", "camera")
"""Capture options that say something of one picture."""
ALONE_SHARE = 0.85
"""Of the work of capturing several photos, that each takes alone."""


class CapturedPhoto(NamedTuple):
    """A picture of a hand and what was found in it."""

    capture: Capture
    image: np.ndarray
    """[H,W,3] uint8 sRGB, upright."""
    mask: np.ndarray
    """[H,W] bool, or [0,1]."""


def captured_photos(args: argparse.Namespace, progress: Progress) -> list[CapturedPhoto]:
    """The photos of a run, all of one hand with the same betas: captured now, or read with their pictures from a capture file.

    One input may be a photo, a video, or a capture file of either; several must be photos. Raises PalmError.
    """
    from ..capture.video import VIDEO_SUFFIXES

    inputs: Sequence[Path] = args.inputs
    kinds = {path: path.suffix.lower() for path in inputs}
    for path, kind in kinds.items():
        if len(inputs) > 1 and (kind == ".json" or kind in VIDEO_SUFFIXES):
            what = "a capture file" if kind == ".json" else "a video"
            raise InputError(f"{path} is {what} and stands for a whole run: give it alone, or give photos only")
    kind = kinds[inputs[0]]
    if kind != ".json" and kind not in VIDEO_SUFFIXES:
        _refuse_frames(args)
        return _captured_now(args, progress)
    from .frames_input import DEFAULT_FRAMES, frames_of_captures, frames_of_video

    count = DEFAULT_FRAMES if args.frames is None else args.frames
    if kind != ".json":
        return frames_of_video(inputs[0], options_from(args), count, progress)
    refuse_capture_options(args, inputs[0])
    if not holds_frames(inputs[0]):
        _refuse_frames(args)
        photos = [_read_photo(inputs[0])]
    else:
        photos = frames_of_captures(inputs[0], count)
    for photo in photos:
        check_fitted_hand(args, inputs[0], photo.capture)
    return photos


def captured_photo(args: argparse.Namespace, progress: Progress) -> CapturedPhoto:
    """The one photo of a run. Raises PalmError; InputError for several photos."""
    if len(args.inputs) > 1:
        raise InputError(
            f"--method {args.method} fits one photo or one video: give one, or leave out --method for several photos"
        )
    return captured_photos(args, progress)[0]


def holds_frames(path: Path) -> bool:
    """Whether a capture file is of a video. Raises InputError."""
    from ..files import read_json

    return "frames" in read_json(path, "capture file")


def _captured_now(args: argparse.Namespace, progress: Progress) -> list[CapturedPhoto]:
    from ..capture.one_shape import with_one_shape
    from ..capture.photo import capture_photo
    from .capture_check import check_capture, check_together

    options, count = options_from(args), len(args.inputs)
    given = [f"--{name}" for name in OF_ONE_PHOTO if getattr(args, name) is not None]
    if count > 1 and given:
        raise InputError(f"{', '.join(given)} belongs to one photo and cannot be used for {count}: leave it out")
    alone = progress if count == 1 else sub_progress(progress, 0.0, ALONE_SHARE)
    made = [
        capture_photo(path, options, sub_progress(alone, number / count, (number + 1) / count))
        for number, path in enumerate(args.inputs)
    ]
    if count > 1:
        # a photo without a sound hand would pull at the shape of all
        for result in made:
            check_capture(result.capture)
    results = with_one_shape(made, options, sub_progress(progress, ALONE_SHARE, 1.0))
    if count > 1:
        check_together([result.capture for result in results])
    return [CapturedPhoto(result.capture, result.image, result.mask) for result in results]


def _read_photo(path: Path) -> CapturedPhoto:
    from ..capture.capture_file import read_capture, read_mask
    from ..capture.images import load_photo

    capture = read_capture(path)
    photo = load_photo(photo_beside(path, capture.image))
    if photo.sha256 != capture.image_sha256 or photo.size != capture.image_size:
        raise InputError(f"{photo.path} is not the picture that {path} was made from: capture it again")
    return CapturedPhoto(capture, photo.pixels, read_mask(path, capture))


def _refuse_frames(args: argparse.Namespace) -> None:
    if args.frames is not None:
        raise InputError(f"--frames {args.frames} is for videos: leave it out, {args.inputs[0]} is none")


def refuse_capture_options(
    args: argparse.Namespace, path: Path, remedy: str = "give the photo, or capture it again"
) -> None:
    """A capture file, or a sequence with known poses, has settled what these options would settle. Raises InputError."""
    given = [
        name for name in ("hand", "focal_px", "mask", "pose", "keypoints", "camera") if getattr(args, name) is not None
    ]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InputError(f"{flags} cannot change {path}, which is fitted already: {remedy}")


def check_fitted_hand(args: argparse.Namespace, path: Path, capture: Capture) -> None:
    """Betas mean something only with the hand model that they were fitted with; the camera's frame is the world."""
    import numpy as np

    from ..capture.options import hand_model_name

    if capture.hand_model != hand_model_name(options_from(args)):
        remedy = "leave out --hand-model" if capture.hand_model == "open" else f"add --hand-model {capture.hand_model}"
        raise InputError(f"{path} was fitted with the hand model {capture.hand_model!r}: {remedy}")
    if not np.allclose(capture.world_to_camera, np.eye(4), atol=1e-6):
        raise InputError(f"{path} has a moved camera: capture the photo again, its camera is then the origin")


def photo_beside(capture_path: Path, named: str) -> Path:
    """The picture that a capture file names: where it says, or beside the file. Raises InputError."""
    for candidate in (Path(named), capture_path.parent / named, capture_path.parent / Path(named).name):
        if named and candidate.is_file():
            return candidate
    raise InputError(f"the photo {named!r} of {capture_path} is missing: put it beside the capture file")


def charted_hand_model(args: argparse.Namespace, side: str) -> Any:
    """The chosen hand model of a side ("right"/"left"), with texture coordinates; the open hand in the chosen template."""
    from ..capture.options import hand_model_for
    from ..hand.atlas import with_texture_charts
    from ..hand.model import open_hand_model

    if getattr(args, "template", None) == "forearm":
        if args.hand_model is not None:
            raise InputError("--template forearm is the open hand's: leave out --hand-model, or the template")
        return open_hand_model(side, template="forearm")
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


def provenance_of(args: argparse.Namespace, captures: Sequence[Capture], capture_seconds: float) -> dict[str, Any]:
    """Where an avatar comes from, as far as all methods know it. "input" is the first picture; of several all are "inputs"."""
    import platform

    import numpy
    import torch

    from .. import __version__

    first = captures[0]
    said = {
        "program": f"PALM Hands {__version__}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__},
        "input": Path(first.image).name,
        "input_sha256": first.image_sha256,
        "quality": args.quality,
        "hand_model": first.hand_model,
        "focal_source": first.focal_source,
        "capture_s": round(capture_seconds, 2),
    }
    return said if len(captures) == 1 else {**said, "inputs": [_source_of(capture) for capture in captures]}


def _source_of(capture: Capture) -> dict[str, Any]:
    frame = {} if capture.frame is None else {"frame": capture.frame}
    return {"name": Path(capture.image).name, "sha256": capture.image_sha256, **frame}


def capture_metrics(captures: Sequence[Capture]) -> dict[str, Any]:
    """How good the captures are: the first photo's numbers, and of several photos the worst of each as well."""
    found = {f"capture_{name}": value for name, value in dataclasses.asdict(captures[0].quality).items()}
    if len(captures) > 1:
        worst = {"reprojection_relative": max, "mask_iou": min}
        for name, choose in worst.items():
            found[f"capture_{name}_worst"] = choose(getattr(capture.quality, name) for capture in captures)
    return found
