"""Work that only ever has one next thing to do: the newest. A thread draws, a window stays alive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Request = TypeVar("Request")
Result = TypeVar("Result")


class LatestWorker(Generic[Request, Result]):
    """Calls work(request) in a thread of its own for the newest request; those that were overtaken are never done."""

    def __init__(self, work: Callable[[Request], Result]):
        self._work = work
        self._changed = threading.Condition()
        self._next: Request | None = None
        self._done: Result | None = None
        self._error: BaseException | None = None
        self._closed = self._busy = False
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Do this next, in place of whatever waits."""
        with self._changed:
            self._next = request
            self._changed.notify_all()

    def take(self) -> Result | None:
        """The newest result that nobody has taken; None where there is none. Raises what `work` raised."""
        with self._changed:
            if self._error is not None:
                raise self._error
            done, self._done = self._done, None
            return done

    @property
    def idle(self) -> bool:
        """Whether nothing is being done and nothing waits."""
        with self._changed:
            return not self._busy and self._next is None

    def close(self) -> None:
        """End the thread, after what it is doing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.wait_for(lambda: self._closed or self._next is not None)
                if self._closed or self._next is None:
                    return
                request, self._next, self._busy = self._next, None, True
            try:
                result = self._work(request)
            except BaseException as error:  # noqa: BLE001  raised again where the result is taken
                with self._changed:
                    self._error = error
                    return
            with self._changed:
                self._done = result
