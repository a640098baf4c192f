"""build.py's data-set verbs as real processes: started, watched, killed, and what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TINY = ("--size", "32x24", "--samples", 1, "--no-denoise", "--texture", 64, "--device", "cpu")
COHORT = ("cohort", "--subjects", 2, "--poses", 2, "--cameras", 2, "--seed", 5, *TINY)


def start(*arguments: object) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, str(ROOT / "build.py"), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process: subprocess.Popen, timeout: float = 240) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def run(*arguments: object) -> tuple[int, str, str]:
    return finish(start(*arguments))


def make(*arguments: object) -> str:
    """A run that must succeed; what it says."""
    status, out, err = run(*arguments)
    assert status == 0, out + err
    assert not err
    return out


def refused(*arguments: object) -> str:
    """The one line of a run that must be refused."""
    return one_line(run(*arguments))


def one_line(result: tuple[int, str, str]) -> str:
    status, out, err = result
    assert status == 2, out + err
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ")
    return line


def records(out: Path) -> list[Path]:
    return [path for path in out.glob("**/labels/*/*.json") if not path.name.startswith(".")]


def wait_for(found: Callable[[], object], what: str, timeout: float = 120) -> object:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"no {what} after {timeout} s")


def workers_below(pid: int) -> list[int]:
    """The Blender workers among a process's descendants."""
    below = []
    for child in _children(pid):
        if "_worker" in _command(child):
            below.append(child)
        below += workers_below(child)
    return below


def below_named(pid: int, name: str) -> list[int]:
    """Descendants whose command holds `name`."""
    below = []
    for child in _children(pid):
        below += [child] if name in " ".join(_command(child)) else []
        below += below_named(child, name)
    return below


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def leftovers(out: Path) -> list[Path]:
    """Hidden files: what a killed writer leaves."""
    return [path for path in out.glob("**/.*") if path.is_file()]


def labels_digest(out: Path) -> str:
    return json.loads((out / "manifest.json").read_text())["labels_sha256"]


def last_run(out: Path) -> dict:
    return json.loads(sorted((out / "runs").iterdir())[-1].read_text())


def _children(pid: int) -> list[int]:
    below = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it may just have ended
            below += [int(child) for child in task.read_text().split()]
    return below


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
