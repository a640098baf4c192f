"""Jobs in Blender: a timer hears the running process, shows it in the window manager, and hands what is done to one operator.

A job belongs to the Blender file that was open as it was given. Its result is added to that file by itself, as one undo step,
as soon as that is safe: in Object Mode, with nothing being dragged or rendered. Saving changes nothing, and neither does
opening the same file again. Where another file is open by then, the result waits on the disk and the panel offers to add it.

Without a window no timer fires: `finish` blocks until a job has ended, and tests call `tick` themselves.
"""

from __future__ import annotations

import atexit
import logging
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy

from ..engine.errors import OutputError, PalmError
from . import previews
from .engine_process import clean, engine_environment
from .job_queue import DONE, ENDED, FAILED, RUNNING, Job, JobQueue
from .preferences import engine_folder, preferences

LOG = logging.getLogger(__name__)
BUSY_S, IDLE_S = 0.1, 0.5
"""Between two looks at the jobs: while one runs, and while a result waits to be added."""
KERNELS = "kernels"
"""Of the engine's folder: kernels that Warp has compiled, which go with it."""
OWN_UI = ("VIEW_3D", "PREFERENCES")
FINISHERS: dict[str, Callable[[Job], None]] = {}
"""By kind of job: called in the main thread when it is done; may raise, best PalmError with a line for the user."""
NEEDS_FILE = "file"
"""Key of a job's details: the path of the Blender file that its result goes to, "" for one not saved."""


class _Session:
    """What lasts from register() to unregister()."""

    def __init__(self) -> None:
        self.queue = JobQueue()
        self.file_count = 0
        """Files opened so far."""
        self.unplaced: dict[int, str] = {}
        """Jobs that are done and not yet in a file, and why."""
        self.slowest_s = 0.0
        """The longest that a tick has held Blender up, for the measurement of stalls."""
        self.noted: set[str] = set()
        """Defects that the console was told of: a timer would tell it ten times a second."""


_sessions: list[_Session] = []


def session() -> _Session:
    """The add-on's. Raises OutputError where the add-on is not registered."""
    if not _sessions:
        raise OutputError("the add-on is not switched on: jobs cannot run")
    return _sessions[-1]


def add(
    kind: str,
    title: str,
    command: Sequence[str],
    output: Path | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    scratch: Path | None = None,
    **details: Any,
) -> Job:
    """Queue a job; it begins at once where nothing else runs. Raises OutputError where its log cannot be written.

    scratch: where the command makes `output` (job_queue.scratch_beside); it is moved from there when it is whole.
    """
    here = session()
    details |= {NEEDS_FILE: bpy.data.filepath, "file_count": here.file_count}
    hang_s = 60.0 * preferences().silence_min
    kernels = {"WARP_CACHE_PATH": str(engine_folder() / KERNELS)}
    job = Job(kind, title, command, folder or job_folder(), output, scratch, details, {}, hang_s)
    # the user's own place for them goes before ours
    job.environment = kernels | dict(environment if environment is not None else engine_environment())
    here.queue.add(job)
    _start_timer()
    show()
    return job


def job_folder() -> Path:
    """A new folder for one job's log and small files, gone with Blender's session. Raises OutputError."""
    try:
        return Path(tempfile.mkdtemp(prefix="palm_job_", dir=bpy.app.tempdir or None))
    except OSError as error:
        raise OutputError(f"cannot write in {bpy.app.tempdir} ({error.strerror}): free space on the disk") from error


def tick() -> float | None:
    """One look at the jobs; returns when to look again, None for not at all. Called by the timer.

    Never raises: Blender drops a timer that does, and with it every job.
    """
    if not _sessions:
        return None
    started = time.perf_counter()
    here = session()
    for step in (_hear, _place_all, _follow_preview, _show):
        try:
            step(here)
        except Exception as error:  # noqa: BLE001
            _note(here, step.__name__, error)
    here.slowest_s = max(here.slowest_s, time.perf_counter() - started)
    if here.queue.is_busy:
        return BUSY_S
    return IDLE_S if any(here.unplaced.values()) else None


