"""What the user reads: none of Blender's own chatter, and one line for what the machine refuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..engine.errors import PalmError


@contextmanager
def quiet_blender(errors: bool = False) -> Iterator[None]:
    """Silence what Blender's C code prints to standard output, and with `errors` to standard error.

    For calls whose failure is noticed and reported otherwise.
    """
    sys.stdout.flush()
    saved = []
    try:
        for stream in (1, 2) if errors else (1,):
            saved.append((stream, os.dup(stream)))
    except OSError:  # a windowed Blender may have no console
        pass
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream, _ in saved:
            os.dup2(sink, stream)
        yield
    finally:
        sys.stdout.flush()
        for stream, copy in saved:
            os.dup2(copy, stream)
            os.close(copy)
        os.close(sink)


@contextmanager
def one_line_errors(exits: bool = False) -> Iterator[None]:
    """Turn what the system refuses (disk, rights, names, memory) into a PalmError of one line.

    exits: also what would end the process, which is Blender where an operator runs; command lines end that way.
    """
    try:
        yield
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        reason = error.strerror or error
        raise PalmError(f"cannot use{place} ({reason}): check the name, the disk and the rights") from error
    except SystemExit as error:
        if not exits:
            raise
        raise PalmError(f"stopped with status {error.code}: see the console for the reason") from error
    except MemoryError as error:
        raise PalmError("not enough memory: render fewer pixels, or close other programs") from error
