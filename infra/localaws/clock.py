"""The cloud's clock: real time, moved forward on request, and how long its own work takes. Nothing here waits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset that only grows."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """From now on it is `seconds` later; what became due happens before the next call is answered."""
        if seconds < 0:
            raise ValueError("a clock does not go back: clients compare what it said")
        with self._lock:
            self._offset += timedelta(seconds=seconds)

    def reset(self) -> None:
        """Real time again, for a world in which nothing has happened yet."""
        self._offset = timedelta()


@dataclass(slots=True)
class Latencies:
    """How long the cloud takes, in seconds: the defaults are about what a GPU endpoint needs."""

    create_s: float = 300.0
    update_s: float = 300.0
    delete_s: float = 60.0
    bake_s: float = 0.0
    """For how long a new fleet of an endpoint is watched by alarms, where a call asks for any such time."""
    index_s: float = 0.0
    """By how much SageMaker's Search and the tagging service lag behind; on AWS seconds to minutes."""

    def set(self, **given: float) -> None:
        for name, seconds in given.items():
            if name not in self.__slots__:
                raise KeyError(f"there is no latency {name}: {', '.join(self.__slots__)}")
            setattr(self, name, float(seconds))

    def reset(self) -> None:
        fresh = Latencies()
        self.set(**{name: getattr(fresh, name) for name in self.__slots__})
