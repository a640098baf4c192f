"""`python -m engine look PHOTO -o NAME.palmlook`: what is seen in a photo, so that a person can correct it before the work.

The folder holds `photo.png` (upright, at most 1800 px), `seen.png` (the same with the mask; only where a hand was found) and
`look.json`: image_size (the size that keypoints are given in), handedness, keypoints [21,2] px in the project's order, found,
message, quality. Where no hand is found, the keypoints are a flat hand's, laid over the photo to be moved.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CaptureError, InputError, MissingDependencyError
from ..files import atomic_folder, check_output, write_json
from ..progress import Progress, sub_progress
from .command import add_capture_options, options_from

if TYPE_CHECKING:
    from ..hand.model import HandModel

LONGEST_PX = 1800
TEMPLATE_SHARE = 0.62
"""Of the photo's shorter side, that the flat hand's longer one takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("input", type=Path, metavar="PHOTO", help="photo of a hand")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write, NAME.palmlook")
    add_capture_options(parser)
    parser.add_argument("--force", action="store_true", help="replace an existing folder")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError for a photo or an option that cannot be used."""
    from PIL import Image

    from .images import load_photo
    from .overlay import masked_view
    from .photo import CaptureResult, capture_photo

    if args.output.suffix != ".palmlook":
        raise InputError(f"{args.output} should end in .palmlook: name the folder NAME.palmlook")
    check_output(args.output, args.force)
    progress(0.0, "reading the photo")
    photo = load_photo(args.input)
    result: CaptureResult | None = None
    try:
        result = capture_photo(args.input, options_from(args), sub_progress(progress, 0.05, 0.95))
    except (CaptureError, MissingDependencyError) as error:
        seen = _nothing_found(args, photo.size, str(error))
    else:
        capture = result.capture
        seen = {
            "found": True,
            "message": "",
            "handedness": capture.handedness,
            "keypoints": capture.keypoints_2d.round(3).tolist(),
            "quality": vars(capture.quality),
        }
    with atomic_folder(args.output, args.force) as folder:
        shown = np.ones(photo.pixels.shape[:2], bool)
        Image.fromarray(masked_view(photo.pixels, shown, LONGEST_PX)).save(folder / "photo.png", compress_level=3)
        if result is not None:
            view = masked_view(result.image, result.mask, LONGEST_PX)
            Image.fromarray(view).save(folder / "seen.png", compress_level=3)
        write_json(folder / "look.json", {"image_size": list(photo.size), "order": "palm", **seen})
    progress(1.0, "done", preview=args.output / ("photo.png" if result is None else "seen.png"))
    return {"look": str(args.output), **{name: seen[name] for name in ("found", "message", "handedness")}}


def _nothing_found(args: argparse.Namespace, size: tuple[int, int], message: str) -> dict[str, Any]:
    from .options import hand_model_for

    side = args.hand if args.hand in ("left", "right") else "right"
    keypoints = template_keypoints(hand_model_for(side, options_from(args)), size)
    return {
        "found": False,
        "message": message,
        "handedness": side,
        "keypoints": keypoints.round(3).tolist(),
        "quality": None,
    }


def template_keypoints(model: HandModel, size: tuple[int, int]) -> np.ndarray:
    """[21,2] px: the flat hand of a model, its back to the viewer and its fingers up, in the middle of a photo (w, h)."""
    import torch

    from ..hand.mano import hand_forward

    zeros = torch.zeros(1, 45).to(model.v_template)
    hand = hand_forward(model, zeros[0, :10], zeros[:, :3], zeros)
    points = hand.keypoints[0].double().cpu().numpy()
    # rest frame: fingers along -x (right) or +x (left), thumb towards +z, back towards +y
    right = 1.0 if model.side == "right" else -1.0
    flat = np.stack([-right * points[:, 2], right * points[:, 0]], axis=1)
    low, high = flat.min(0), flat.max(0)
    scale = TEMPLATE_SHARE * min(size) / float((high - low).max())
    return (flat - (low + high) / 2) * scale + np.array(size) / 2
