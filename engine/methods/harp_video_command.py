"""`python -m engine personalize VIDEO|captures.json|SEQUENCE --method harp -o NAME.palmhand`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..avatar.texture_files import write_png8
from ..capture.command import options_from
from ..datasets.formats import FORMATS, packed_in
from ..errors import InputError
from ..hand.pose_files import PoseSequence, save_pose_file
from ..progress import Progress, sub_progress
from ..training.perceptual import term_name
from .command import MOST_VIDEO_FRAMES, config_of
from .harp_sequence_input import video_of_sequence
from .harp_video import Look, PersonalisedVideo, personalize_video
from .harp_video_input import HandVideo, video_of_captures, video_of_file
from .output import outcome, write_personalised
from .photo_input import (
    capture_metrics,
    charted_hand_model,
    check_fitted_hand,
    device_named,
    provenance_of,
    refuse_capture_options,
)
from .preview import label_grid

HOLD_OUT = 10
"""Every how many-th frame measures, unless said otherwise."""
CAPTURE_SHARE = 0.12
"""Of the progress bar, for a video that is captured now."""


def run_video(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    started = time.monotonic()
    hold_out = HOLD_OUT if args.hold_out is None else args.hold_out
    if hold_out < 0 or hold_out == 1:
        raise InputError(f"--hold-out {hold_out} leaves no frames to fit: give 2 or more, or 0 for none")
    if args.device != "cpu":
        device_named(args.device)
        raise InputError(f"--device {args.device} is not for videos with --method harp: leave it out")
    video = read_video(args, args.inputs[0], sub_progress(progress, 0.0, CAPTURE_SHARE))
    captured = time.monotonic()
    own = sub_progress(progress, CAPTURE_SHARE, 0.97)
    model = charted_hand_model(args, video.captures[0].handedness)
    with tempfile.TemporaryDirectory(prefix="palm-hands-") as previews:
        look = looks_in(Path(previews))
        result = personalize_video(video, model, config_of(args), hold_out, own, look)
    progress(0.97, "writing the avatar")
    provenance = {
        **provenance_of(args, video.captures[:1], captured - started),
        "perceptual_term": term_name(args.vgg16),
    }

    def write_more(folder: Path) -> None:
        save_pose_file(folder / "poses.npz", poses_of(result, video), result.track.numbers)
        write_png8(folder / "frames.png", frames_sheet(result))

    metrics = capture_metrics(video.captures)
    avatar = write_personalised(args.output, result.hand, provenance, metrics, args.force, write_more)
    progress(1.0, "done", preview=args.output / "preview.png")
    return {**outcome(args.output, avatar, started), **_told(result, video)}


def read_video(args: argparse.Namespace, path: Path, progress: Progress) -> HandVideo:
    """The video that a command was given: captured now, or with what a capture file or a data set knows. Raises PalmError."""
    if args.frames is not None and not 1 <= args.frames <= MOST_VIDEO_FRAMES:
        raise InputError(f"--frames {args.frames} is not between 1 and {MOST_VIDEO_FRAMES}: leave it out for all")
    if path.is_dir() and not holds_plain_frames(path):
        check_holds_something(path)
        return video_of_sequence(path, options_from(args), args.frames)
    if path.suffix.lower() != ".json":
        return video_of_file(path, options_from(args), args.frames, progress)
    refuse_capture_options(args, path)
    video = video_of_captures(path, args.frames)
    check_fitted_hand(args, path, video.captures[0])
    return video


def holds_plain_frames(folder: Path) -> bool:
    """Whether a folder holds a video's frames as pictures and is no data set."""
    from ..capture.video import PICTURE_SUFFIXES

    return not is_known_set(folder) and any(path.suffix.lower() in PICTURE_SUFFIXES for path in folder.iterdir())


def is_known_set(folder: Path) -> bool:
    """Whether a folder has the layout of a data set that is read."""
    return any(layout.fits(folder) for layout in FORMATS.values())


def check_holds_something(folder: Path) -> None:
    """Raise InputError for a folder without pictures that is no data set, packed ones apart, which have their own message."""
    if not is_known_set(folder) and packed_in(folder) is None:
        raise InputError(
            f"{folder} holds no pictures (.jpg, .png) and is no data set that is read: give a video, the folder of its frames, "
            "or the set's top folder"
        )


def looks_in(folder: Path) -> Look:
    """A look that writes numbered pictures into a folder."""
    count = 0

    def look(sheet: Tensor) -> Path:
        nonlocal count
        count += 1
        path = folder / f"preview-{count:02}.png"
        write_png8(path, (sheet.clamp(0, 1).cpu().numpy() * 255 + 0.5).astype(np.uint8))
        return path

    return look


def frames_sheet(result: PersonalisedVideo) -> np.ndarray:
    """[h,w,3] uint8: frames beside their renders, with their numbers."""
    track = result.track
    held_out = dict(zip(track.numbers, track.held_out, strict=True))
    labels = [f"frame {number}{', held out' if held_out[number] else ''}" for number in sorted(result.pairs)]
    return label_grid([result.pairs[number] for number in sorted(result.pairs)], labels, columns=3)


def poses_of(result: PersonalisedVideo, video: HandVideo) -> PoseSequence:
    """The track in the avatar folder's poses.npz, one pose per frame that was used."""
    track, avatar = result.track, result.hand.avatar
    return PoseSequence(track.global_orient, track.hand_pose, track.transl, avatar.betas, avatar.handedness, video.fps)


def _told(result: PersonalisedVideo, video: HandVideo) -> dict[str, Any]:
    said: dict[str, Any] = {"frames": len(video.captures)}
    for name, scores in (("fitted_frames", result.fitted), ("held_out_frames", result.held_out)):
        if scores is not None:
            said[name] = {
                "iou": scores.iou,
                "l1": scores.l1,
                "ms_ssim": scores.ms_ssim,
                "psnr_db": scores.psnr_db,
            }
    if video.notes:
        said["left_out"] = "; ".join(video.notes)
    return said
