"""The engine ends with the program that started it, whatever that program's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORK = """
import sys, time
from engine.parent import end_with_parent
from engine.progress import cancel_on_signal, silent
from engine.errors import Cancelled
end_with_parent(grace_s={grace})
print("ready", flush=True)
try:
    with cancel_on_signal(silent) as progress:
        while True:
            time.sleep(0.02)
            {step}
except Cancelled:
    print("cancelled in order", flush=True)
"""


def worker(step: str, grace: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK.format(step=step, grace=grace)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def test_work_is_cancelled_as_the_pipe_closes() -> None:
    process = worker("progress(0.5)", grace=20)
    time.sleep(0.1)
    assert process.poll() is None
    said, _ = process.communicate(timeout=10)
    assert said == "cancelled in order\n" and process.returncode == 0


def test_work_that_is_done_ends_in_order_while_the_parent_lives() -> None:
    code = "from engine.parent import end_with_parent; end_with_parent()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, start_new_session=True
    )
    assert process.wait(timeout=10) == 0
    assert process.stderr.read() == b""
    process.stdin.close()


def test_work_that_cannot_be_cancelled_is_ended_by_force() -> None:
    process = worker("pass", grace=0.3)
    process.stdin.close()
    assert process.wait(timeout=10) == (-signal.SIGKILL if os.name == "posix" else 130)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_parent_leaves_no_orphan(tmp_path: Path) -> None:
    """A parent that starts the engine's work and is killed outright: the child's file says that it ended in order."""
    log = tmp_path / "child.txt"
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {WORK.format(step="progress(0.5)", grace=20)!r}],
                         stdin=subprocess.PIPE, stdout=open({str(log)!r}, "w"), start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + 20
    while "ready" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while "cancelled" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert log.read_text() == "ready\ncancelled in order\n"
    time.sleep(0.5)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    """Whether a process works still; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_gives_way_to_its_parent() -> None:
    process = worker("pass", grace=30)
    try:
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(own + 10, 19)
        session = Path(f"/proc/{process.pid}/autogroup")
        if session.is_file():
            assert session.read_text().split()[-1] == "10"
    finally:
        process.kill()
        process.wait()
