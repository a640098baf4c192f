"""A process beside Blender that does the heavy work: started, heard, cancelled, and never left behind.

It speaks JSON lines on its standard output (engine/progress.py); its standard error goes to a log file; its standard input
is a pipe that says, by closing, that Blender has ended. No bpy here.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
"""Holds the `engine` package: the extension's folder, or the checkout."""
GRACE_S = 20.0
"""From a cancel to the end by force; a data set's own workers have half of it to finish their picture."""
HANG_S = 600.0
"""Longest silence of a process that works: compiling its kernels the first time takes a minute."""
LONGEST_LINE = 1 << 20
LONGEST_TEXT = 600
MOST_GARBAGE = 200
"""Lines of garbage that the log is told of."""
DRAIN_S = 2.0
"""For the last lines of a process that has ended."""


def engine_command(python: Path | str, arguments: Sequence[object], root: Path = ROOT) -> list[str]:
    """`python -m engine …` without the user's own packages; `engine_environment` says where the engine is."""
    return [str(python), "-s", "-m", "engine", *map(str, arguments), "--progress", "json", "--parent-pipe"]


def engine_environment(root: Path = ROOT, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's environment without what would lead another Python astray; `root` is where its own modules are."""
    source = os.environ if given is None else given
    kept = {name: value for name, value in source.items() if not name.upper().startswith(("PYTHON", "VIRTUAL_ENV"))}
    own = {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
    return {**kept, **own}


@dataclass
class News:
    """What a process has said since it was last asked."""

    fraction: float | None = None
    message: str | None = None
    preview: Path | None = None
    ended: Ended | None = None


@dataclass(frozen=True)
class Ended:
    """How a process ended: state is "done", "failed" or "cancelled"; message one line for the user."""

    state: str
    message: str
    result: dict[str, Any] = field(default_factory=dict)


class EngineProcess:
    """One running process. All methods return at once and are for one thread."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, hang_s: float = HANG_S
    ):
        """Start it. folder: exists, for its log and temporary files. A program that cannot be started is told by `news`."""
        self.log = folder / "log.txt"
        self._hang_s = hang_s
        self._lock = threading.Lock()
        self._news = News()
        self._result: dict[str, Any] | None = None
        self._error = ""
        self._garbage = 0
        self._heard = time.monotonic()
        self._kill_at: float | None = None
        self._exited: float | None = None
        self._ended: Ended | None = None
        self._cancelled = False
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._start(command, folder, dict(environment if environment is not None else engine_environment()))

    def _start(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        temporary = folder / "tmp"
        try:
            temporary.mkdir(exist_ok=True)
            environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
            with open(self.log, "wb") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=folder,
                    **_own_group(),
                )  # fmt: skip
        except (OSError, ValueError) as error:
            # ValueError: an argument that no process can be given
            what, why = getattr(error, "filename", None) or command[0], getattr(error, "strerror", None) or error
            self._ended = Ended("failed", _one_line(f"cannot start {what} ({why}): see the engine in the preferences"))
            return
        self._reader = threading.Thread(target=self._listen, name="engine output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def silent_s(self) -> float:
        """Seconds since it last said anything."""
        return time.monotonic() - self._heard

    def news(self) -> News:
        """What is new since the last call; once it has ended, `ended` says how, again and again."""
        with self._lock:
            news, self._news = self._news, News()
        if self._ended is None:
            self._ended = self._check()
        news.ended = self._ended
        return news

    def cancel(self) -> None:
        """Ask it to stop; `news` ends it by force where it has not after a grace time.

        It is asked once: a second signal is what a person sends to work that does not wind up.
        """
        if self._process is None or self._ended is not None:
            return
        self._cancelled = True
        if self._kill_at is None:
            self._kill_at = time.monotonic() + GRACE_S
            if os.name == "posix":
                self._signal_group(hard=False)
            else:
                self._close_pipe()

    def kill(self) -> None:
        """End it, and all that it started, now."""
        if self._process is None:
            return
        self._signal_group(hard=True)
        with suppress(OSError):
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._close_pipe()

    def wait(self, timeout_s: float | None = None) -> Ended:
        """Block until it has ended; for scripts. Raises TimeoutError."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while (ended := self.news().ended) is None:
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"the engine works for more than {timeout_s:g} s")
            time.sleep(0.02)
        return ended

    def _check(self) -> Ended | None:
        """How it ended, if it did; it is killed where it hangs, or ignores a cancel."""
        assert self._process is not None and self._reader is not None
        now = time.monotonic()
        if self._process.poll() is None:
            if self._kill_at is not None and now > self._kill_at:
                self.kill()
            elif self.silent_s > self._hang_s:
                self.kill()
                return Ended("failed", f"the engine said nothing for {self._hang_s:.0f} s and was ended: see the log")
            return None
        if self._exited is None:
            self._exited = now
            # what it started must not outlive it, nor hold its output open
            self._signal_group(hard=True)
            self._close_pipe()
        if self._reader.is_alive() and now - self._exited < DRAIN_S:
            return None
        return self._how(self._process.returncode)

    def _how(self, status: int) -> Ended:
        if status == 0 and self._result is not None:
            return Ended("done", "", self._result)
        if self._cancelled or status == 130:
            # its own words where it has any: a set-up keeps its downloads, a data set its pictures
            return Ended("cancelled", self._error or "cancelled")
        if self._error:
            return Ended("failed", self._error)
        last = self._last_line()
        if status < 0:
            how = f"the engine was ended by the system (signal {-status}; perhaps the memory ran out)"
        elif status == 0:
            how = "the engine ended without a result"
        else:
            how = f"the engine ended with status {status}"
        return Ended("failed", f"{how}: {last}" if last else f"{how}: see the log")

    def _last_line(self) -> str:
        try:
            with open(self.log, "rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 4000))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return _one_line(lines[-1]).removeprefix("error: ") if lines else ""

    def _listen(self) -> None:
        """In a thread: lines become news; progress that nobody has asked for yet is replaced, so that nothing piles up."""
        assert self._process is not None and self._process.stdout is not None
        with self._process.stdout as stream, suppress(OSError, ValueError):
            while line := stream.readline(LONGEST_LINE):
                self._heard = time.monotonic()
                try:
                    event = json.loads(line)
                    self._take(event["event"], event)
                except Exception:  # noqa: BLE001 - whatever a line may hold, the next one is still heard
                    self._note_garbage(line)

    def _take(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "progress":
            fraction = float(event["fraction"])
            preview = event.get("preview")
            with self._lock:
                self._news.fraction = min(max(fraction, 0.0), 1.0) if math.isfinite(fraction) else 0.0
                self._news.message = _one_line(event.get("message", ""))
                self._news.preview = Path(preview) if isinstance(preview, str) else self._news.preview
        elif kind == "result":
            self._result = {name: value for name, value in event.items() if name != "event"}
        elif kind in ("error", "cancelled"):
            self._error = _one_line(event["message"])
        else:
            raise ValueError(kind)

    def _note_garbage(self, line: bytes) -> None:
        self._garbage += 1
        if self._garbage <= MOST_GARBAGE:
            with suppress(OSError), open(self.log, "ab") as log:
                log.write(b"not understood: " + line[:LONGEST_TEXT].rstrip() + b"\n")

    def _signal_group(self, hard: bool) -> None:
        """Ask it and what it started to end, or (hard) end them. Elsewhere than on POSIX only the latter."""
        if self._process is None:
            return
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL if hard else signal.SIGTERM)
        elif hard and self._process.poll() is None:
            with suppress(OSError, subprocess.SubprocessError):
                command = ["taskkill", "/T", "/F", "/PID", str(self._process.pid)]
                subprocess.run(command, capture_output=True, timeout=5, check=False)

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


def _own_group() -> dict[str, Any]:
    if os.name == "posix":
        return {"start_new_session": True}
    flags = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW", "BELOW_NORMAL_PRIORITY_CLASS")
    return {"creationflags": sum(getattr(subprocess, name) for name in flags)}


def _one_line(text: object) -> str:
    return clean(" ".join(str(text).split()))[:LONGEST_TEXT]


def clean(text: str) -> str:
    """Text that Blender's properties take: names of files that are no UTF-8 reach Python with halves of characters."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()
