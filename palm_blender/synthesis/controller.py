"""A run: what of a data set is missing is handed to workers until it is whole. No Blender in this process."""

from __future__ import annotations

import queue
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ...engine.errors import Cancelled, OutputError
from ...engine.files import write_json
from . import manifest, plan, resume
from .places import RECIPE_FILE, avatar_folder
from .pool import Event, Slot, work
from .progress_line import ProgressLine, duration
from .recipe import Recipe, read_recipe, to_json
from .shots import ShotId
from .task_board import Task, tasks_of

CHUNK = 32
"""The most shots that a worker is given at once."""
Report = Callable[[str, str], None]
SlotMaker = Callable[[Mapping[str, Any], int, Path], Sequence[Slot]]
"""Called with the first request of every worker, the number of tasks, and a folder for temporary files."""


@dataclass(frozen=True)
class Run:
    """How a recipe is carried out: nothing here changes a label."""

    out: Path
    make_slots: SlotMaker
    device: str = "auto"
    threads: int = 0
    """of each worker; 0: all"""
    resume: bool = False
    shard: tuple[int, int] = (1, 1)
    """(I, N): this run makes the units whose number from 0 leaves the remainder I - 1 by N"""
    chunk: int = CHUNK


class Stopped(Cancelled):
    """A signal ended the run between two pictures."""

    def __init__(self, number: int, kept: str):
        super().__init__(f"stopped; {kept}")
        self.status = 128 + number


@dataclass
class Tally:
    """What a run has seen."""

    frames: int = 0
    lost_workers: int = 0
    peak_memory: int = 0
    devices: set[str] = field(default_factory=set)
    blenders: set[str] = field(default_factory=set)
    denoised: set[bool] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)

    def count(self, event: Event) -> None:
        facts = event.facts
        self.peak_memory = max(self.peak_memory, int(facts.get("memory", 0)))
        if event.kind == "ready":
            self.devices.add(str(facts["device"]))
            self.blenders.add(str(facts["blender"]))
            self.denoised.add(bool(facts["denoised"]))
        elif event.kind == "shot":
            self.frames += 1
            for stage in ("take", "write"):
                self.seconds[stage] = self.seconds.get(stage, 0.0) + facts[stage]
        elif event.kind == "loaded":
            self.seconds["load"] = self.seconds.get("load", 0.0) + facts["seconds"]
        elif event.kind == "lost":
            self.lost_workers += 1


def render_set(recipe: Recipe, run: Run, stream: TextIO, report: Report) -> Tally:
    """Make a data set, or what is missing of it. Raises PalmError; Stopped after SIGINT or SIGTERM.

    What was written stays whole whatever happens. The manifest comes last, from whichever run finds all units whole.
    """
    units = range(run.shard[0] - 1, plan.unit_count(recipe), run.shard[1])
    shots = {unit: plan.shot_list(recipe, unit) for unit in units}
    prepare_folder(run.out, recipe, run.resume, run.shard)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    tally = Tally()
    start = time.monotonic()
    with _signals_into(events):
        tasks = _missing(recipe, run, shots, events)
        _photograph(run, tasks, sum(map(len, shots.values())), events, tally, stream, report)
        if tally.frames:
            report("frames", f"{tally.frames} in {duration(time.monotonic() - start)}")
        _finish(recipe, run, units, tally, events, report)
    return tally


def prepare_folder(out: Path, recipe: Recipe, resume_run: bool, shard: tuple[int, int]) -> None:
    """Make the folder and store the recipe in it, before anything else. Raises PalmError where it is taken.

    Nothing is ever deleted: a folder with another recipe's pictures, or with anything else, is refused.
    """
    stored = out / RECIPE_FILE
    if stored.exists():
        same = to_json(read_recipe(stored)) == to_json(recipe)
        begun = (out / "folders").exists() or any(out.glob("relit_*"))
        if begun and not same:
            raise OutputError(f"{out} holds another data set ({_difference(stored, recipe)}): choose another --out")
        if begun and not resume_run and shard[1] == 1:
            raise OutputError(
                f"{out} holds this data set, or part of it: add --resume to go on, or choose another --out"
            )
        if same:
            return
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} exists and is no data set: choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {out} ({error.strerror}): choose another --out") from error
    write_json(stored, to_json(recipe))