def _hear(here: _Session) -> None:
    running = here.queue.running
    try:
        for job in here.queue.tick():
            if job.state == DONE:
                here.unplaced[job.number] = ""
    except Exception as error:
        if running is not None and running.state == RUNNING:
            here.queue.fail(running, f"it cannot be heard any more ({_line_of(error)}): see the console")
        raise


def _place_all(here: _Session) -> None:
    for number in list(here.unplaced):
        _place(here, number)


def _follow_preview(here: _Session) -> None:
    running = here.queue.running
    if running is not None:
        previews.follow(running.number, running.preview, running.folder)


def _note(here: _Session, where: str, error: Exception) -> None:
    """A defect of ours, told once."""
    what = f"{where}: {_line_of(error)}"
    if what not in here.noted:
        here.noted.add(what)
        LOG.error("jobs, %s", what, exc_info=error)


def _line_of(error: Exception) -> str:
    """One line: of what an operator has raised inside, the exception's own."""
    text = str(error).removeprefix("Error: ")
    if "Traceback (most recent call last)" in text:
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("Location:", " "))]
        text = lines[-1]
    elif not isinstance(error, PalmError | RuntimeError):
        # a KeyError's own text is only the key
        text = f"{type(error).__name__}: {text}"
    return clean(" ".join(text.split()))


def finish(job: Job) -> Job:
    """Block until a job has ended and its result is where it belongs; for scripts and background Blender."""
    while job.state not in ENDED or session().unplaced.get(job.number) == "":
        tick()
        time.sleep(0.02)
    return job


def cancel(number: int) -> None:
    session().queue.cancel(number)
    show()


def remove(number: int) -> None:
    """Forget a job that has ended."""
    session().queue.remove(number)
    session().unplaced.pop(number, None)
    show()


def place_here(number: int) -> str:
    """Add a finished job's result to the file that is open now, whichever it was made for; returns why not, or ""."""
    here = session()
    job = here.queue.find(number)
    if job is None or number not in here.unplaced:
        return "this job has nothing to add any more"
    job.details |= {NEEDS_FILE: bpy.data.filepath, "file_count": here.file_count}
    _place(here, number, asked=True)
    show()
    return here.unplaced.get(number, "") or (job.message if job.state == FAILED else "")


def _place(here: _Session, number: int, asked: bool = False) -> None:
    """Hand a job that is done to its finisher, or note why not yet. asked: by a click, so that nothing is being dragged."""
    job = here.queue.find(number)
    if job is None:
        here.unplaced.pop(number, None)
        return
    try:
        here.unplaced[number] = waiting_for(job, here, asked)
        job.keeps = bool(here.unplaced[number])
        if job.keeps:
            return
        del here.unplaced[number]
        if job.kind in FINISHERS:
            FINISHERS[job.kind](job)
    except Exception as error:  # Blender's operators report errors to scripts as RuntimeError
        # what it made may lie in its own folder alone
        job.state, job.message, job.keeps = FAILED, _line_of(error), bool(job.details.get("builds"))
        here.unplaced.pop(number, None)
        if not isinstance(error, PalmError | RuntimeError):
            LOG.error("adding the result of a job", exc_info=error)
        if not isinstance(error, PalmError):
            with suppress(OSError), open(job.log, "a", encoding="utf-8", errors="replace") as log:
                log.write("".join(traceback.format_exception(error)))


def waiting_for(job: Job, here: _Session, asked: bool = False) -> str:
    """Why a result cannot be added to the file now; "" where it can, or where nothing is added to a file."""
    if job.output is None and not job.details.get("builds"):
        return ""
    same = job.details["file_count"] == here.file_count or (
        job.details[NEEDS_FILE] and job.details[NEEDS_FILE] == bpy.data.filepath
    )
    if not same:
        return "it was started in another Blender file"
    return "" if bpy.app.background else busy_with(asked, job.details.get("modes", ("OBJECT",)))


def busy_with(asked: bool = False, modes: Sequence[str] = ("OBJECT",)) -> str:
    """What in the window must end before something may be added to the file; "" for nothing.

    asked: as of `_place`; modes: in which it may be added.
    """
    if bpy.context.mode not in modes:
        return "it is added as soon as Object Mode is on"
    if any(bpy.app.is_job_running(kind) for kind in ("RENDER", "OBJECT_BAKE")):
        return "it is added as soon as the render is done"
    modal = {item.bl_idname for window in bpy.context.window_manager.windows for item in window.modal_operators}
    if not asked and any(map(is_drag, modal)):
        return "it is added as soon as the tool in use is done"
    return ""


