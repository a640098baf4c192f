"""Workers kept busy until every task is done: a lost worker's task is done again by a new one."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ...engine.errors import PalmError
from .shots import ShotId
from .task_board import Task, TaskBoard
from .worker_process import WorkerLost, WorkerProcess

MAX_LOSSES = 3
"""Workers lost one after the other without a picture, before the run gives up."""


class Event(NamedTuple):
    """What happened in a slot. kind: "ready", "loaded", "shot", "lost", "failed" or "ended"."""

    kind: str
    slot: int
    facts: Mapping[str, Any]
    """the worker's own words; for "lost" and "failed" the `error`"""


class Slot(Protocol):
    """A place where one worker runs at a time."""

    def start(self) -> Mapping[str, Any] | None:
        """Have a worker ready. Its facts if it is a new one. Raises WorkerLost, PalmError."""

    def perform(self, task: Task) -> Iterator[Mapping[str, Any]]:
        """Events of a task, a "ready" before them where the worker is a new one. Raises WorkerLost, after which `start`
        gives another worker, and PalmError."""

    def close(self) -> None:
        """End the worker, from any thread; `start` and `perform` then raise WorkerLost."""


class LocalSlot:
    """Worker processes of this machine, one after the other."""

    def __init__(
        self,
        opening: Mapping[str, Any],
        scratch: Path,
        renew_after: int,
        timeout_s: float,
        command: Sequence[str] | None = None,
    ):
        """opening: the request that a new worker gets first. scratch: for temporary files and logs; its name begins the
        names of folders made there. renew_after: frames of a worker, which bound its memory. command: starts a worker."""
        self._opening, self._scratch = dict(opening), scratch
        self._folder = scratch
        self._renew_after, self._timeout_s, self._command = renew_after, timeout_s, command
        self._numbers = count()
        self._worker: WorkerProcess | None = None
        self._frames = 0
        self._closed = False
        self._changing = threading.Lock()

    def start(self) -> Mapping[str, Any] | None:
        if self._worker is not None:
            return None
        self._folder = self._scratch.with_name(f"{self._scratch.name}-{next(self._numbers)}")
        with self._changing:
            if self._closed:
                raise WorkerLost("the run has ended")
            worker = WorkerProcess(self._folder, self._timeout_s, self._command)
            self._worker, self._frames = worker, 0
        try:
            (facts,) = worker.ask({"do": "open", **self._opening})
        except WorkerLost:
            self._end()
            raise
        return facts

    def perform(self, task: Task) -> Iterator[Mapping[str, Any]]:
        if self._frames >= self._renew_after:
            self._end()
        facts = self.start()
        if facts is not None:
            yield facts
        worker = self._worker
        if worker is None:
            raise WorkerLost("the run has ended")
        try:
            for event in worker.ask({"do": "photograph", **task._asdict()}):
                self._frames += event["event"] == "shot"
                yield event
        except WorkerLost:
            self._end()
            raise

    def request(self, request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """All events of another request."""
        self.start()
        return list(self._worker.ask(dict(request)))

    def close(self) -> None:
        with self._changing:
            self._closed = True
        self._end()

    def _end(self) -> None:
        with self._changing:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def work(slots: Sequence[Slot], tasks: Sequence[Task], events: queue.SimpleQueue[Event]) -> Iterator[Event]:
    """Do all tasks; yields what happens, and whatever else is put into `events`.

    Ends when every task is finished. When the caller stops early, or an error is raised, all workers are ended.
    """
    board = TaskBoard(tasks)
    threads = [
        threading.Thread(target=_serve, args=(number, slot, board, events), daemon=True)
        for number, slot in enumerate(slots)
    ]
    try:
        for thread in threads:
            thread.start()
        while not board.done:
            yield events.get()
        while not events.empty():
            yield events.get()
    finally:
        board.stop()
        with ThreadPoolExecutor(len(slots)) as closers:
            list(closers.map(lambda slot: slot.close(), slots))


def _serve(number: int, slot: Slot, board: TaskBoard, events: queue.SimpleQueue[Event]) -> None:
    """A slot's life: tasks until there are no more."""
    try:
        _perform_all(number, slot, board, events)
    except BaseException as error:  # noqa: BLE001 - the main thread raises it
        if not board.stopped:
            events.put(Event("failed", number, {"error": error}))
    finally:
        events.put(Event("ended", number, {}))


def _perform_all(number: int, slot: Slot, board: TaskBoard, events: queue.SimpleQueue[Event]) -> None:
    unit, failed_starts = None, 0
    while True:
        try:
            facts = slot.start()
            failed_starts = 0
        except WorkerLost as error:
            failed_starts += 1
            if failed_starts >= MAX_LOSSES or board.stopped:
                raise PalmError(f"Blender cannot be started as a worker ({error})") from error
            continue
        if facts is not None:
            unit = None
            events.put(Event("ready", number, facts))
        task = board.take(unit)
        if task is None:
            return
        unit = task.unit
        done: set[ShotId] = set()
        try:
            for event in slot.perform(task):
                if event["event"] == "shot":
                    done.add(ShotId(*event["shot"]))
                events.put(Event(event["event"], number, event))
        except WorkerLost as error:
            if not board.stopped:
                _after_loss(task, done, error, board)
                events.put(Event("lost", number, {"error": str(error)}))
        else:
            board.finish(task)


def _after_loss(task: Task, done: set[ShotId], error: WorkerLost, board: TaskBoard) -> None:
    """Give back what is left of a lost worker's task. Raises PalmError where several died at the same picture."""
    left = tuple(shot for shot in task.shots if shot not in done)
    losses = 1 if done else task.losses + 1
    if losses >= MAX_LOSSES:
        place = f" at {left[0].folder}, frame {left[0].frame + 1}, {left[0].camera}" if left else ""
        raise PalmError(
            f"{losses} workers were lost{place}, the last one {error}; what is whole stays: --resume goes on"
        )
    board.give_back(task._replace(shots=left, losses=losses))