def _difference(stored: Path, recipe: Recipe) -> str:
    """The first of the recipe's values that differs, in words."""
    there, asked = to_json(read_recipe(stored)), to_json(recipe)
    name = next(name for name in asked if there[name] != asked[name])
    return f"{name} {_plain(there[name])}, not {_plain(asked[name])}"


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _missing(
    recipe: Recipe, run: Run, shots: Mapping[int, Sequence[ShotId]], events: queue.SimpleQueue[Event]
) -> list[Task]:
    """Tasks for what is not whole."""
    tasks: list[Task] = []
    for unit, wanted in shots.items():
        _check_signal(events)
        left = _unwhole(recipe, run, unit, wanted)
        if left is not None:
            tasks += tasks_of(unit, left, run.chunk)
    return tasks


def _unwhole(recipe: Recipe, run: Run, unit: int, wanted: Sequence[ShotId]) -> Sequence[ShotId] | None:
    """The unit's shots that are to be taken; none of them where only other files are missing; None if all is whole."""
    folders = {shot.folder for shot in wanted}
    if not any((run.out / folder).is_dir() for folder in folders):
        return wanted
    resume.remove_leftovers(run.out, folders)
    left = resume.missing_shots(run.out, recipe, unit)
    has_avatar = not recipe.avatars or avatar_folder(run.out, recipe, unit).is_dir()
    return None if not left and has_avatar and resume.folder_files_are_whole(run.out, recipe, unit) else left


def _photograph(
    run: Run,
    tasks: Sequence[Task],
    total: int,
    events: queue.SimpleQueue[Event],
    tally: Tally,
    stream: TextIO,
    report: Report,
) -> None:
    if not tasks:
        return
    line = ProgressLine(stream, total, total - sum(len(task.shots) for task in tasks))
    with tempfile.TemporaryDirectory(prefix="palm-workers-", ignore_cleanup_errors=True) as scratch:
        opening = {"out": str(run.out.absolute()), "device": run.device, "threads": run.threads}
        slots = run.make_slots(opening, len(tasks), Path(scratch))
        happening = work(slots, tasks, events)
        try:
            for event in happening:
                _follow(event, tally, line, report)
        finally:
            happening.close()
            line.close()
    if tally.lost_workers:
        resume.remove_leftovers(run.out, {shot.folder for task in tasks for shot in task.shots})


def _follow(event: Event, tally: Tally, line: ProgressLine, report: Report) -> None:
    new_device = event.kind == "ready" and event.facts["device"] not in tally.devices
    tally.count(event)
    if new_device:
        line.close()
        report("device", str(event.facts["device"]))
    elif event.kind == "shot":
        line.advance()
    elif event.kind == "lost":
        line.close()
        report("note", f"a worker was lost ({event.facts['error']}): what it had left is done again")
    elif event.kind == "failed":
        error = event.facts["error"]
        raise error
    elif event.kind == "signal":
        raise Stopped(event.slot, "what is written is whole: --resume goes on")


def _finish(
    recipe: Recipe, run: Run, units: range, tally: Tally, events: queue.SimpleQueue[Event], report: Report
) -> None:
    """Write the manifest if all units are whole, those of other shards too; else say what is missing."""
    others = [unit for unit in range(plan.unit_count(recipe)) if unit not in units]
    missing = 0
    for unit in others:
        _check_signal(events)
        missing += len(resume.missing_shots(run.out, recipe, unit))
    place = str(run.out.absolute())
    if missing:
        report("set", f"{place} (this part is whole; {missing} frames of other parts are missing)")
        return
    facts = {
        "devices": sorted(tally.devices),
        "blender": sorted(tally.blenders),
        "denoised": all(tally.denoised) and recipe.denoise,
        "frames": tally.frames,
        "lost_workers": tally.lost_workers,
        "peak_memory_bytes": tally.peak_memory,
        "seconds": {stage: round(seconds, 3) for stage, seconds in tally.seconds.items()},
    }
    digest = manifest.write_manifest(run.out, recipe, facts)
    if recipe.denoise and not all(tally.denoised):
        report("note", "this Blender has no denoiser: use more --samples against noise")
    if tally.peak_memory:
        report("memory", f"at most {tally.peak_memory / 2**20:.0f} MiB a worker")
    report("labels", digest)
    report("set", place)


def _check_signal(events: queue.SimpleQueue[Event]) -> None:
    while not events.empty():
        event = events.get()
        if event.kind == "signal":
            raise Stopped(event.slot, "what is written is whole: --resume goes on")


@contextmanager
def _signals_into(events: queue.SimpleQueue[Event]) -> Iterator[None]:
    """SIGINT and SIGTERM become events; a second one ends the process as it would without us."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in numbers}

    def note(number: int, frame: object) -> None:
        events.put(Event("signal", number, {}))
        signal.signal(number, previous[signal.Signals(number)] or signal.SIG_DFL)

    for number in numbers:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)
