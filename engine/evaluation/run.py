"""All units of an evaluation, one after another or in processes of their own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from ..errors import Cancelled, InputError, MissingDependencyError, OutputError, PalmError
from ..processes import map_in_processes
from ..progress import Progress, silent, sub_progress
from .relit_set import RelitSequence
from .shots import JudgedSequence
from .unit import ProtocolConfig, UnitResult, evaluate_unit

log = logging.getLogger(__name__)

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
    pieces = [(sequence, methods, out, config) for sequence in sequences]
    results = list(chain.from_iterable(map_in_processes(_evaluate_sequence, pieces, workers, progress, "sequence")))
    failed = [result for result in results if result.failed is not None]
    if failed and len(failed) == len(results):
        raise InputError(
            f"nothing could be evaluated; first {failed[0].sequence}, {failed[0].method}: {failed[0].failed}"
        )
    return results


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
