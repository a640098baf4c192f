"""Keeping C++ libraries' own messages, which no Python setting reaches, off the user's terminal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard what is written to file descriptor 2 inside the block. Python's own messages there are lost too."""
    try:
        saved = os.dup(2)
    except OSError:
        # no standard error at all, as under a window manager
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
