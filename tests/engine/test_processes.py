import os

import pytest

from engine.errors import Cancelled, InputError
from engine.processes import map_in_processes
from engine.progress import silent


def squared(number, progress):
    """What workers do here: import this module by its name."""
    progress(0.5, "half way")
    if number < 0:
        raise InputError(f"{number} is below 0")
    return number * number, os.getpid()


def never_ends(number, progress):
    while True:
        progress(0.0)


def test_results_come_in_order_and_progress_counts():
    said = []
    found = map_in_processes(squared, [(3,), (1,), (2,)], 1, lambda f, m="", preview=None: said.append((f, m)), "sum")
    assert [value for value, _ in found] == [9, 1, 4]
    assert said == [(pytest.approx((k + 0.5) / 3), f"sum {k + 1} of 3: half way") for k in range(3)]
    assert map_in_processes(squared, [], 4, silent, "sum") == []


def test_an_error_or_a_cancel_stops_the_work():
    with pytest.raises(InputError, match="-1 is below 0"):
        map_in_processes(squared, [(1,), (-1,)], 1, silent, "sum")

    def stop(fraction, message="", preview=None):
        raise Cancelled

    with pytest.raises(Cancelled):
        map_in_processes(squared, [(1,), (2,)], 1, stop, "sum")


@pytest.mark.slow
def test_workers_are_processes_of_their_own_and_end_when_cancelled():
    found = map_in_processes(squared, [(3,), (1,), (2,)], 2, silent, "sum")
    assert [value for value, _ in found] == [9, 1, 4]
    assert os.getpid() not in {process for _, process in found}

    def stop(fraction, message="", preview=None):
        raise Cancelled

    with pytest.raises(Cancelled):
        map_in_processes(never_ends, [(1,), (2,)], 2, stop, "sum")
