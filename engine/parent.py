"""Ending with the program that started the engine, however that program ends.

Blender hands the engine a pipe as standard input and keeps the other end open. Any end of Blender, a crash or a kill
included, closes the pipe, on every system, and that is all this needs to notice.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

GRACE_S = 15.0
"""From the parent's end to the engine's own by force, for work that cannot be cancelled in time."""
STANDARD_INPUT = 0
NICENESS = 10
"""Added to the process's own: whoever waits for the engine is using the machine meanwhile."""
SESSION_PRIORITY = "/proc/self/autogroup"
"""Linux shares its processors among sessions before processes: one of its own is not slowed by niceness alone."""


def end_with_parent(grace_s: float = GRACE_S) -> None:
    """Cancel this process once its standard input ends, and kill it with its children `grace_s` after that.

    Also lowers the process's priority. Returns at once.
    """
    if hasattr(os, "nice"):
        os.nice(NICENESS)
        with suppress(OSError), open(SESSION_PRIORITY, "w", encoding="ascii") as file:
            file.write(str(NICENESS))
    threading.Thread(target=_wait_for_end, args=(grace_s,), name="parent", daemon=True).start()


def _wait_for_end(grace_s: float) -> None:
    # not sys.stdin: its lock, held by a thread that waits, is fatal as the interpreter ends in order
    with suppress(OSError):
        while os.read(STANDARD_INPUT, 4096):
            pass
    force = threading.Timer(grace_s, _end_by_force)
    force.daemon = True
    force.start()
    # as if the user had cancelled: outputs stay whole, temporary files are removed
    signal.raise_signal(signal.SIGTERM)


def _end_by_force() -> None:
    if os.name == "posix" and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(130)
