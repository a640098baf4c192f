"""Independent pieces of work, one after another or in processes of their own, that a progress callback can cancel."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, TypeVar

from .errors import Cancelled
from .progress import Progress, sub_progress

POLL_S = 0.5
ResultT = TypeVar("ResultT")


def map_in_processes(
    work: Callable[..., ResultT], pieces: Sequence[tuple[Any, ...]], workers: int, progress: Progress, noun: str
) -> list[ResultT]:
    """work(*piece, progress) of every piece, in the pieces' order.

    work: a module's function; it asks its progress callback between steps, which raises Cancelled once the caller's does.
    noun: what a piece is, for messages. Raises what the first piece that fails raises.
    """
    if workers <= 1 or len(pieces) <= 1:
        results = []
        for number, piece in enumerate(pieces):
            part = sub_progress(progress, number / len(pieces), (number + 1) / len(pieces))
            results.append(work(*piece, _counted(part, number, len(pieces), noun)))
        return results
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    workers = min(workers, len(pieces))
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(stop, threads)) as pool:
        jobs = [pool.submit(_run, work, piece) for piece in pieces]
        try:
            _watch(jobs, progress, noun)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [job.result() for job in jobs]


def _counted(progress: Progress, number: int, count: int, noun: str) -> Progress:
    def counted(fraction: float, message: str = "", preview: Path | None = None) -> None:
        said = f"{noun} {number + 1} of {count}"
        progress(fraction, f"{said}: {message}" if message else said, preview=preview)

    return counted


def _watch(jobs: Sequence[Future], progress: Progress, noun: str) -> None:
    waiting = set(jobs)
    while waiting:
        done, waiting = wait(waiting, timeout=POLL_S, return_when=FIRST_COMPLETED)
        for job in done:
            job.result()
        progress(1 - len(waiting) / len(jobs), f"{noun} {len(jobs) - len(waiting)} of {len(jobs)}")


_stop: list[Event] = []
"""A worker's only state: the event that its parent sets to cancel."""


def _begin(stop: Event, threads: int) -> None:
    # a terminal's interrupt reaches workers too; their parent tells them to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # read when torch is first imported, which is left to work that needs it
    given = os.environ.get("OMP_NUM_THREADS", "")
    os.environ["OMP_NUM_THREADS"] = str(min(threads, int(given)) if given.isdecimal() else threads)
    _stop.append(stop)


def _run(work: Callable[..., ResultT], piece: tuple[Any, ...]) -> ResultT:
    def checked(fraction: float, message: str = "", preview: Path | None = None) -> None:
        if _stop[0].is_set():
            raise Cancelled

    return work(*piece, checked)
