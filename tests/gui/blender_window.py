"""A real Blender window on a virtual screen, driven and photographed from outside."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from gui_room import Room, enter, inside_environment  # noqa: E402

HERE = Path(__file__).parent
MARKER = "@@result@@"
MARK = "PALM_GUI_TEST"
"""Variable that all processes of one window carry, its children too: what is left over is found by it."""

PATIENCE_S = 60.0
"""For what takes a second where the machine has nothing else to do."""


class Screen:
    """An X server of its own, with a camera."""

    def __init__(self, room: Room, size: tuple[int, int], folders: Sequence[Path]):
        self.room, self.size, self.folders = room, size, folders
        reader, writer = os.pipe()
        geometry = f"{size[0]}x{size[1]}x24"
        command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", geometry, "-nolisten", "tcp"]
        self._server = subprocess.Popen(
            enter(room.folder, command), env=inside_environment(), pass_fds=(writer,), stderr=subprocess.DEVNULL
        )
        os.close(writer)
        with os.fdopen(reader) as answer:
            self.display = f":{answer.readline().strip()}"
        assert self.display != ":", "the X server did not start"

    def photograph(self, file: Path) -> Path:
        """A PNG of all that is seen."""
        file.parent.mkdir(parents=True, exist_ok=True)
        command = enter(self.room.folder, ["import", "-window", "root", str(file)], self.folders)
        subprocess.run(command, env=inside_environment({"DISPLAY": self.display}), check=True, timeout=PATIENCE_S)
        return file

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(PATIENCE_S)


class BlenderWindow:
    """A Blender that runs jobs: see driver.py."""

    def __init__(
        self, screen: Screen, user: Path, log: Path, variables: Mapping[str, str] | None = None, file: str = ""
    ):
        """user: Blender's folder of settings and extensions. log: where all that it prints goes."""
        self.screen, self.log = screen, log
        self.token = f"{os.getpid()}-{time.monotonic_ns()}"
        width, height = map(str, screen.size)
        command = ["blender", *screen.room.options, "--enable-event-simulate", "--python-exit-code", "1"]
        command += ["--window-geometry", "0", "0", width, height, *([file] if file else [])]
        command += ["--python", str(HERE / "driver.py")]
        environment = inside_environment(
            {"DISPLAY": screen.display, "BLENDER_USER_RESOURCES": str(user), MARK: self.token, **(variables or {})}
        )
        self._log = open(log, "w", encoding="utf-8")  # noqa: SIM115  closed with the window
        self.process = subprocess.Popen(
            enter(screen.room.folder, command, screen.folders),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment,
        )  # fmt: skip
        self._answers: queue.SimpleQueue[dict | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):  # the log is closed while a line comes
            for line in self.process.stdout:
                if line.startswith(MARKER):
                    self._answers.put(json.loads(line[len(MARKER) :]))
                else:
                    self._log.write(line)
        self._answers.put(None)

    def run(self, job: str, timeout: float = 120, **arguments: object) -> object:
        """The result of a job. Fails with the job's own traceback, or with what Blender printed last if it is gone."""
        self.process.stdin.write(json.dumps({"job": job, "arguments": arguments}, default=str) + "\n")
        self.process.stdin.flush()
        try:
            answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"{job} took more than {timeout:g} s:\n{self.said()}") from None
        assert answer is not None, f"Blender is gone during {job}:\n{self.said()}"
        assert "error" not in answer, f"{job} failed:\n{answer['error']}\n{self.said()}"
        return answer["result"]

    def photograph(self, name: str) -> Path:
        """A PNG in out/gui/, once Blender has drawn."""
        self.run("window_jobs.draw")
        return self.screen.photograph(ROOT / "out" / "gui" / self.screen.room.name / f"{name}.png")

    def said(self) -> str:
        self._log.flush()
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def processes(self) -> dict[int, str]:
        """The command lines of all processes that this window started and that are still there, by id."""
        return processes_marked(self.token)

    def close(self) -> dict[int, str]:
        """Quit as a user does. Returns the processes that were left behind, which are ended."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE_S)
        left = self.processes()
        for number in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._log.close()
        return left


def processes_marked(token: str) -> dict[int, str]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={token}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
    return found
