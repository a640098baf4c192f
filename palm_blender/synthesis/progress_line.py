"""The line that says how far a run is: rewritten on a terminal, now and then in a log."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TextIO

from ...engine.progress import JsonProgress

LOG_EVERY_S = 10.0
RECENT_FRAMES = 64
BEAT_S = 60.0


def progress_text(done: int, total: int, seconds_per_frame: float | None) -> str:
    """ "frame 120 of 1841 · 0.9 s a frame · 28 min left" """
    parts = [f"frame {done} of {total}"]
    if seconds_per_frame is not None:
        digits = 1 if seconds_per_frame >= 0.1 else 2
        parts.append(f"{seconds_per_frame:.{digits}f} s a frame")
        if done < total:
            parts.append(f"{duration(seconds_per_frame * (total - done))} left")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """In the unit that a person would choose."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


class ProgressLine:
    """Shows frames as they are finished. The rate is that of the last frames, so that a slow start is forgotten."""

    def __init__(self, stream: TextIO, total: int, done: int = 0):
        """done: frames that were whole before this run."""
        self._stream, self._total, self._done = stream, total, done
        self._times = deque([time.monotonic()], maxlen=RECENT_FRAMES)
        self._logged = -LOG_EVERY_S
        self._open = False

    def begin(self) -> None:
        """Say how many frames there are, if any is to come: the first may take minutes."""
        if self._done < self._total:
            self._stream.write(f"{progress_text(self._done, self._total, None)}\n")
            self._stream.flush()

    def advance(self) -> None:
        """One more frame is whole."""
        self._done += 1
        now = time.monotonic()
        self._times.append(now)
        rate = (now - self._times[0]) / (len(self._times) - 1)
        text = progress_text(self._done, self._total, rate)
        if self._stream.isatty():
            self._stream.write(f"\r\033[K{text}")
            self._open = True
        elif now - self._logged >= LOG_EVERY_S or self._done == self._total:
            self._stream.write(f"{text}\n")
            self._logged = now
        self._stream.flush()

    def close(self) -> None:
        """Other lines may follow."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False


class JsonLine:
    """The same for another program, which reads JSON lines (engine/progress.py), and hears something every minute."""

    def __init__(self, progress: JsonProgress, total: int, done: int = 0, beat_s: float = BEAT_S):
        self._progress, self._total, self._done, self._beat_s = progress, total, done, beat_s
        self._closed: threading.Event | None = None
        """of the thread that repeats the line, while one does"""
        self._lock = threading.Lock()

    def begin(self) -> None:
        self._tell()
        self._keep_telling()

    def advance(self) -> None:
        self._done += 1
        self.begin()

    def close(self) -> None:
        """Say nothing until there is more."""
        if self._closed is not None:
            self._closed.set()
            self._closed = None

    def _keep_telling(self) -> None:
        if self._closed is None:
            self._closed = threading.Event()
            threading.Thread(target=self._beat, args=(self._closed,), name="progress", daemon=True).start()

    def _beat(self, closed: threading.Event) -> None:
        while not closed.wait(self._beat_s):
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            self._progress(self._done / max(self._total, 1), progress_text(self._done, self._total, None))


def line_on(stream: TextIO | JsonProgress, total: int, done: int = 0) -> ProgressLine | JsonLine:
    """The line for whoever reads the stream: a person or a program."""
    kind = JsonLine if isinstance(stream, JsonProgress) else ProgressLine
    return kind(stream, total, done)
