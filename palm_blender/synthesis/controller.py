"""A run: what of a data set is missing is handed to workers until it is whole. No Blender in this process."""

from __future__ import annotations

import queue
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ...engine.errors import Cancelled, OutputError
from ...engine.files import write_json
from ...engine.progress import SAME_SIGNAL_S, JsonProgress
from . import manifest, plan, resume
from .places import RECIPE_FILE
from .pool import Event, Slot, work
from .progress_line import JsonLine, ProgressLine, duration, line_on
from .recipe import Recipe, read_recipe, to_json
from .run_record import RunRecord, all_runs
from .shots import ShotId
from .sources import check_sources, keep_sources
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


def render_set(recipe: Recipe, run: Run, stream: TextIO | JsonProgress, report: Report) -> RunRecord:
    """Make a data set, or what is missing of it. Raises PalmError; Stopped after SIGINT or SIGTERM.

    What was written stays whole whatever happens. The manifest comes last, from whichever run finds all units whole.
    """
    units = range(run.shard[0] - 1, plan.unit_count(recipe), run.shard[1])
    shots = {unit: plan.shot_list(recipe, unit) for unit in units}
    prepare_folder(run.out, recipe, run.resume, run.shard)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    record = RunRecord(run.shard)
    start = time.monotonic()
    with _signals_into(events):
        tasks = _missing(recipe, run, shots, events)
        _photograph(recipe, run, tasks, sum(map(len, shots.values())), events, record, stream, report)
        if record.frames:
            report("frames", f"{record.frames} in {duration(time.monotonic() - start)}")
        _finish(recipe, run, units, record, events, report)
    return record


def prepare_folder(out: Path, recipe: Recipe, resume_run: bool, shard: tuple[int, int]) -> None:
    """Make the folder and store the recipe in it, before anything else. Raises PalmError where it is taken.

    Nothing is ever deleted: a folder with another recipe's pictures, or with anything else, is refused, and so is one whose
    recipe names files that have changed since.
    """
    stored = out / RECIPE_FILE
    if stored.exists():
        same = to_json(read_recipe(stored)) == to_json(recipe)
        begun = (out / "folders").exists() or any(out.glob("relit_*"))
        if begun and not same:
            way_out = "" if _has_pictures(out) else ", or delete this one, which has no picture yet"
            raise OutputError(
                f"{out} holds another data set ({_difference(stored, recipe)}): choose another --out{way_out}"
            )
        if begun and not resume_run and shard[1] == 1:
            raise OutputError(
                f"{out} holds this data set, or part of it: add --resume to go on, or choose another --out"
            )
        if begun:
            check_sources(out, recipe)
            return
    # another part's run may be writing the recipe just now, under a hidden name
    elif out.exists() and (not out.is_dir() or any(not path.name.startswith(".") for path in out.iterdir())):
        raise OutputError(f"{out} exists and is no data set: choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {out} ({error.strerror}): choose another --out") from error
    write_json(stored, to_json(recipe))
    keep_sources(out, recipe)


def _has_pictures(out: Path) -> bool:
    return next(out.glob("**/images/*/*.png"), None) is not None


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
    resume.remove_unfinished_avatar(run.out, recipe, unit)
    left = resume.missing_shots(run.out, recipe, unit)
    return None if not left and resume.other_files_are_whole(run.out, recipe, unit) else left


def _photograph(
    recipe: Recipe,
    run: Run,
    tasks: Sequence[Task],
    total: int,
    events: queue.SimpleQueue[Event],
    record: RunRecord,
    stream: TextIO | JsonProgress,
    report: Report,
) -> None:
    if not tasks:
        return
    line = line_on(stream, total, total - sum(len(task.shots) for task in tasks))
    with tempfile.TemporaryDirectory(prefix="palm-workers-", ignore_cleanup_errors=True) as scratch:
        opening = {"out": str(run.out.absolute()), "device": run.device, "threads": run.threads}
        slots = run.make_slots(opening, len(tasks), Path(scratch))
        happening = work(slots, tasks, events)
        whole = False
        try:
            for event in happening:
                _follow(event, record, line, report, run.out)
            whole = not record.lost_workers
        finally:
            happening.close()
            line.close()
            if not whole:  # a worker may have died as it wrote
                resume.remove_leftovers(run.out, {shot.folder for task in tasks for shot in task.shots})
                for unit in {task.unit for task in tasks}:
                    resume.remove_unfinished_avatar(run.out, recipe, unit)
            if record.frames:
                with suppress(OutputError):  # a full disk: the run's own error says it
                    record.save(run.out)


def _follow(event: Event, record: RunRecord, line: ProgressLine | JsonLine, report: Report, root: Path) -> None:
    if record.count(event):
        line.close()
        record.save(root)
        report("device", str(event.facts["device"]))
        if not record.frames:
            line.begin()
    elif event.kind == "shot":
        line.advance()
    elif event.kind == "lost":
        line.close()
        report("note", f"a worker was lost ({event.facts['error']}): what it had left is done again")
    elif event.kind == "failed":
        raise event.facts["error"]
    elif event.kind == "signal":
        raise Stopped(event.slot, "what is written is whole: --resume goes on")


def _finish(
    recipe: Recipe, run: Run, units: range, record: RunRecord, events: queue.SimpleQueue[Event], report: Report
) -> None:
    """Write the manifest if all units are whole, those of other shards too; else say what is missing."""
    others = [unit for unit in range(plan.unit_count(recipe)) if unit not in units]
    missing = incomplete = 0
    for unit in others:
        _check_signal(events)
        # decoding a large set's pictures takes hours: whoever resumes a part decodes its own
        missing += len(resume.missing_shots(run.out, recipe, unit, decode=False))
        incomplete += not missing and not resume.other_files_are_whole(run.out, recipe, unit)
    place = str(run.out.absolute())
    if missing or incomplete:
        lack = f"{missing} pictures of other parts are missing" if missing else "other parts lack files beside pictures"
        report("set", f"{place} (this part is whole; {lack})")
        return
    digest = manifest.write_manifest(run.out, recipe, {"runs": all_runs(run.out)})
    if recipe.denoise and not all(worker["denoised"] for worker in record.workers):
        report("note", "this Blender has no denoiser: use more --samples against noise")
    if record.peak_memory:
        report("memory", f"at most {record.peak_memory / 2**20:.0f} MiB a worker")
    report("labels", digest)
    report("set", place)


def _check_signal(events: queue.SimpleQueue[Event]) -> None:
    while not events.empty():
        event = events.get()
        if event.kind == "signal":
            raise Stopped(event.slot, "what is written is whole: --resume goes on")


@contextmanager
def _signals_into(events: queue.SimpleQueue[Event]) -> Iterator[None]:
    """SIGINT and SIGTERM become events; a second one, a second later or more, ends the process as it would without us."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in numbers}

    asked: list[float] = []

    def note(number: int, frame: object) -> None:
        now = time.monotonic()
        if not asked:
            asked.append(now)
            events.put(Event("signal", number, {}))
        elif now - asked[0] >= SAME_SIGNAL_S:
            signal.signal(number, previous[signal.Signals(number)] or signal.SIG_DFL)
            signal.raise_signal(number)

    for number in numbers:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)
