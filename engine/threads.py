"""Work split over torch's CPU threads, for kernels that run in the thread that calls them, as Warp's do on the CPU."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import torch


def parallel_ranges(count: int, run: Callable[[int, int], None], minimum: int = 4096) -> None:
    """Call run(start, stop) on consecutive ranges that cover [0, count), one range per torch thread, at the same time.

    A range has at least `minimum` items (but the whole, when there are fewer), so that small work stays in one thread. The
    ranges depend only on count, minimum and torch.get_num_threads(). `run` must release Python's lock while it works (Warp
    launches, NumPy and torch do) and write only to its own range. torch's grad mode is per thread: it is off in `run`.
    Whatever `run` raises is raised here, after all ranges have ended.
    """
    if count <= 0:
        return
    parts = max(1, min(torch.get_num_threads(), count // max(minimum, 1)))
    edges = [count * part // parts for part in range(parts + 1)]
    _run_all(parts, lambda part: run(edges[part], edges[part + 1]))


def parallel_tasks(count: int, run: Callable[[int], None]) -> None:
    """Call run(0) … run(count − 1), up to torch.get_num_threads() at the same time, each once, in rising order of start.

    For tasks of unequal size: a thread that is done takes the next. Otherwise as `parallel_ranges`.
    """
    tickets = itertools.count()

    def worker(_: int) -> None:
        while (task := next(tickets)) < count:
            run(task)

    if count > 0:
        _run_all(min(torch.get_num_threads(), count), worker)


def _run_all(count: int, run: Callable[[int], None]) -> None:
    """run(0) … run(count − 1), each in a thread of its own, the last in the caller's."""
    failures: list[BaseException] = []

    def guarded(index: int) -> None:
        try:
            with torch.no_grad():
                run(index)
        except BaseException as error:  # noqa: BLE001 - handed on to the caller below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(index,), daemon=True) for index in range(count - 1)]
    for thread in threads:
        thread.start()
    guarded(count - 1)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
