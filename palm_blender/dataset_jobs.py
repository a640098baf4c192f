"""Data sets from inside Blender: the panel's settings as a command line of build.py, run by another Blender. No bpy here."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
from pathlib import Path
from typing import Any, Protocol

from ..engine.errors import InputError
from .synthesis import dataset_commands
from .synthesis.recipe import Recipe, check_recipe
from .synthesis.worker_process import host_command

KIND = "dataset"
"""Of its jobs."""
WITH_AVATARS = ("cohort", "harp-relit")
"""Kinds whose hands can be written as avatar folders too."""
RELIT_LIGHT = "courtyard"
"""The first light of HARP-relit, whose hands stand in environments, where none is chosen."""
RIG, FILE = "rig", "file"
"""Lights that are no environment of Blender's: the ring's own lamps, and a picture file or a folder of them."""


class Settings(Protocol):
    """What the panel offers; a property group of the scene, or any object with these attributes."""

    verb: str
    """cohort, sequence, harp-relit or animate"""
    subjects: int
    poses: int
    cameras: int
    moments: int
    around: int
    sequences: int
    frames: int
    pose_file: str
    avatar: str
    view: str
    light: str
    light_file: str
    other_light: str
    other_light_file: str
    width: int
    height: int
    samples: int
    seed: int
    background: str
    vary_light: bool
    radiance: bool
    avatars: bool
    device: str
    workers: int
    out: str


def arguments(settings: Settings, dry_run: bool = False) -> list[str]:
    """The command line of build.py. Raises InputError naming what the panel still lacks.

    Paths are used as they are: make them absolute first.
    """
    verb = settings.verb
    # a sequence is a cohort in motion
    command = ["cohort", "--sequences"] if verb == "sequence" else [verb]
    folder: list[str] = []
    values: dict[str, object] = {}
    if verb == "sequence":
        values |= {"subjects": settings.subjects, "cameras": settings.around, "env": _light(settings)}
        values |= {"poses": settings.pose_file} if settings.pose_file else {"frames": settings.moments}
    elif verb == "cohort":
        values |= {"subjects": settings.subjects, "cameras": settings.cameras, "env": _light(settings)}
        values["poses"] = settings.pose_file or settings.poses
    elif verb == "harp-relit":
        values |= {"sequences": settings.sequences, "frames": settings.frames}
        values |= {"train-env": _light(settings), "eval-env": _light(settings, "other_")}
        values |= {"poses": settings.pose_file} if settings.pose_file else {}
    else:
        # as a path, whatever its name begins with
        folder = [os.path.join(os.curdir, _needed(settings.avatar, "an avatar folder"))]
        values |= {"camera": settings.view, "poses": _needed(settings.pose_file, "a pose file")}
        # without one, the photo's own
        values |= {} if settings.light == RIG else {"env": _light(settings)}
    values |= {"out": _needed(settings.out, "a folder for the data set"), "samples": settings.samples}
    values |= {"size": f"{settings.width}x{settings.height}", "seed": settings.seed}
    values |= {"background": settings.background, "device": settings.device, "workers": settings.workers}
    # in one word, so that a value that begins with a dash is none of the options
    words = [*command, *folder, *(f"--{name}={value}" for name, value in values.items())]
    flags = {"--vary-light": settings.vary_light, "--radiance": settings.radiance, "--dry-run": dry_run}
    flags["--avatars"] = settings.avatars and verb in WITH_AVATARS
    # going on is always meant: another data set in the folder is refused all the same
    flags["--resume"] = not dry_run
    return [*words, *(name for name, wanted in flags.items() if wanted)]


def recipe_of(settings: Settings) -> Recipe:
    """What would be rendered. Raises PalmError for settings that cannot be."""
    recipe = dataset_commands.recipe_of(_parsed(arguments(settings)))
    check_recipe(recipe)
    return recipe


def command(settings: Settings, dry_run: bool = False) -> list[str]:
    """What to run: another Blender like this one, with build.py; it speaks JSON lines. Raises PalmError."""
    recipe_of(settings)
    return [*host_command(), *arguments(settings, dry_run), "--progress", "json", "--parent-pipe"]


def count_in_words(settings: Settings) -> str:
    """How many pictures, said without reading any file."""
    if settings.verb == "animate":
        return "one picture for each pose of the file"
    if settings.verb == "harp-relit":
        return f"{settings.sequences * settings.frames} pictures of {_of(settings.sequences, 'hand')}"
    cameras, poses = settings.cameras, settings.poses
    if settings.verb == "sequence":
        cameras, poses = settings.around, settings.moments
    hands = _of(settings.subjects, "hand")
    if settings.pose_file:
        return f"{settings.subjects * cameras} pictures of {hands} for each pose of the file"
    return f"{settings.subjects * poses * cameras} pictures of {hands}"


def outcome(result: dict[str, Any], dry_run: bool) -> str:
    """What a finished job says, in one line."""
    if dry_run:
        return f"{result.get('images', '?')} pictures, {result.get('time', 'time unknown')}"
    made = result.get("frames")
    return f"pictures rendered: {made}, in {result.get('set')}" if made else f"nothing was missing: {result.get('set')}"


def title(settings: Settings, dry_run: bool) -> str:
    """Of the job, in the panel."""
    name = Path(settings.out).name or settings.verb
    return f"timing a picture for {name}" if dry_run else f"rendering {name}"


def _parsed(words: list[str]) -> argparse.Namespace:
    """As build.py reads them. Its parser ends the process where words make no sense, and the process here is Blender."""
    from .commands import parser

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parser().parse_args(words)
    except SystemExit as error:
        reason = said.getvalue().strip().splitlines()[-1:] or ["no reason given"]
        raise InputError(f"these settings cannot be used ({reason[0]}): change them in the Dataset panel") from error


def _light(settings: Settings, which: str = "") -> str:
    light = getattr(settings, f"{which}light")
    if light == RIG and settings.verb == "harp-relit":
        return RELIT_LIGHT
    if light != FILE:
        return str(light)
    return _needed(getattr(settings, f"{which}light_file"), "an environment's file")


def _needed(value: str, what: str) -> str:
    if not value:
        raise InputError(f"{what} is not chosen yet: choose it in the Dataset panel")
    return value


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
