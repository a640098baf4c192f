"""The controller's end of a worker: a Blender process that takes requests and answers with events, one JSON a line.

The worker's standard input carries requests and, by closing, its end; its standard output carries the events, marked so
that Blender's own chatter cannot pass for one; its standard error goes to a file whose end is quoted when it dies.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...engine import errors
from ...engine.errors import PalmError

MARK = "@palm "
"""Begins each event's line."""
BUILD = Path(__file__).resolve().parents[2] / "build.py"
GRACE_S = 10.0
"""A worker that is told to go may finish writing its picture."""
TAIL_CHARACTERS = 300


class WorkerLost(Exception):
    """A worker died or hung. Its message says how, with its last words."""


def host_command() -> list[str]:
    """Starts build.py in another Blender like this one: the program itself, or this Python with the `bpy` package."""
    blender = getattr(getattr(sys.modules.get("bpy"), "app", None), "binary_path", "")
    if blender:
        return [blender, "-b", "--factory-startup", "--python-exit-code", "1", "-P", str(BUILD), "--"]
    return [sys.executable, str(BUILD)]


def worker_command() -> list[str]:
    """Starts a worker."""
    return [*host_command(), "_worker"]


class WorkerProcess:
    """One running worker. `ask` from one thread at a time; `close` from any."""

    def __init__(self, scratch: Path, timeout_s: float, command: Sequence[str] | None = None):
        """scratch: an empty folder for its temporary files and its log. timeout_s: longest silence."""
        self.timeout_s = timeout_s
        self._log = scratch / "log.txt"
        temporary = scratch / "tmp"
        temporary.mkdir(parents=True)
        places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [*(command or worker_command()), str(scratch)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env={**os.environ, **places, "PYTHONUNBUFFERED": "1"},
                # the terminal's Ctrl-C is for the controller, which ends its workers between two pictures
                **_own_group(),
            )  # fmt: skip
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Events that answer a request. Raises WorkerLost, and the worker's own PalmError."""
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise WorkerLost(self._last_words()) from error
        while True:
            try:
                event = self._events.get(timeout=self.timeout_s)
            except queue.Empty:
                self.kill()
                raise WorkerLost(f"it was silent for {self.timeout_s:g} s") from None
            if event is None:
                raise WorkerLost(self._last_words())
            if event["event"] == "done":
                return
            if event["event"] == "refused":
                raise getattr(errors, event["kind"], PalmError)(event["message"])
            yield event

    def close(self, grace_s: float = GRACE_S) -> None:
        """Let it end, by force after `grace_s`."""
        with suppress(OSError):  # what was still to be written to a dead worker
            self._process.stdin.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        mark = MARK.encode()
        for line in self._process.stdout:
            if line.startswith(mark):
                try:
                    self._events.put(json.loads(line[len(mark) :]))
                except ValueError:  # cut off as the worker died
                    break
        self._events.put(None)

    def _last_words(self) -> str:
        """How it ended, and the end of what it said."""
        try:
            status = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            status = self._process.wait()
        how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            lines = []
        said = " ".join(" ".join(lines[-12:]).split())[-TAIL_CHARACTERS:]
        return f"{how}; its last words: {said}" if said else how


def _own_group() -> dict[str, Any]:
    if os.name == "posix":
        return {"start_new_session": True}
    return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
