"""The worker: a Blender process that photographs what it is asked to, until its standard input closes."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ...engine.errors import PalmError
from ..console import one_line_errors
from .photo_session import PhotoSession
from .worker_process import MARK

WRITING_S = 60.0
"""The longest that a worker whose controller has gone may still write."""


def main(scratch: Path) -> int:
    """Serve requests; the exit status. Ends the process by itself when standard input closes.

    scratch: the folder of this worker's temporary files, which it removes when its controller has gone.
    """
    events = _protocol_stream()
    for number in (signal.SIGINT, signal.SIGTERM):
        # a batch system sends these to all processes of a job: the controller alone decides
        signal.signal(number, signal.SIG_IGN)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    writing = threading.Lock()
    threading.Thread(target=_listen, args=(requests, writing, scratch), daemon=True).start()
    session = PhotoSession(writing)
    while True:
        request = requests.get()
        try:
            for event in _answers(session, request):
                _send(events, event)
            _send(events, {"event": "done"})
        except PalmError as error:
            _send(events, {"event": "refused", "kind": type(error).__name__, "message": str(error)})
        except BrokenPipeError:
            return 1


def _answers(session: PhotoSession, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    with one_line_errors():
        yield from session.answer(request)


def _protocol_stream() -> BinaryIO:
    """The standard output for events alone: what else is printed goes to the standard error."""
    sys.stdout.flush()
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return events


def _send(events: BinaryIO, event: Mapping[str, Any]) -> None:
    events.write(f"{MARK}{json.dumps(event)}\n".encode())
    events.flush()


def _listen(requests: queue.SimpleQueue[dict[str, Any]], writing: threading.Lock, scratch: Path) -> None:
    """Pass requests on; when there can be no more, end the process, between two pictures' files.

    Python's and Blender's own clean-up may hang or take its time: nothing here needs it.
    """
    with suppress(ValueError):  # a request cut off as the controller died
        for line in sys.stdin.buffer:
            requests.put(json.loads(line))
    writing.acquire(timeout=WRITING_S)
    shutil.rmtree(scratch, ignore_errors=True)
    with suppress(OSError):  # other workers may still be there, or the controller
        scratch.parent.rmdir()
    os._exit(0)
