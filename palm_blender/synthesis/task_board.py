"""Which worker photographs what next: tasks kept by unit, so that one hand is built as few times as can be."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .shots import ShotId


class Task(NamedTuple):
    """Some shots of one unit: what a worker is given at once."""

    unit: int
    shots: tuple[ShotId, ...]
    """may be empty where only the files beside the pictures are missing"""
    losses: int = 0
    """workers lost over it one after the other without a picture"""


def tasks_of(unit: int, shots: Sequence[ShotId], size: int) -> list[Task]:
    """The shots of a unit in tasks of at most `size`, in order; one empty task for no shots."""
    starts = range(0, max(len(shots), 1), size)
    return [Task(unit, tuple(shots[start : start + size])) for start in starts]


class TaskBoard:
    """Hands tasks to threads. A task taken is either finished or given back."""

    def __init__(self, tasks: Iterable[Task]):
        self._waiting: dict[int, deque[Task]] = {}
        for task in tasks:
            self._waiting.setdefault(task.unit, deque()).append(task)
        self._busy: Counter[int] = Counter()
        self._changed = threading.Condition()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        return self._stopped

    @property
    def done(self) -> bool:
        """Nothing waits and nobody works."""
        with self._changed:
            return not self._waiting and not self._busy

    def take(self, last_unit: int | None) -> Task | None:
        """The next task, waiting while others may still give theirs back; None when all is done or stopped.

        First the unit whose hand this worker has built already, then one that nobody works at, then any.
        """
        with self._changed:
            while not self._stopped and not self._waiting and self._busy:
                self._changed.wait()
            if self._stopped or not self._waiting:
                return None
            unit = last_unit if last_unit in self._waiting else self._freest()
            tasks = self._waiting[unit]
            task = tasks.popleft()
            if not tasks:
                del self._waiting[unit]
            self._busy[unit] += 1
            return task

    def finish(self, task: Task) -> None:
        with self._changed:
            self._release(task)

    def give_back(self, task: Task) -> None:
        """Put back what is left of a task; its unit must be the same."""
        with self._changed:
            self._waiting.setdefault(task.unit, deque()).appendleft(task)
            self._release(task)

    def stop(self) -> None:
        """Nothing more is handed out."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _release(self, task: Task) -> None:
        self._busy[task.unit] -= 1
        if not self._busy[task.unit]:
            del self._busy[task.unit]
        self._changed.notify_all()

    def _freest(self) -> int:
        free = next((unit for unit in self._waiting if unit not in self._busy), None)
        return max(self._waiting, key=lambda unit: len(self._waiting[unit])) if free is None else free
