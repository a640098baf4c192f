"""The verbs that render data sets: cohort, harp-relit and animate. No Blender in this process."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from ...engine.errors import Cancelled, InputError, MissingDependencyError, OutputError, PalmError
from ...engine.files import check_output
from ...engine.parent import end_with_parent
from ...engine.progress import JsonProgress
from .recipe import BACKGROUNDS, MAX_TEXTURE_PX, VIEWS, Recipe, check_recipe

VERBS = ("cohort", "harp-relit", "animate")
DEVICES = ("auto", "cpu", "gpu", "cuda", "optix", "hip", "metal", "oneapi")
DEFAULT_SIDE = 1024
DEFAULT_FPS = 30.0
SEQUENCE_FRAMES, SEQUENCE_CAMERAS = 60, 24
START_S = 1800.0
"""The longest that a worker may take to start and to build a hand."""
SLOWEST_SAMPLE_S = 5e-5
"""Of one pixel: four times what two cores need that others use as well."""
MAX_TIMEOUT_S = 1e7
VIDEO_SUFFIX = ".mp4"
FILE_SUFFIXES = (VIDEO_SUFFIX, ".mov", ".mkv", ".avi", ".webm", ".gif", ".png", ".jpg", ".exr", ".zip")
"""Names that end so are meant for files, not for folders."""
Report = Callable[[str, str], None]


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """The three verbs with their options. Needs no Blender, so that help is instant."""
    cohort = verbs.add_parser("cohort", help="many people's hands, seen by a ring of cameras, in one light")
    cohort.add_argument("--subjects", type=int, default=10, metavar="N", help="people (default: 10)")
    cohort.add_argument("--sequences", action="store_true", help="hands in motion, with skin that follows the pose")
    cohort.add_argument("--poses", metavar="K|FILE", help="poses a person, or a pose file (default: 7)")
    cohort.add_argument("--frames", type=int, metavar="K", help=_FRAMES_HELP)
    cohort.add_argument("--cameras", type=int, metavar="M", help=_CAMERAS_HELP)
    cohort.add_argument("--env", nargs="+", default=["rig"], metavar="NAME|FILE|FOLDER", help=_ENV_HELP)
    relit = verbs.add_parser("harp-relit", help="one light to personalise in, another to evaluate in")
    relit.add_argument("--sequences", type=int, default=12, metavar="N", help="hands (default: 12)")
    relit.add_argument("--frames", type=int, default=21, metavar="K", help="a hand, the first in light A (default: 21)")
    relit.add_argument("--poses", metavar="FILE", help="pose file instead of HARP's two motions")
    relit.add_argument("--train-env", required=True, metavar="A", help="light of the first frame: name, file or folder")
    relit.add_argument("--eval-env", required=True, metavar="B", help="light of the others")
    animate = verbs.add_parser("animate", help="an avatar folder with a pose file: pictures and labels, or a video")
    animate.add_argument("avatar", type=Path, help="avatar folder NAME.palmhand")
    animate.add_argument("--poses", required=True, metavar="FILE", help="pose or sequence of MANO parameters")
    animate.add_argument("--frames", type=int, default=0, metavar="K", help="the first K poses (default: all)")
    animate.add_argument("--env", metavar="NAME|FILE", help="environment instead of the photo's own light")
    animate.add_argument("--camera", choices=VIEWS, default="capture", help="the photo's, or one that sees all of it")
    animate.add_argument("--fps", type=float, help="of a video (default: the pose file's, else 30)")
    animate.add_argument("--force", action="store_true", help="replace a video that exists")
    sizes = {"cohort": "2448x2048; of sequences 334x512", "harp-relit": "512x512", "animate": "the photo's, ≤ 1024"}
    for name, verb in (("cohort", cohort), ("harp-relit", relit), ("animate", animate)):
        _add_common(verb, sizes[name], "DIR|FILE.mp4" if name == "animate" else "DIR")


_FRAMES_HELP = (
    "of each sequence (default: 60, or the pose file's); else, with a pose file: how many of its poses (default: all)"
)
_CAMERAS_HELP = "of the ring of 7 (default: 7); with --sequences of the 36 all around (default: 24)"
_ENV_HELP = "light: rig (default), one of Blender's environments, a file, a folder to draw from, or several of them"


def _add_common(verb: argparse.ArgumentParser, size: str, out: str) -> None:
    verb.add_argument("--out", type=Path, required=True, metavar=out, help="where to write; nothing there is replaced")
    verb.add_argument("--size", metavar="WxH", help=f"pixels (default: {size})")
    verb.add_argument("--samples", type=int, default=64, help="Cycles samples a pixel (default: 64)")
    verb.add_argument("--seed", type=int, default=0, help="everything random follows from it (default: 0)")
    verb.add_argument("--no-denoise", action="store_true")
    verb.add_argument("--vary-light", action="store_true", help="turn the light and change its strength by seed")
    verb.add_argument("--background", choices=BACKGROUNDS, default="black", help="default: black")
    verb.add_argument("--texture", type=int, default=0, metavar="PX", help=f"side of skin maps, ≤ {MAX_TEXTURE_PX}")
    verb.add_argument("--radiance", action="store_true", help="also write linear pictures, OpenEXR")
    if verb.prog.split()[-1] != "animate":
        verb.add_argument("--avatars", action="store_true", help="also write each subject as NAME.palmhand")
    verb.add_argument(
        "--device", type=str.lower, choices=DEVICES, default="auto", help="default: a GPU if there is one"
    )
    verb.add_argument(
        "--resume", action="store_true", help="go on with what is there: skip what is whole, mend the rest"
    )
    verb.add_argument("--shard", default="1/1", metavar="I/N", help="make the I-th of N parts, I from 1")
    verb.add_argument(
        "--workers", type=int, metavar="N", help="Blender processes at a time (default: 1; with --ray, a node)"
    )
    verb.add_argument("--ray", metavar="ADDRESS|local", help="spread the work over a Ray cluster; --out must be shared")
    verb.add_argument(
        "--renew-after", type=int, default=200, metavar="FRAMES", help="start a fresh worker after so many"
    )
    verb.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="a worker silent for so long is replaced (default: half an hour, more for large pictures)",
    )
    verb.add_argument("--dry-run", action="store_true", help="say how many pictures and how long, after timing one")
    verb.add_argument("--progress", choices=("text", "json"), default="text", help="json: lines for another program")
    verb.add_argument("--parent-pipe", action="store_true", help="end when standard input does")


def run(args: argparse.Namespace, stream: TextIO, report: Report) -> None:
    """Carry out a parsed command line. Raises PalmError with one line for the user."""
    if args.parent_pipe:
        end_with_parent()
    if args.progress == "text":
        _run(args, stream, report)
        return
    progress, facts = JsonProgress(stream), {}
    try:
        _run(args, progress, facts.__setitem__)
    except PalmError as error:
        progress.emit("cancelled" if isinstance(error, Cancelled) else "error", message=str(error))
        raise
    progress.emit("result", **facts)


def _run(args: argparse.Namespace, stream: TextIO | JsonProgress, report: Report) -> None:
    from ...engine.avatar.folder import read_avatar
    from . import controller, environments, foresight

    recipe = recipe_of(args)
    check_recipe(recipe)
    _check_run(args)
    if args.timeout is None:
        args.timeout = patience_s(recipe)
    if recipe.avatar is not None:
        read_avatar(Path(recipe.avatar))
    lights = [name for light in recipe.environments for name in environments.candidates(light)]
    environments.check_kept_names(lights)
    for name in lights:
        if name not in environments.environment_names():
            environments.check_light_file(Path(name))
    with ExitStack() as ending:
        plan_of_work = controller.Run(
            out=working_folder(args.out),
            make_slots=_slot_maker(args, ending),
            device=args.device,
            threads=_threads(args),
            resume=args.resume,
            shard=parse_shard(args.shard),
            chunk=_chunk(recipe, args.renew_after),
        )
        if args.dry_run:
            foresight.say_how_long(recipe, plan_of_work, args.workers or 1, stream, report)
            return
        controller.render_set(recipe, plan_of_work, stream, report)
        if is_video(args.out):
            _encode(args, recipe, plan_of_work, report)


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe of a command line: what its pixels follow from. Raises InputError, AvatarError, PoseFileError."""
    if args.verb == "animate":
        width, height = parse_size(args.size) if args.size else _photo_size(args.avatar)
        if is_video(args.out) and not args.size:
            width, height = width // 2 * 2, height // 2 * 2
    else:
        size = "512x512" if args.verb != "cohort" else "334x512" if args.sequences else "2448x2048"
        width, height = parse_size(args.size or size)
    common = Recipe(
        args.verb, args.seed, 1, args.frames or 0, 1, width, height, args.samples,
        denoise=not args.no_denoise, vary_light=args.vary_light, background=args.background, texture=args.texture,
        radiance=args.radiance, avatars=getattr(args, "avatars", False),
    )  # fmt: skip
    if args.verb == "cohort":
        poses, count = _sequence_poses(args) if args.sequences else _cohort_poses(args.poses or "7", args.frames)
        cameras = (SEQUENCE_CAMERAS if args.sequences else 7) if args.cameras is None else args.cameras
        common = replace(common, kind="sequence" if args.sequences else "cohort", frames=count, cameras=cameras)
        return replace(common, units=args.subjects, environments=tuple(map(placed, args.env)), poses=poses)
    if args.verb == "harp-relit":
        lights = (placed(args.train_env), placed(args.eval_env))
        return replace(common, units=args.sequences, environments=lights, poses=args.poses and placed_file(args.poses))
    # without "..": the avatar's name becomes a folder's
    avatar = os.path.abspath(args.avatar)
    light = str(Path(avatar) / "environment.exr") if args.env is None else placed(args.env)
    return replace(
        common,
        environments=(light,),
        avatar=avatar,
        poses=placed_file(args.poses),
        view=args.camera,
    )


