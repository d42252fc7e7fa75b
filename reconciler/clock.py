"""The clock of this host: the only place of this package that asks for the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

MOST_CORRECTED = 0.1
"""The share of the time gone by that is added or left out at most, to come back to a wall clock that was set."""


class SystemClock:
    """The production `Clock`. `wall` and `since_boot` are for tests."""

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        since_boot: Callable[[], float] = lambda: _since_boot(),
    ) -> None:
        self._wall, self._since_boot = wall, since_boot
        self._lock = threading.Lock()
        self._told, self._told_at = wall(), since_boot()

    def now(self) -> datetime:
        """The wall clock as it was when this object was made, and the time that has gone by since.

        What is measured with it, bake and grace times, deadlines and back-off, must not end or begin anew because
        somebody set the wall clock. So a step of the wall clock is caught up with slowly, and time never goes back.
        """
        with self._lock:
            wall, at = self._wall(), self._since_boot()
            gone_by = timedelta(seconds=at - self._told_at)
            most = gone_by * MOST_CORRECTED
            behind = wall - (self._told + gone_by)
            self._told, self._told_at = self._told + gone_by + min(max(behind, -most), most), at
            return self._told

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _since_boot() -> float:
    """Seconds that also go by while the machine sleeps. Where there is no such clock (macOS), they do not."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
