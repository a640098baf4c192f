"""Ranges and tasks cover all the work once, at the same time, and pass errors on."""

from __future__ import annotations

import threading

import pytest
import torch

from engine.threads import parallel_ranges, parallel_tasks


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 5, 16, 17, 1000])
def test_ranges_cover_everything_once(two_threads, count):
    seen: list[tuple[int, int]] = []
    parallel_ranges(count, lambda start, stop: seen.append((start, stop)), minimum=8)
    assert sorted(i for start, stop in seen for i in range(start, stop)) == list(range(count))
    assert len(seen) == (0 if count == 0 else 1 if count < 16 else 2)


def test_ranges_run_at_the_same_time(two_threads):
    meeting = threading.Barrier(2, timeout=20)
    parallel_ranges(2, lambda start, stop: meeting.wait(), minimum=1)


def test_every_task_runs_once(two_threads):
    seen: list[int] = []
    parallel_tasks(50, seen.append)
    assert sorted(seen) == list(range(50))
    parallel_tasks(0, seen.append)
    assert len(seen) == 50


def test_errors_reach_the_caller(two_threads):
    def fail(start: int, stop: int) -> None:
        raise ValueError(f"range {start}")

    with pytest.raises(ValueError, match="range"):
        parallel_ranges(100, fail, minimum=1)


def test_grad_mode_is_off_in_the_work_and_as_before_after_it(two_threads):
    modes: list[bool] = []
    parallel_ranges(4, lambda start, stop: modes.append(torch.is_grad_enabled()), minimum=1)
    assert modes == [False, False]
    assert torch.is_grad_enabled()
