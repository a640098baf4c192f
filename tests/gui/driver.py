"""Runs inside a windowed Blender: carries out jobs that arrive as JSON lines, on the main thread, from a timer.

A line {"job": "MODULE.FUNCTION", "arguments": {…}} on standard input calls that function of a *_jobs.py beside this file; its
result goes to standard output behind a marker. A job that is a generator lets Blender draw and handle events: it yields
the seconds to wait and returns the result.
"""

from __future__ import annotations

import importlib
import inspect
import json
import queue
import sys
import threading
import traceback
from collections.abc import Generator
from pathlib import Path

import bpy

MARKER = "@@result@@"
PATIENCE_S = 0.02
"""Between two looks for a job."""

jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
running: list[Generator[float, None, object]] = []
"""The job that has begun, if any."""


def listen() -> None:
    for line in sys.stdin:
        jobs.put(line)
    jobs.put("")


def tick() -> float | None:
    """Blender calls this again after the seconds returned."""
    try:
        if not running:
            if jobs.empty():
                return PATIENCE_S
            line = jobs.get()
            if not line:  # whoever gives the jobs has gone
                bpy.ops.wm.quit_blender()
                return None
            running.append(begun(**json.loads(line)))
        return next(running[0])
    except StopIteration as ending:
        running.clear()
        answer({"result": ending.value})
    except Exception:  # noqa: BLE001  whatever it is, the test reads it
        running.clear()
        answer({"error": traceback.format_exc()})
    return PATIENCE_S


def begun(job: str, arguments: dict) -> Generator[float, None, object]:
    """The job as a generator, whether its function is one or not."""
    module, _, name = job.rpartition(".")
    result = getattr(importlib.import_module(module), name)(**arguments)
    if inspect.isgenerator(result):
        result = yield from result
    return result


def answer(message: dict) -> None:
    sys.stdout.write(f"\n{MARKER}{json.dumps(message, default=str)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    threading.Thread(target=listen, daemon=True).start()
    bpy.app.timers.register(tick, first_interval=0.5, persistent=True)
