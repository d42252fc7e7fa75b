"""Things that happen every so often: a plain ticker that cannot starve, and jobs on APScheduler.

APScheduler plans on the wall clock and hands jobs to a pool, so a clock that is set back or a slow job delays the
others without end: two one-second jobs on one worker, one of them slow, ran 0 of 7 times with its defaults. The ticker
is a thread of its own on the monotonic clock, and whatever must happen is marked by it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)


class Ticker:
    """Calls `tick` every `interval_s` seconds, and at once when nudged, until stopped. A tick that raises is logged
    and the next one comes all the same."""

    def __init__(self, name: str, interval_s: float, tick: Callable[[], object]) -> None:
        self._interval_s = interval_s
        self._tick = tick
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first tick comes after one interval."""
        self._thread.start()

    def nudge(self) -> None:
        """Tick as soon as possible; several nudges may make one tick."""
        self._wake.set()

    def stop(self) -> None:
        """End, and wait for a tick in progress (5 s at most)."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._interval_s)
            self._wake.clear()
            if self._stopped:
                return
            guarded(self._thread.name, self._tick)


class Jobs:
    """Periodic jobs on APScheduler, imported on start. Each only marks or does something short; one run of a job at a
    time, missed runs become one, and none is dropped for being late. A job that hangs keeps one of the `workers`."""

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers
        self._planned: dict[str, tuple[float, Callable[[], object]]] = {}
        self._scheduler: Any = None

    def every(self, name: str, interval_s: float, call: Callable[[], object]) -> None:
        """Run `call` every `interval_s` seconds; a job of the same name is replaced."""
        self._planned[name] = interval_s, call
        if self._scheduler is not None:
            self._add(name)

    def drop(self, name: str) -> None:
        """Run a job no more; an unknown one is fine."""
        if self._planned.pop(name, None) is not None and self._scheduler is not None:
            self._scheduler.remove_job(name)

    def start(self) -> None:
        """Begin running what was planned."""
        from datetime import UTC

        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(self._workers)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for name in self._planned:
            self._add(name)
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no further run; one in progress is not waited for."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def _add(self, name: str) -> None:
        interval_s, call = self._planned[name]
        self._scheduler.add_job(
            guarded, "interval", args=(name, call), seconds=interval_s, id=name, name=name, replace_existing=True
        )


def guarded(name: str, call: Callable[[], object]) -> None:
    """Run a call whose failure must not take its thread along: it is logged, and that is all."""
    try:
        call()
    except Exception:
        log.exception("%s failed; it is tried again in its turn", name)
