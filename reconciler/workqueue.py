"""The queue between everything that marks a project and the workers that run its passes.

It only adds waiting and a lock to `agenda.py`. One pass per project at a time, different projects in parallel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from reconciler.agenda import Agenda, Debounce

_LONGEST_WAIT_S = 3600.0


class Workqueue:
    """Projects that are due. All methods may be called from any thread; `when` is on the monotonic clock."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, debounce: Callable[[], Debounce] = Debounce
    ) -> None:
        self._monotonic = monotonic
        self._agenda = Agenda(debounce)
        self._changed = threading.Condition()
        self._closed = False

    def add(self, key: str) -> None:
        """Due now."""
        self.add_at(key, self._monotonic())

    def add_at(self, key: str, when: float) -> None:
        """Due at `when`, or earlier if it already is."""
        with self._changed:
            self._agenda.add(key, when)
            self._changed.notify_all()

    def mark(self, key: str) -> None:
        """Something happened: due when the burst of events is over, see `Debounce`."""
        with self._changed:
            self._agenda.mark(key, self._monotonic())
            self._changed.notify_all()

    def forget(self, key: str) -> None:
        """Drop what is due for a project that is not ours any more."""
        with self._changed:
            self._agenda.forget(key)

    def get(self) -> str | None:
        """A project that is due and not in work, as soon as there is one; None once the queue is closed. Whoever
        gets a project must call `done` with it, whatever happens."""
        with self._changed:
            while not self._closed:
                now = self._monotonic()
                key = self._agenda.take(now)
                if key is not None:
                    return key
                due = self._agenda.next_due
                self._changed.wait(_LONGEST_WAIT_S if due is None else min(max(due - now, 0.0), _LONGEST_WAIT_S))
            return None

    def done(self, key: str) -> None:
        """The pass has ended. Marks that came in during it are due now."""
        with self._changed:
            self._agenda.done(key)
            self._changed.notify_all()

    def close(self) -> None:
        """Hand out nothing more; passes in progress go on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> frozenset[str]:
        """After `close`: wait for the passes in progress, and return those that had not ended in time."""
        limit = self._monotonic() + timeout_s
        with self._changed:
            while self._agenda.in_work and (left := limit - self._monotonic()) > 0:
                self._changed.wait(left)
            return self._agenda.in_work
