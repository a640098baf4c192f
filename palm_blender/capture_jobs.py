"""A video followed by the engine: its captures become the hand's action. Callable without any operator."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..engine.errors import InputError, PoseFileError
from . import animate, jobs, paths, preferences, rig
from .engine_process import engine_command
from .job_queue import Job

FOLLOW = "follow"
MODES = ("OBJECT", "POSE")
"""In which a take may be added: it makes an action, and moves no data that another mode edits."""
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")


def start(armature: bpy.types.Object, video: Path, settings: animate.TakeSettings) -> Job:
    """Queue the capture of a video, which then animates this hand. Raises PalmError."""
    video = paths.absolute(str(video))
    if not video.is_file() and not video.is_dir():
        raise InputError(f"{video} does not exist: choose a video, or a folder of frames")
    if video.is_file() and video.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"{video.name} is no video: choose one of {', '.join(VIDEO_SUFFIXES)}")
    folder = jobs.job_folder()
    arguments: list[object] = ["capture", video, "-o", folder / "captures.json", "--hand", rig.side_of(armature)]
    hand_model = preferences.preferences().hand_model
    arguments += ["--hand-model", paths.absolute(hand_model)] if hand_model else []
    return jobs.add(
        FOLLOW, f"follow {video.name}", engine_command(preferences.interpreter(), arguments), folder=folder,
        builds=True, modes=MODES, captures=folder / "captures.json", name=video.stem,
        hand=armature.name, hand_uid=armature.session_uid,
        start_frame=settings.start_frame, smoothing=settings.smoothing, timing=settings.timing, wrist=settings.wrist,
    )  # fmt: skip


def add_take(job: Job) -> animate.Take:
    """Put what was captured on the hand that the job was started for. Raises PoseFileError where it is gone."""
    hand = _hand_of(job)
    if hand is None or not hand.users_scene:
        raise PoseFileError(
            f"the hand {job.details['hand']} is gone: select a hand and import {job.details['captures']}"
        )
    names = ("start_frame", "smoothing", "timing", "wrist")
    settings = animate.TakeSettings(**{name: job.details[name] for name in names})
    here = bpy.context.scene
    scene = here if here in hand.users_scene else hand.users_scene[0]
    return animate.follow_captures(hand, job.details["captures"], scene, settings, job.details["name"])


def _hand_of(job: Job) -> bpy.types.Object | None:
    """The hand that the job was started for, though it has another name by now; by its name in a file opened again."""
    hands = [item for item in bpy.data.objects if item.type == "ARMATURE" and rig.SIDE in item]
    same = [hand for hand in hands if hand.session_uid == job.details["hand_uid"]]
    named = [hand for hand in hands if hand.name == job.details["hand"]]
    return next(iter(same + named), None)


def _place(job: Job) -> None:
    jobs.call_operator("add_take", number=job.number)


CLASSES = ()


def register() -> None:
    jobs.FINISHERS[FOLLOW] = _place


def unregister() -> None:
    jobs.FINISHERS.pop(FOLLOW, None)
