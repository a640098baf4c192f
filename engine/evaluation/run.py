"""All units of an evaluation, one after another or in processes of their own."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.synchronize import Event
from pathlib import Path

from ..errors import Cancelled, InputError, MissingDependencyError, OutputError, PalmError
from ..progress import Progress, silent, sub_progress
from .relit_set import RelitSequence
from .shots import JudgedSequence
from .unit import ProtocolConfig, UnitResult, evaluate_unit

log = logging.getLogger(__name__)

POLL_S = 0.5
AnySequence = RelitSequence | JudgedSequence


def evaluate_all(
    sequences: Sequence[AnySequence],
    methods: Sequence[str],
    out: Path,
    config: ProtocolConfig,
    workers: int = 1,
    progress: Progress = silent,
) -> list[UnitResult]:
    """Results by sequence and then method. Workers take whole sequences, because methods of one share what they fit.

    A unit that cannot be done says why in its result, and the others go on; where none can, the first one's error is raised. A
    Cancelled from progress reaches the workers at their next step; what is finished stays and is used again. Raises PalmError.
    """
    results = _all_results(sequences, methods, out, config, workers, progress)
    failed = [result for result in results if result.failed is not None]
    if failed and len(failed) == len(results):
        raise InputError(
            f"nothing could be evaluated; first {failed[0].sequence}, {failed[0].method}: {failed[0].failed}"
        )
    return results


def _all_results(
    sequences: Sequence[AnySequence],
    methods: Sequence[str],
    out: Path,
    config: ProtocolConfig,
    workers: int,
    progress: Progress,
) -> list[UnitResult]:
    if workers <= 1:
        results = []
        for number, sequence in enumerate(sequences):
            part = sub_progress(progress, number / len(sequences), (number + 1) / len(sequences))
            results += _evaluate_sequence(sequence, methods, out, config, part)
        return results
    return _in_processes(sequences, methods, out, config, min(workers, len(sequences)), progress)


def _evaluate_sequence(
    sequence: AnySequence, methods: Sequence[str], out: Path, config: ProtocolConfig, progress: Progress
) -> list[UnitResult]:
    results = []
    for number, method in enumerate(methods):
        part = sub_progress(progress, number / len(methods), (number + 1) / len(methods))
        part = _named(part, f"{sequence.name}, {method}")
        results.append(_evaluated(sequence, method, out, config, part))
    return results


def _evaluated(sequence: AnySequence, method: str, out: Path, config: ProtocolConfig, progress: Progress) -> UnitResult:
    try:
        return evaluate_unit(sequence, method, out, config, progress)
    except (Cancelled, OutputError, MissingDependencyError):
        raise  # the next unit would fail too
    except PalmError as error:
        log.warning("%s, %s: %s", sequence.name, method, error)
        return UnitResult(sequence.name, method, {}, {}, {}, None, {}, {}, str(error))


def _named(progress: Progress, name: str) -> Progress:
    def named(fraction: float, message: str = "", preview: Path | None = None) -> None:
        progress(fraction, f"{name}: {message}", preview=preview)

    return named


def _in_processes(
    sequences: Sequence[AnySequence],
    methods: Sequence[str],
    out: Path,
    config: ProtocolConfig,
    workers: int,
    progress: Progress,
) -> list[UnitResult]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(stop, threads))
    with pool:
        jobs = {pool.submit(_in_worker, sequence, methods, out, config): sequence.name for sequence in sequences}
        try:
            _watch(jobs, progress)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [result for job in jobs for result in job.result()]


def _watch(jobs: dict[Future, str], progress: Progress) -> None:
    """Report until all jobs are done; raises what the first that fails raises."""
    waiting = set(jobs)
    while waiting:
        done, waiting = wait(waiting, timeout=POLL_S, return_when=FIRST_COMPLETED)
        for job in done:
            job.result()
        progress(1 - len(waiting) / len(jobs), f"{len(jobs) - len(waiting)} of {len(jobs)} sequences")


_stop: list[Event] = []
"""A worker's only state: the event that its parent sets to cancel."""


def _begin_worker(stop: Event, threads: int) -> None:
    import torch

    # a terminal's interrupt reaches workers too; their parent tells them to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    _stop.append(stop)


def _in_worker(sequence: AnySequence, methods: Sequence[str], out: Path, config: ProtocolConfig) -> list[UnitResult]:
    def checked(fraction: float, message: str = "", preview: Path | None = None) -> None:
        if _stop[0].is_set():
            raise Cancelled

    return _evaluate_sequence(sequence, methods, out, config, checked)
