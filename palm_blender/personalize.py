"""Jobs that make a hand from a photo: what is run, and what becomes of the result. Callable without any operator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..engine.errors import PalmError
from . import jobs, keypoints, paths, preferences, results, viewing
from .engine_process import engine_command
from .job_queue import ENDED, Job, scratch_beside

PERSONALIZE, LOOK = "personalize", "look"


@dataclass(frozen=True)
class Choices:
    """What the user chooses for one photo."""

    photo: Path
    method: str = "palm"
    quality: str = "standard"
    hand: str = "auto"
    use_light: bool = False
    keypoints: Path | None = None


def start(choices: Choices, folder: Path | None = None, **details: Any) -> Job:
    """Queue the making of an avatar. folder: the job's own, made before for files of it. Raises PalmError."""
    check_choices(choices)
    settings = preferences.preferences()
    python = preferences.interpreter()
    taken = [job.output for job in jobs.session().queue if job.output is not None and job.state not in ENDED]
    output = results.avatar_path(choices.photo, taken)
    arguments: list[object] = ["--method", choices.method, "--quality", choices.quality, "--device", settings.device]
    arguments += _capture_arguments(choices)
    if choices.method == "palm" and settings.prior:
        arguments += ["--prior", paths.absolute(settings.prior)]
    title = f"{choices.photo.name} ({choices.method.upper()}, {choices.quality})"
    details |= {"use_light": choices.use_light, **viewing.scene_record(bpy.context.scene)}
    scratch = scratch_beside(output)
    try:
        command = engine_command(python, ["personalize", choices.photo, "-o", scratch / output.name, *arguments])
        return jobs.add(PERSONALIZE, title, command, output, folder, scratch=scratch, **details)
    except PalmError:
        scratch.rmdir()
        raise


def look(choices: Choices) -> Job:
    """Queue a look at a photo, whose keypoints then stand in the 3D view. Raises PalmError."""
    python = preferences.interpreter()
    folder = jobs.job_folder()
    seen = folder / "photo.palmlook"
    command = engine_command(python, ["look", choices.photo, "-o", seen, *_capture_arguments(choices)])
    settings = {name: getattr(choices, name) for name in ("method", "quality")}
    return jobs.add(
        LOOK, f"look at {choices.photo.name}", command, folder=folder,
        look=seen, photo=choices.photo, settings=settings, builds=True,
    )  # fmt: skip


def start_from_keypoints(base: bpy.types.Object, handedness: str, choices: Choices) -> Job:
    """Queue the making of an avatar from the points in the 3D view. Raises PalmError.

    Where no point was moved and the hand is the one that was found, the engine looks again by itself: it then knows more of
    the hand than 21 points in the picture say. The points stay until the hand is added.
    """
    used = keypoints.record(base)
    found = bool(base["palm_found"]) and handedness == base["palm_handedness"]
    if found and not keypoints.were_moved(base):
        return start(choices, used=used)
    folder = jobs.job_folder()
    path = keypoints.write_keypoints(folder / "keypoints.json", keypoints.read_points(base), handedness)
    return start(
        Choices(choices.photo, choices.method, choices.quality, "auto", choices.use_light, path), folder, used=used
    )


def check_choices(choices: Choices) -> None:
    """Raises PalmError for what the engine would refuse at once."""
    if choices.method == "harp" and choices.quality == "paper":
        raise PalmError("Paper quality is PALM's: choose Draft or Standard with HARP")


def _capture_arguments(choices: Choices) -> list[object]:
    arguments: list[object] = [] if choices.hand == "auto" else ["--hand", choices.hand]
    arguments += [] if choices.keypoints is None else ["--keypoints", choices.keypoints]
    hand_model = preferences.preferences().hand_model
    return arguments + (["--hand-model", paths.absolute(hand_model)] if hand_model else [])


def _add_avatar(job: Job) -> None:
    jobs.call_operator("add_result", number=job.number)


def _show_look(job: Job) -> None:
    jobs.call_operator("show_keypoints", number=job.number)


CLASSES = ()


def register() -> None:
    jobs.FINISHERS.update({PERSONALIZE: _add_avatar, LOOK: _show_look})


def unregister() -> None:
    for kind in (PERSONALIZE, LOOK):
        jobs.FINISHERS.pop(kind, None)
