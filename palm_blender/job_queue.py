"""Jobs for processes beside Blender, one at a time in the order given. No bpy here."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.errors import OutputError
from .engine_process import HANG_S, EngineProcess

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)
MOST_ENDED = 8
"""Jobs that have ended and are still shown."""
CLOSE_S = 3.0
"""For all jobs to end in order as the queue closes."""
SOONEST_ESTIMATE_S, LEAST_SHARE = 5.0, 0.08
"""Before these, starting the engine tells nothing of how long the work takes."""
SMOOTHING = 0.15
SCRATCH = ".palm-job-"
"""Begins the names of hidden folders beside results, one a job, that processes write into."""
FORGOTTEN_S = 86400.0
"""Age of an empty one whose Blender was killed."""


@dataclass
class Job:
    """One piece of work: what is run, and how far it is."""

    kind: str
    """personalize, look, set-up or self-test: who is told when it is done."""
    title: str
    command: Sequence[str]
    folder: Path
    """Its own, for its log and small files; removed with the job."""
    output: Path | None = None
    """What it makes, whole or not at all, outside `folder`; under another name where that is taken meanwhile."""
    scratch: Path | None = None
    """Where it makes it, beside `output` and under the same name (`scratch_beside`); None: in place."""
    details: dict[str, Any] = field(default_factory=dict)
    """For whoever is told when it is done."""
    environment: Mapping[str, str] | None = None
    hang_s: float = HANG_S
    number: int = 0
    state: str = WAITING
    fraction: float = 0.0
    message: str = ""
    preview: Path | None = None
    result: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    ended: float = 0.0
    left_s: float | None = None
    process: EngineProcess | None = None
    keeps: bool = False
    """Its result is nowhere else yet: only the user takes it off the list."""

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def elapsed_s(self) -> float:
        return (self.ended or time.monotonic()) - self.started if self.started else 0.0

    def estimate(self) -> None:
        """Seconds left, from the share that is done; smoothed, so that it does not jump between stages."""
        if self.fraction < LEAST_SHARE or self.elapsed_s < SOONEST_ESTIMATE_S:
            return
        now = self.elapsed_s * (1 - self.fraction) / self.fraction
        self.left_s = now if self.left_s is None else self.left_s + SMOOTHING * (now - self.left_s)


class JobQueue:
    """Starts the next job when the last has ended. All methods return at once, but for `close`."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._count = 0

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def add(self, job: Job) -> Job:
        """It begins at once where nothing else runs."""
        self._count += 1
        job.number = self._count
        self.jobs.append(job)
        self._start_next()
        return job

    def find(self, number: int) -> Job | None:
        return next((job for job in self.jobs if job.number == number), None)

    @property
    def running(self) -> Job | None:
        return next((job for job in self.jobs if job.state == RUNNING), None)

    @property
    def is_busy(self) -> bool:
        return any(job.state not in ENDED for job in self.jobs)

    def tick(self) -> list[Job]:
        """Hear the running job; returns those that ended by now."""
        job = self.running
        if job is None or job.process is None:
            return []
        news = job.process.news()
        if news.fraction is not None:
            job.fraction, job.message = news.fraction, news.message or ""
            job.preview = news.preview or job.preview
        job.estimate()
        if news.ended is None:
            return []
        job.result = news.ended.result
        self._end(job, news.ended.state, news.ended.message)
        self._start_next()
        return [job]

    def cancel(self, number: int) -> None:
        """A waiting job is cancelled at once; a running one at the tick that sees its end."""
        job = self.find(number)
        if job is None or job.state in ENDED:
            return
        if job.process is None:
            self._end(job, CANCELLED, "cancelled before it began")
        else:
            job.message = "cancelling"
            job.process.cancel()

    def remove(self, number: int) -> None:
        """Forget a job that has ended, and its log."""
        job = self.find(number)
        if job is not None and job.state in ENDED:
            self.jobs.remove(job)
            shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """End everything: in order where that takes no more than moments, else by force. Nothing runs after this."""
        live = [job for job in self.jobs if job.process is not None and job.state == RUNNING]
        for job in live:
            job.process.cancel()
        until = time.monotonic() + CLOSE_S
        for job in live:
            while time.monotonic() < until and job.process.news().ended is None:
                time.sleep(0.02)
            job.process.kill()
        for job in self.jobs:
            if job.state not in ENDED:
                self._end(job, CANCELLED, "cancelled, for the add-on was switched off")
        for job in list(self.jobs):
            self.remove(job.number)

    def _start_next(self) -> None:
        if self.running is not None:
            return
        job = next((job for job in self.jobs if job.state == WAITING), None)
        if job is None:
            return
        job.state, job.started, job.message = RUNNING, time.monotonic(), "starting"
        job.process = EngineProcess(job.command, job.folder, job.environment, job.hang_s)

    def fail(self, job: Job, message: str) -> None:
        """End a running job that cannot be heard any more, by force."""
        if job.process is not None:
            job.process.kill()
        self._end(job, FAILED, message)
        self._start_next()

    def _end(self, job: Job, state: str, message: str) -> None:
        if state == DONE and job.scratch is not None:
            taken = [
                other.output for other in self.jobs if other.state not in ENDED and other is not job and other.output
            ]
            message = deliver(job, taken)
            state = FAILED if message else DONE
        job.state, job.message, job.ended, job.left_s = state, message, time.monotonic(), None
        shutil.rmtree(job.folder / "tmp", ignore_errors=True)
        if job.scratch is not None:
            shutil.rmtree(job.scratch, ignore_errors=True)
        for old in [job for job in self.jobs if job.state in ENDED and not job.keeps][:-MOST_ENDED]:
            self.remove(old.number)


def scratch_beside(output: Path) -> Path:
    """A new hidden folder in an output's own, on the same disk, for one job. Raises OutputError."""
    before = time.time() - FORGOTTEN_S
    try:
        for old in output.parent.glob(f"{SCRATCH}*"):
            if old.stat().st_mtime < before:
                with suppress(OSError):  # one that holds anything stays
                    old.rmdir()
        return Path(tempfile.mkdtemp(prefix=SCRATCH, dir=output.parent))
    except OSError as error:
        raise OutputError(f"cannot write in {output.parent} ({error.strerror}): choose another folder") from error


def deliver(job: Job, taken: Sequence[Path] = ()) -> str:
    """Move a job's result from its scratch folder to a name that is free by now; returns why not, "" where it is done."""
    assert job.scratch is not None and job.output is not None
    made = job.scratch / job.output.name
    try:
        job.output = free_name(job.output.parent, job.output.stem, job.output.suffix, taken)
        os.replace(made, job.output)
    except OSError as error:
        return f"cannot write {job.output} ({error.strerror}): choose another folder for results"
    return ""


def free_name(folder: Path, stem: str, suffix: str, taken: Sequence[Path] = ()) -> Path:
    """A name in a folder that nothing has and nothing is about to have: stem, stem-2, stem-3, …"""
    clean = re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "_", stem).strip(" .")[:60] or "hand"
    number = 1
    while True:
        path = folder / (clean + (f"-{number}" if number > 1 else "") + suffix)
        if not path.exists() and not path.is_symlink() and path not in taken:
            return path
        number += 1