def parse_size(text: str) -> tuple[int, int]:
    """ "640x480" → (640, 480); "512" → (512, 512)."""
    match = re.fullmatch(r"(\d{1,6})(?:[x×X](\d{1,6}))?", text.strip())
    if match is None:
        raise InputError(f"--size {text} is no size: give WxH in pixels, such as 512x512")
    return int(match[1]), int(match[2] or match[1])


def parse_shard(text: str) -> tuple[int, int]:
    """ "3/8" → (3, 8)."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"--shard {text} is no part: give I/N with I from 1 to N, such as 1/8")
    return int(match[1]), int(match[2])


def placed(environment: str) -> str:
    """A file or folder by its whole path, so that every worker finds it; a known name as it is."""
    from . import environments

    if environment in environments.environment_names() or not Path(environment).exists():
        return environment
    return os.path.abspath(environment)


def placed_file(name: str) -> str:
    if not Path(name).is_file():
        raise InputError(f"pose file {name} does not exist: give a pose or sequence of MANO parameters")
    return str(Path(name).absolute())


def patience_s(recipe: Recipe) -> float:
    """Seconds that a worker may be silent, as it is while it makes a picture: at full size hours on a busy laptop."""
    return min(START_S + SLOWEST_SAMPLE_S * recipe.width * recipe.height * recipe.samples, MAX_TIMEOUT_S)


def is_video(out: Path) -> bool:
    return out.suffix.lower() == VIDEO_SUFFIX


def working_folder(out: Path) -> Path:
    """Where the frames lie: the data set itself, or a folder beside a video."""
    return out.with_name(f"{out.stem}_frames") if is_video(out) else out


def _cohort_poses(text: str, frames: int | None) -> tuple[str | None, int]:
    """The user's pose file and how many of its poses; or None and how many of the project's."""
    if text.isdecimal():
        if frames is not None:
            raise InputError("--frames goes with a pose file: give --poses K alone")
        return None, int(text)
    path = placed_file(text)
    if frames is None:
        from ...engine.hand.pose_files import load_pose_file

        frames = len(load_pose_file(path))
    return path, frames


def _sequence_poses(args: argparse.Namespace) -> tuple[str | None, int]:
    """The user's pose file, or None for a motion of the project's; and how many frames."""
    if args.poses is None:
        return None, SEQUENCE_FRAMES if args.frames is None else args.frames
    if args.poses.isdecimal():
        raise InputError(f"--poses {args.poses} is no file: a sequence has one motion, of so many --frames")
    return _cohort_poses(args.poses, args.frames)


def _photo_size(avatar: Path) -> tuple[int, int]:
    from ...engine.avatar.folder import read_avatar

    width, height = read_avatar(avatar).capture.image_size
    scale = min(1.0, DEFAULT_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _check_run(args: argparse.Namespace) -> None:
    """What can be refused before any work is done."""
    parse_shard(args.shard)
    for name, value in (("--workers", args.workers), ("--renew-after", args.renew_after)):
        if value is not None and not 1 <= value <= 1_000_000:
            raise InputError(f"{name} {value} is impossible: give 1 or more")
    # written so that NaN, which compares as false, is refused
    if args.timeout is not None and not 1 <= args.timeout <= MAX_TIMEOUT_S:
        raise InputError(f"--timeout {args.timeout:g} is impossible: give seconds, 1 or more")
    if importlib.util.find_spec("bpy") is None:
        raise MissingDependencyError("Blender is missing: run `make setup`, or `blender -b -P build.py -- …`")
    if args.verb == "animate" and is_video(args.out):
        check_output(args.out, args.force)
        if args.background == "transparent":
            raise InputError("a video has no transparency: choose another --background, or give a folder as --out")
        if args.shard != "1/1":
            raise InputError("a video cannot be made in parts: give a folder as --out, or leave --shard out")
        if args.fps is not None and not 0 < args.fps <= 1000:
            raise InputError(f"--fps {args.fps:g} is impossible: give a rate between 0 and 1000")
        if args.size and any(side % 2 for side in parse_size(args.size)):
            raise InputError(f"--size {args.size} cannot be a video: give an even width and height")
    elif args.out.suffix.lower() in FILE_SUFFIXES:
        wanted = "a folder's name" if args.verb != "animate" else f"a folder's name, or one that ends in {VIDEO_SUFFIX}"
        raise OutputError(f"{args.out.name} cannot be written: give {wanted}")
    elif args.verb == "animate" and (args.fps is not None or args.force):
        option = "--force" if args.fps is None else "--fps"
        raise InputError(f"{option} is for a video: give {args.out.name}{VIDEO_SUFFIX} as --out, or leave {option} out")


def _threads(args: argparse.Namespace) -> int:
    """Of each local worker; 0 lets it have all."""
    workers = args.workers or 1
    return 0 if args.ray or workers == 1 else max(1, (os.cpu_count() or 1) // workers)


def _chunk(recipe: Recipe, renew_after: int) -> int:
    """Shots that a worker is given at once: whole moments of a sequence, whose pictures are made together."""
    from .controller import CHUNK

    if recipe.kind == "sequence":
        return recipe.cameras * max(1, CHUNK // recipe.cameras)
    return min(CHUNK, renew_after)


def _slot_maker(args: argparse.Namespace, ending: ExitStack) -> Callable[..., Sequence[Any]]:
    from .pool import LocalSlot

    if args.ray is not None:
        from . import ray_pool

        cluster = ending.enter_context(ray_pool.joined(args.ray, args.device, args.workers))

        def on_cluster(opening: Mapping[str, Any], tasks: int, scratch: Path) -> Sequence[Any]:
            return ray_pool.slots(cluster, opening, tasks, args.renew_after, args.timeout)

        return on_cluster

    def here(opening: Mapping[str, Any], tasks: int, scratch: Path) -> Sequence[Any]:
        count = max(1, min(args.workers or 1, tasks))
        return [LocalSlot(opening, scratch / f"slot{k}", args.renew_after, args.timeout) for k in range(count)]

    return here


def _encode(args: argparse.Namespace, recipe: Recipe, plan_of_work: Any, report: Report) -> None:
    """The frames as a video, made by a worker of its own."""
    import tempfile

    from . import animation_plan, layout, resume
    from .plan import shot_list
    from .pool import LocalSlot
    from .worker_process import WorkerLost

    root = plan_of_work.out
    pictures = [
        str((root / shot.folder / layout.picture_path("images", shot.camera, resume.stem_of(recipe, shot))).absolute())
        for shot in shot_list(recipe, 0)
    ]
    fps = args.fps or animation_plan.animation_poses(recipe).fps or DEFAULT_FPS
    opening = {"out": str(root.absolute()), "device": "cpu", "threads": 0}
    with tempfile.TemporaryDirectory(prefix="palm-workers-", ignore_cleanup_errors=True) as scratch:
        slot = LocalSlot(opening, Path(scratch) / "video", args.renew_after, args.timeout)
        try:
            slot.request({"do": "video", "pictures": pictures, "fps": fps, "file": str(args.out.absolute())})
        except WorkerLost as error:
            raise PalmError(f"{args.out} could not be made ({error}); its frames are whole: try --resume") from error
        finally:
            slot.close()
    report("video", f"{args.out.absolute()} ({len(pictures)} frames, {fps:g} a second)")
