"""`python -m engine refine-poses NAME.palmhand VIDEO|captures.json|FOLDER -o captures.json|poses.npz`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..capture.command import add_capture_options, options_from
from ..errors import InputError
from ..files import check_output
from ..progress import Progress, sub_progress

if TYPE_CHECKING:
    import numpy as np

    from ..capture.capture_file import Capture, Quality
    from .harp_video_input import HandVideo
    from .pose_refinement import RefinedPoses

CAPTURE_SHARE = 0.2
"""Of the progress bar."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("avatar", type=Path, help="NAME.palmhand whose hand is in the video")
    parser.add_argument("video", type=Path, help="video, captures.json, or the folder of a sequence with poses")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="poses.npz or .json of poses, or NAME.captures.json with masks"
    )
    parser.add_argument(
        "--frames", type=int, metavar="N", help="how many frames, evenly chosen (default all, up to 600)"
    )
    parser.add_argument("--light", action="store_true", help="find the light as well: the video was lit differently")
    parser.add_argument("--quality", choices=("draft", "standard"), default="standard", help="draft: a quick look")
    parser.add_argument("--vgg16", type=Path, help="torchvision's VGG-16 weights for the perceptual term")
    add_capture_options(parser)
    parser.add_argument("--force", action="store_true", help="replace an existing file once the new one is complete")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    import dataclasses

    from ..avatar.folder import read_avatar
    from ..capture.options import hand_model_for
    from .config import quality
    from .harp_video_command import read_video
    from .pose_refinement import refine_poses

    if args.output.suffix.lower() not in (".npz", ".json"):
        raise InputError(f"{args.output} should end in .npz or .json: name a file of poses, or NAME.captures.json")
    check_output(args.output, args.force)
    avatar = read_avatar(args.avatar)
    if not args.video.exists():
        raise InputError(f"{args.video} does not exist: give a video, or what capture wrote of one")
    args.inputs = [args.video]
    video = read_video(args, args.video, sub_progress(progress, 0.0, CAPTURE_SHARE))
    side = video.captures[0].handedness
    if side != avatar.handedness:
        raise InputError(f"{args.avatar} is a {avatar.handedness} hand, {args.video} shows a {side} one: give its own")
    config = dataclasses.replace(quality(args.quality), seed=args.seed, vgg16_weights=args.vgg16)
    model = hand_model_for(side, options_from(args))
    own = sub_progress(progress, CAPTURE_SHARE, 0.98)
    found = refine_poses(avatar, video, model, config, args.light, own)
    write_refined(args.output, found, video, avatar.betas, args.force)
    progress(1.0, "done")
    return {
        "poses": str(args.output),
        "frames": len(video.captures),
        "overlap_before": float(found.overlap_before.mean()),
        "overlap": float(found.overlap.mean()),
        **({"left_out": "; ".join(video.notes)} if video.notes else {}),
    }


def write_refined(path: Path, found: RefinedPoses, video: HandVideo, betas: Any, force: bool) -> None:
    """A capture file with masks where the name ends in captures.json, else a file of poses.

    A capture file has a place for every frame, so that it goes with its video: those that were not refined are null. Raises
    InputError where a number is beyond such files, OutputError.
    """
    import dataclasses

    from ..capture.capture_file import MAX_FRAMES, write_captures
    from ..hand.pose_files import PoseSequence, save_pose_file

    if not path.name.endswith("captures.json"):
        side = video.captures[0].handedness
        poses = PoseSequence(found.global_orient, found.hand_pose, found.transl, betas, side, video.fps)
        save_pose_file(path, poses, video.numbers)
        return
    count = max(video.numbers) + 1
    if count > MAX_FRAMES:
        raise InputError(f"{path}: a capture file ends at frame {MAX_FRAMES - 1}, not {count - 1}: write poses.npz")
    captures: list[Capture | None] = [None] * count
    masks: list[Any] = [None] * count
    for place, (number, (_, mask)) in enumerate(zip(video.numbers, video.pictures(), strict=True)):
        captures[number] = dataclasses.replace(
            video.captures[place],
            betas=betas,
            global_orient=found.global_orient[place],
            hand_pose=found.hand_pose[place],
            transl=found.transl[place],
            joints_3d=found.keypoints[place],
            quality=quality_of(video.captures[place], found.keypoints[place], float(found.overlap[place])),
        )
        masks[number] = mask
    write_captures(path, captures, masks, video.fps, force)


def quality_of(capture: Capture, keypoints: np.ndarray, overlap: float) -> Quality:
    """How well refined keypoints [21,3] explain what the capture's detector saw; its metric keypoints are no longer known."""
    import numpy as np

    from ..capture.capture_file import Quality
    from ..hand.cameras import project

    off = np.linalg.norm(project(keypoints, capture.K) - capture.keypoints_2d, axis=-1).mean()
    size = np.linalg.norm(np.ptp(capture.keypoints_2d, axis=0))
    return Quality(float(off), float(off / max(size, 1e-6)), overlap, None)