def is_drag(name: str) -> bool:
    """Whether a modal operator is a drag of Blender's own, as of an object, the view or a brush.

    Add-ons keep modal operators running for hours, to listen; playing an animation lasts as long.
    """
    return not name.startswith("SCREEN_OT_animation") and bpy.types.Operator.bl_rna_get_subclass_py(name) is None


def call_operator(name: str, **arguments: Any) -> set[str]:
    """Run one of our operators as if the user had, with an undo step. name: of bpy.ops.palm. Raises RuntimeError."""
    operator = getattr(bpy.ops.palm, name)
    if bpy.app.background:
        # without windows to draw, Blender 4.5 crashes as it pushes an operator's own undo step
        result: set[str] = operator("EXEC_DEFAULT", **arguments)
        bpy.ops.ed.undo_push(message=operator.get_rna_type().name)
        return result
    with bpy.context.temp_override(**view_context()):
        return operator("EXEC_DEFAULT", True, **arguments)


def view_context() -> dict[str, Any]:
    """A window and, where there is one, a 3D view: timers have none of their own."""
    windows = bpy.context.window_manager.windows
    for window in ([bpy.context.window] if bpy.context.window else []) + list(windows):
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                region = next(region for region in area.regions if region.type == "WINDOW")
                return {"window": window, "screen": window.screen, "area": area, "region": region}
    return {"window": windows[0]} if windows else {}


def show() -> None:
    """Write the jobs into the window manager where they changed, and have the panels drawn again."""
    _show(session())


def _show(here: _Session) -> None:
    state = bpy.context.window_manager.palm
    jobs = list(here.queue)
    changed = len(state.jobs) != len(jobs)
    while len(state.jobs) > len(jobs):
        state.jobs.remove(len(state.jobs) - 1)
    for index, job in enumerate(jobs):
        record = state.jobs[index] if index < len(state.jobs) else state.jobs.add()
        for name, value in _record(job, here).items():
            if getattr(record, name) != value:
                setattr(record, name, value)
                changed = True
    if changed:
        _redraw()


def _record(job: Job, here: _Session) -> dict[str, Any]:
    message = job.message
    if job.process is not None and job.state not in ENDED and job.process.silent_s > 30:
        message = f"{message} (no word for {duration(job.process.silent_s)})"
    return {
        "number": job.number,
        "kind": job.kind,
        "title": clean(job.title),
        "state": job.state,
        "message": clean(message),
        # to a thousandth, lest every tick be news
        "fraction": _single(round(job.fraction, 3)),
        "left": "" if job.left_s is None else f"{duration(job.left_s)} left",
        "elapsed": duration(job.elapsed_s) if job.state in ENDED else "",
        "log": clean(str(job.log)) if job.process is not None else "",
        "waits": here.unplaced.get(job.number, ""),
    }


def _single(value: float) -> float:
    """As Blender's single-precision properties give it back."""
    import numpy as np

    return float(np.float32(value))


def duration(seconds: float) -> str:
    """To the ten seconds below two minutes, for an estimate knows no better."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 115:
        return f"{10 * round(seconds / 10)} s"
    return f"{round(seconds / 60)} min"


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in OWN_UI:
                for region in area.regions:
                    if region.type == ("UI" if area.type == "VIEW_3D" else "WINDOW"):
                        region.tag_redraw()


def _start_timer() -> None:
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=BUSY_S, persistent=True)


@bpy.app.handlers.persistent
def _after_load(*_: object) -> None:
    """Another file, and in it a window manager that knows of no jobs."""
    if _sessions:
        session().file_count += 1
        show()


def _close() -> None:
    """End every job: with the add-on, and with Blender."""
    while _sessions:
        _sessions.pop().queue.close()


CLASSES = ()


def register() -> None:
    _sessions.append(_Session())
    # what an earlier session of the add-on left there
    bpy.context.window_manager.palm.jobs.clear()
    bpy.app.handlers.load_post.append(_after_load)
    atexit.register(_close)


def unregister() -> None:
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    if _after_load in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(_after_load)
    atexit.unregister(_close)
    _close()
