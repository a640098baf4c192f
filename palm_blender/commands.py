"""The headless verbs behind build.py: avatar folder in, .blend or picture out."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..engine.errors import Cancelled, InputError, MissingDependencyError, OutputError, PalmError
from ..engine.files import check_output
from .console import one_line_errors
from .synthesis import dataset_commands

if TYPE_CHECKING:
    import bpy

    from ..engine.hand.pose_files import PoseSequence
    from .scene import AvatarScene

MAX_SIZE = 16_384
MAX_ENV_STRENGTH = 1_000_000
MAX_ENV_ROTATION = 1_000_000
DEFAULT_SIZE = 1024
Report = Callable[[str, str], None]
"""Called with a label and a value for each line that the user is shown."""


def parser() -> argparse.ArgumentParser:
    """The command line. Needs no Blender, so that help is instant."""
    main = argparse.ArgumentParser(prog="build.py", description="From an avatar folder to a Blender scene or a render.")
    verbs = main.add_subparsers(dest="verb", required=True)
    dataset_commands.add_verbs(verbs)
    scene = verbs.add_parser("scene", help="write a .blend with the rigged hand, its light and its camera")
    render = verbs.add_parser("render", help="render the hand with Cycles")
    for verb, result in ((scene, "scene.blend"), (render, "picture, .png or .exr")):
        verb.add_argument("avatar", type=Path, help="avatar folder NAME.palmhand")
        verb.add_argument("-o", "--output", type=Path, required=True, help=result)
        verb.add_argument("--force", action="store_true", help="replace the output if it exists")
        verb.add_argument("--pose", type=Path, metavar="FILE", help="pose or sequence of MANO parameters")
        verb.add_argument("--placement", choices=("capture", "file"), default="capture", help=_PLACEMENT_HELP)
        verb.add_argument("--env", metavar="NAME|FILE", help="environment instead of the photo's own light")
        verb.add_argument(
            "--env-rotation", type=float, default=0.0, metavar="DEG", help="turn the environment about +Z"
        )
        verb.add_argument("--env-strength", type=float, default=1.0, metavar="X", help="brightness of the environment")
    render.add_argument("--frame", type=int, default=0, help="frame of the sequence and of the turntable (60 a turn)")
    render.add_argument("--size", type=int, metavar="PX", help=f"longer side (default: the photo's, ≤ {DEFAULT_SIZE})")
    render.add_argument("--samples", type=int, default=64, help="Cycles samples a pixel")
    render.add_argument("--camera", choices=("capture", "turntable"), default="capture")
    render.add_argument("--background", choices=("transparent", "environment", "photo"), default="transparent")
    render.add_argument("--view", choices=("Standard", "AgX", "Filmic"), default="Standard", help="view transform")
    render.add_argument("--seed", type=int, default=0)
    render.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    render.add_argument("--no-denoise", action="store_true")
    return main


_PLACEMENT_HELP = "keep the wrist where the photo had it, or where the pose file puts it"


def run(arguments: list[str], report: Report, stream: TextIO) -> None:
    """Carry out a command line. Raises PalmError with one line for the user; argparse exits by itself."""
    args = parser().parse_args(arguments)
    if args.verb in dataset_commands.VERBS:
        dataset_commands.run(args, stream, report)
        return
    if importlib.util.find_spec("bpy") is None:
        raise MissingDependencyError("Blender is missing: run `make setup`, or `blender -b -P build.py -- …`")
    _check(args)
    from . import scene as scenes

    scene = scenes.empty_scene()
    built = scenes.build_scene(args.avatar, scene)
    poses = _pose(args, built, scene)
    _light(args, scene)
    if args.verb == "scene":
        scenes.save_scene(args.output)
        report("scene", str(args.output.absolute()))
        return
    _render(args, built, scene, poses, report)


def _check(args: argparse.Namespace) -> None:
    """Everything that can be refused before any work is done."""
    check_output(args.output, args.force)
    if args.output.is_dir():
        raise OutputError(f"{args.output} is a folder: give a file name to write")
    endings = (".blend",) if args.verb == "scene" else (".png", ".exr")
    if args.output.suffix.lower() not in endings:
        raise OutputError(f"{args.output.name}: the output must end in {' or '.join(endings)}")
    # written so that NaN, which compares as false, is refused
    if not 0 <= args.env_strength <= MAX_ENV_STRENGTH:
        raise InputError(f"--env-strength {args.env_strength:g} is impossible: give 0 to {MAX_ENV_STRENGTH}")
    if not abs(args.env_rotation) <= MAX_ENV_ROTATION:
        raise InputError(f"--env-rotation {args.env_rotation:g} is impossible: give an angle in degrees")
    if args.verb == "render":
        if args.size is not None and not 1 <= args.size <= MAX_SIZE:
            raise InputError(f"--size {args.size} cannot be rendered: give 1 to {MAX_SIZE}")
        if not 1 <= args.samples <= 1 << 20:
            raise InputError(f"--samples {args.samples} cannot be rendered: give 1 or more")
        if not 0 <= args.seed < 1 << 31:
            raise InputError(f"--seed {args.seed} is out of range: give 0 to {(1 << 31) - 1}")
        if not 0 <= args.frame <= 1_000_000:
            raise InputError(f"--frame {args.frame} is out of range: give 0 or more")
        if args.background == "photo" and (args.camera != "capture" or args.output.suffix.lower() != ".png"):
            raise InputError("--background photo fits the capture camera and a .png only")


def _pose(args: argparse.Namespace, built: AvatarScene, scene: bpy.types.Scene) -> PoseSequence | None:
    """Put the pose file on the rig: one pose as it is, several as an action from frame 0."""
    if args.pose is None:
        return None
    from ..engine.hand.pose_files import load_pose_file
    from . import animation, cameras, pose_sequences

    armature, capture = built.hand.armature, built.avatar.capture
    poses = pose_sequences.for_side(load_pose_file(args.pose), built.avatar.handedness)
    if args.placement == "capture":
        poses = pose_sequences.placed_at(poses, capture.global_orient, capture.transl)
    frame = getattr(args, "frame", 0)
    if len(poses) > 1:
        if frame >= len(poses):
            raise InputError(f"--frame {frame}: {args.pose} has {len(poses)} frames, give 0 to {len(poses) - 1}")
        animation.add_action(armature, poses, f"{args.pose.stem} on {armature.name}")
        scene.frame_end = max(scene.frame_end, len(poses) - 1)
        if poses.fps:
            scene.render.fps, scene.render.fps_base = max(1, round(poses.fps)), max(1, round(poses.fps)) / poses.fps
    else:
        animation.apply_pose(armature, poses.global_orient[0], poses.hand_pose[0], poses.transl[0])
    scene.frame_set(frame)
    centre, radius = cameras.bounding_sphere(built.hand.mesh)
    cameras.aim_turntable(built.turntable_camera, centre, radius)
    return poses


def _light(args: argparse.Namespace, scene: bpy.types.Scene) -> None:
    import math

    from . import lighting

    if args.env is not None:
        path = lighting.find_environment(args.env)
    elif args.env_rotation or args.env_strength != 1.0:
        path = args.avatar / "environment.exr"
    else:
        return
    lighting.set_environment(scene, path, math.radians(args.env_rotation), args.env_strength)


def _render(
    args: argparse.Namespace,
    built: AvatarScene,
    scene: bpy.types.Scene,
    poses: PoseSequence | None,
    report: Report,
) -> None:
    from . import cameras, render

    size = built.avatar.capture.image_size
    longer = args.size if args.size is not None else min(DEFAULT_SIZE, max(size))
    if args.camera == "capture":
        width, height = cameras.frame_scene(scene, built.capture_camera, size, longer)
    else:
        width, height = cameras.frame_scene(scene, built.turntable_camera, (longer, longer), longer)
    scene.frame_set(args.frame)
    denoised = render.use_cycles(scene, args.samples, args.seed, not args.no_denoise)
    render.use_photo_colours(scene, args.view)
    device = render.choose_device(scene, args.device)
    behind = built.avatar.image("photo.png") if args.background == "photo" else None
    if args.background == "photo" and behind is None:
        raise InputError(f"avatar {args.avatar} has no photo.png: choose another --background")
    render.render_image(scene, args.output, transparent=args.background == "transparent", behind=behind)
    report("render", str(args.output.absolute()))
    report("size", f"{width} x {height} px, {args.samples} samples{', denoised' if denoised else ''}")
    if not (denoised or args.no_denoise):
        report("note", "this Blender has no denoiser: use more --samples against noise")
    report("device", device)
    for note in poses.notes if poses is not None else ():
        report("note", note)


def main(arguments: list[str], report: Report, complain: Callable[[str], None], stream: TextIO) -> int:
    """Exit status of a command line: 0; 2 after one line that says what was wrong; 128 + N where signal N ended it.

    stream: where progress is shown.
    """
    try:
        with one_line_errors():
            run(arguments, report, stream)
    except KeyboardInterrupt:  # before, or again while, a run winds up its own work
        complain("stopped")
        return 130
    except Cancelled as error:
        complain(str(error))
        return getattr(error, "status", 130)
    except PalmError as error:
        complain(f"error: {error}")
        return 2
    return 0
