"""`python -m engine capture PHOTO|VIDEO|FOLDER -o capture.json`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, OutputError
from ..files import atomic_file, check_output
from ..progress import Progress

if TYPE_CHECKING:
    from .photo import CaptureResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("input", type=Path, help="photo, video file, or folder of frames")
    parser.add_argument("-o", "--output", type=Path, required=True, help="capture.json to write; masks go beside it")
    parser.add_argument("--overlay", type=Path, help="also write a picture that shows the result (PNG or JPEG)")
    add_capture_options(parser)
    parser.add_argument("--force", action="store_true", help="replace existing output")


def add_capture_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what to find or take as given; other commands that start from a photo share them."""
    parser.add_argument(
        "--hand", metavar="left|right|INDEX", help="which hand, when there are several (default: the largest)"
    )
    parser.add_argument("--focal-px", type=float, help="focal length in pixels (default: EXIF, else 50 mm equivalent)")
    parser.add_argument("--mask", type=Path, help="PNG of the photo's size, white on the hand")
    parser.add_argument("--pose", type=Path, help="MANO pose (.npz, .json, .npy, .pkl) or HaMeR output to keep")
    parser.add_argument("--keypoints", type=Path, help="JSON with 21 keypoints, instead of detecting them")
    parser.add_argument("--camera", type=Path, help='JSON with "K", "fx".. or "focal_px"')
    parser.add_argument("--hand-model", type=Path, help="MANO_RIGHT.pkl or .npz (default: the bundled open hand)")
    parser.add_argument("--seed", type=int, default=0, help="seed of random numbers (default 0)")


def options_from(args: argparse.Namespace) -> Any:
    """CaptureOptions from parsed arguments."""
    from .options import CaptureOptions

    names = ("hand", "focal_px", "mask", "pose", "keypoints", "camera", "hand_model", "seed")
    return CaptureOptions(**{name: getattr(args, name) for name in names})


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    if args.output.suffix.lower() != ".json":
        raise CaptureError(f"{args.output} does not end in .json: name the capture file like capture.json")
    if args.overlay is not None and args.overlay.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise CaptureError(f"{args.overlay} is neither PNG nor JPEG: name the overlay like overlay.png")
    if not args.input.exists():
        raise CaptureError(f"{args.input} does not exist: give a photo, a video or a folder of frames")
    from .video import VIDEO_SUFFIXES

    is_video = args.input.is_dir() or args.input.suffix.lower() in VIDEO_SUFFIXES
    _check_outputs(args, is_video)
    return _run_video(args, progress) if is_video else _run_photo(args, progress)


def _check_outputs(args: argparse.Namespace, is_video: bool) -> None:
    """Everything that will be written, before any work: no existing file without --force, and never a file that is read.

    Raises OutputError.
    """
    from .capture_file import mask_folder_of, mask_path_of

    files = [args.output] if args.overlay is None else [args.output, args.overlay]
    outputs = [*files, mask_folder_of(args.output)] if is_video else [*files, mask_path_of(args.output)]
    for path in outputs:
        check_output(path, args.force)
        if path.is_dir() and path != mask_folder_of(args.output):
            raise OutputError(f"{path} is a folder: choose another name")
    given = (args.mask, args.pose, args.keypoints, args.camera, args.hand_model)
    inputs = [args.input, *(path for path in given if path is not None)]
    if args.input.is_dir():
        inputs.extend(args.input.iterdir())
    for number, output in enumerate(outputs):
        for read in inputs:
            if _replaces(output, read):
                raise OutputError(f"{output} would replace {read}, which is read: choose another name for the output")
        for other in outputs[:number]:
            if _replaces(output, other):
                raise OutputError(f"{output} and {other} are both to be written: choose another name for one")


def _replaces(output: Path, other: Path) -> bool:
    """Whether writing `output` destroys `other`: they are the same file, or `other` lies in the folder `output`."""
    # realpath, for resolve() fails on links that lead in a circle
    place = Path(os.path.realpath(other))
    same_file = output.exists() and other.exists() and output.samefile(other)
    return same_file or Path(os.path.realpath(output)) in (place, *place.parents)


def _run_photo(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from .capture_file import write_capture
    from .photo import capture_photo

    result = capture_photo(args.input, options_from(args), progress)
    with _overlay_file(args.overlay, result):
        capture = write_capture(args.output, result.capture, result.mask, args.force)
    progress(1.0, "done", preview=args.overlay)
    return {
        "capture": str(args.output),
        "mask": str(args.output.with_name(capture.mask)),
        "overlay": None if args.overlay is None else str(args.overlay),
        "handedness": capture.handedness,
        "quality": vars(capture.quality),
    }


def _run_video(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from .capture_file import write_captures
    from .video import capture_video

    result = capture_video(args.input, options_from(args), progress)
    found = [number for number, capture in enumerate(result.captures) if capture is not None]
    shown = None if args.overlay is None else result.frame_result(found[len(found) // 2])
    with _overlay_file(args.overlay, shown):
        write_captures(args.output, result.captures, result.masks, result.fps, args.force)
    progress(1.0, "done", preview=args.overlay)
    qualities = [result.captures[number].quality for number in found]  # type: ignore[union-attr]
    return {
        "capture": str(args.output),
        "overlay": None if args.overlay is None else str(args.overlay),
        "frames": len(result.captures),
        "captured": len(found),
        "handedness": result.captures[found[0]].handedness,  # type: ignore[union-attr]
        "quality": {
            "reprojection_relative": sum(q.reprojection_relative for q in qualities) / len(qualities),
            "mask_iou": sum(q.mask_iou for q in qualities) / len(qualities),
        },
    }


@contextmanager
def _overlay_file(path: Path | None, result: CaptureResult | None) -> Iterator[None]:
    """Draws the overlay before the block and moves it into place after it, where one is wanted: it never stands alone."""
    if path is None or result is None:
        yield
        return
    from PIL import Image

    from .photo import overlay_of

    with atomic_file(path) as temporary:
        Image.fromarray(overlay_of(result)).save(temporary, quality=92)
        yield
