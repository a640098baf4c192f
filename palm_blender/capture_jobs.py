"""A video followed by the engine: its captures become the hand's action. Callable without any operator."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..engine.errors import InputError, PoseFileError
from . import animate, jobs, preferences, rig
from .engine_process import engine_command
from .job_queue import Job

FOLLOW = "follow"
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")


def start(armature: bpy.types.Object, video: Path, settings: animate.TakeSettings) -> Job:
    """Queue the capture of a video, which then animates this hand. Raises PalmError."""
    video = Path(video)
    if not video.is_file() and not video.is_dir():
        raise InputError(f"{video} does not exist: choose a video, or a folder of frames")
    if video.is_file() and video.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"{video.name} is no video: choose one of {', '.join(VIDEO_SUFFIXES)}")
    folder = jobs.job_folder()
    arguments: list[object] = ["capture", video, "-o", folder / "captures.json", "--hand", rig.side_of(armature)]
    hand_model = preferences.preferences().hand_model
    arguments += ["--hand-model", bpy.path.abspath(hand_model)] if hand_model else []
    return jobs.add(
        FOLLOW, f"follow {video.name}", engine_command(preferences.interpreter(), arguments), folder=folder,
        builds=True, captures=folder / "captures.json", hand=armature.name, name=video.stem,
        start_frame=settings.start_frame, smoothing=settings.smoothing, timing=settings.timing, wrist=settings.wrist,
    )  # fmt: skip


def add_take(job: Job) -> animate.Take:
    """Put what was captured on the hand that the job was started for. Raises PoseFileError where it is gone."""
    hand = bpy.data.objects.get(job.details["hand"])
    if hand is None or rig.SIDE not in hand:
        raise PoseFileError(
            f"the hand {job.details['hand']} is gone: select a hand and import {job.details['captures']}"
        )
    names = ("start_frame", "smoothing", "timing", "wrist")
    settings = animate.TakeSettings(**{name: job.details[name] for name in names})
    return animate.follow_captures(hand, job.details["captures"], bpy.context.scene, settings, job.details["name"])


def _place(job: Job) -> None:
    jobs.call_operator("add_take", number=job.number)


CLASSES = ()


def register() -> None:
    jobs.FINISHERS[FOLLOW] = _place


def unregister() -> None:
    jobs.FINISHERS.pop(FOLLOW, None)
