"""Progress that can be shown as a bar or as JSON lines, and that can cancel the work.

Long functions take a `Progress` callback and call it between steps. A callback that raises `Cancelled` stops the work
cleanly: outputs are written last and atomically, so nothing half-written remains.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .errors import Cancelled

Progress = Callable[..., None]
"""Called as progress(fraction, message, preview=path): fraction in [0, 1]; preview is optional."""


def silent(fraction: float, message: str = "", preview: Path | None = None) -> None:
    """A progress callback that shows nothing."""


def sub_progress(progress: Progress, start: float, end: float) -> Progress:
    """The part [start, end] of `progress` as a callback of its own, for a stage of a longer job."""

    def scaled(fraction: float, message: str = "", preview: Path | None = None) -> None:
        progress(start + (end - start) * min(max(fraction, 0.0), 1.0), message, preview=preview)

    return scaled


class JsonProgress:
    """One JSON object a line on a stream: the protocol between the engine and the add-on."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream if stream is not None else sys.stdout

    def emit(self, event: str, **fields: object) -> None:
        self.stream.write(json.dumps({"event": event, **fields}, default=str) + "\n")
        self.stream.flush()

    def __call__(self, fraction: float, message: str = "", preview: Path | None = None) -> None:
        extra = {"preview": str(preview)} if preview is not None else {}
        self.emit("progress", fraction=round(float(fraction), 4), message=message, **extra)


LOG_SHARE = 0.1
"""Of the work, after which a log gets another line within a stage."""
SAME_SIGNAL_S = 1.0
"""Signals so close together are one: a launcher passes on what its terminal has sent to all processes already."""


class BarProgress:
    """A progress bar in a terminal; without one, a plain line as a stage begins and at every tenth of the work.

    Messages that differ in numbers alone belong to one stage.
    """

    def __init__(self, stream: TextIO | None = None, width: int = 28):
        self.stream = stream if stream is not None else sys.stderr
        self.width = width
        self.started = time.monotonic()
        self.last_message = ""
        self.stage, self.logged = "", 0.0

    def __call__(self, fraction: float, message: str = "", preview: Path | None = None) -> None:
        elapsed = time.monotonic() - self.started
        if self.stream.isatty():
            filled = round(self.width * fraction)
            bar = "█" * filled + "·" * (self.width - filled)
            self.stream.write(f"\r\033[K{bar} {fraction:4.0%} {elapsed:5.0f}s  {message}")
        elif self._is_news(fraction, message):
            self.stream.write(f"{fraction:4.0%} {elapsed:5.0f}s  {message}\n")
        self.last_message = message
        self.stream.flush()

    def _is_news(self, fraction: float, message: str) -> bool:
        stage = re.sub(r"\d+(\.\d+)?", "#", message)
        news = stage != self.stage or (message != self.last_message and fraction >= self.logged + LOG_SHARE)
        if news:
            self.stage, self.logged = stage, fraction
        return news

    def close(self) -> None:
        if self.stream.isatty() and self.last_message:
            self.stream.write("\n")
            self.stream.flush()


@contextmanager
def cancel_on_signal(progress: Progress) -> Iterator[Progress]:
    """Turn SIGINT and SIGTERM into a `Cancelled` at the next progress call.

    A second signal, a second later or more, falls through to the previous handler, so that stuck work can still be
    interrupted.
    """
    stop = threading.Event()
    asked = 0.0
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request_stop(number: int, frame: object) -> None:
        nonlocal asked
        if not stop.is_set():
            stop.set()
            asked = time.monotonic()
        elif time.monotonic() - asked >= SAME_SIGNAL_S:
            signal.signal(number, previous[signal.Signals(number)] or signal.SIG_DFL)
            signal.raise_signal(number)

    def checked(fraction: float, message: str = "", preview: Path | None = None) -> None:
        if stop.is_set():
            raise Cancelled
        progress(fraction, message, preview=preview)

    for number in previous:
        signal.signal(number, request_stop)
    try:
        yield checked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)
