"""`python -m engine render NAME.palmhand [--poses FILE] [--azimuth D] [--elevation D] [--size PX] [--env FILE] -o DIR`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import atomic_folder, check_output
from ..progress import Progress

SMALLEST_PX, LARGEST_PX = 16, 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the sub-command."""
    parser.add_argument("avatar", type=Path, help="NAME.palmhand")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of pictures to write")
    parser.add_argument(
        "--poses",
        type=Path,
        metavar="FILE",
        help="poses of any tool, or captures.json (default: the avatar's own pose)",
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every how many-th pose (default 1)")
    parser.add_argument(
        "--azimuth", type=float, default=0.0, metavar="DEG", help="the camera goes around the hand to its right"
    )
    parser.add_argument("--elevation", type=float, default=0.0, metavar="DEG", help="the camera rises")
    parser.add_argument("--size", type=int, default=512, metavar="PX", help="longer side of the pictures (default 512)")
    parser.add_argument(
        "--photo-camera",
        action="store_true",
        help="the camera of the avatar's photo, in place of one that holds the hand",
    )
    parser.add_argument(
        "--env",
        type=Path,
        metavar="FILE",
        help="OpenEXR environment to light it with (default: the light that was estimated)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the ray-cast pictures' noise")
    parser.add_argument("--force", action="store_true", help="replace an existing folder once the new one is complete")


def run(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do it; returns what the command line reports. Raises PalmError."""
    import numpy as np
    import torch

    from ..avatar.folder import read_avatar
    from ..avatar.texture_files import read_environment, write_png8
    from ..lighting.image_light import image_light
    from .pose_pictures import PictureView, pose_pictures

    if not SMALLEST_PX <= args.size <= LARGEST_PX:
        raise InputError(f"--size {args.size} is not between {SMALLEST_PX} and {LARGEST_PX}: try 512")
    if args.every < 1:
        raise InputError(f"--every {args.every} is not 1 or more")
    if not all(math.isfinite(angle) for angle in (args.azimuth, args.elevation)):
        raise InputError("--azimuth and --elevation are degrees: give numbers")
    check_output(args.output, args.force)
    avatar = read_avatar(args.avatar)
    poses = _poses(args, avatar)
    light = None
    if args.env is not None:
        if not args.env.is_file():
            raise InputError(f"--env {args.env} does not exist: give an equirectangular OpenEXR picture")
        light = image_light(torch.as_tensor(read_environment(args.env)))
    angles = (math.radians(args.azimuth), math.radians(args.elevation))
    view = PictureView(*angles, args.size, args.photo_camera)
    with atomic_folder(args.output, args.force) as folder:
        for number, picture in enumerate(pose_pictures(avatar, poses, view, light, args.seed)):
            progress(number / len(poses), f"rendering pose {number + 1} of {len(poses)}")
            write_png8(folder / f"{number:04d}.png", (picture.cpu().numpy() * 255 + 0.5).astype(np.uint8))
    progress(1.0, "done")
    return {"pictures": str(args.output), "count": len(poses)}


def _poses(args: argparse.Namespace, avatar: Any) -> Any:
    import dataclasses

    from ..hand.pose_files import PoseSequence
    from ..hand.pose_sources import PoseChoice, load_poses

    if args.poses is None:
        capture = avatar.capture
        return PoseSequence(capture.global_orient[None], capture.hand_pose[None], capture.transl[None])
    poses = load_poses(args.poses, PoseChoice(side=avatar.handedness))
    if poses.side is not None and poses.side != avatar.handedness:
        raise InputError(
            f"{args.poses} is of a {poses.side} hand, the avatar is a {avatar.handedness} one: give its own"
        )
    chosen = slice(None, None, args.every)
    return dataclasses.replace(
        poses,
        global_orient=poses.global_orient[chosen],
        hand_pose=poses.hand_pose[chosen],
        transl=poses.transl[chosen],
    )
