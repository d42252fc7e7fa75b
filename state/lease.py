"""The two halves of a lease on SQLite: a lock that dies with its process, and a row that runs out.

The lock tells at once that a holder was killed; the row tells that a holder which still lives has stopped. Neither is
what makes writing safe: that is the epoch, which every write transaction compares.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from state.clock import Clock


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The lease columns of a row of `projects`; all but the epoch are None when nobody holds it."""

    epoch: int
    holder: str | None = None
    held_since: str | None = None
    boot_id: str | None = None
    expires_since_boot: float | None = None

    def is_live(self, clock: Clock) -> bool:
        """Somebody holds it and has time left. A row of another boot has none: no process outlives a boot."""
        if self.holder is None or self.expires_since_boot is None or self.boot_id != clock.boot_id:
            return False
        return clock.since_boot() < self.expires_since_boot


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the file's lock until it is closed, or None while another process has it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def lock_anew(path: Path) -> int:
    """A descriptor that holds the lock of a *new* file at this path.

    For taking over from a holder that is stopped and keeps its lock: it keeps the old file, which has no name any
    more, and whoever comes next meets our lock, not that one. Call it only inside a write transaction of the store.
    """
    path.unlink(missing_ok=True)
    descriptor = try_lock(path)
    if descriptor is None:
        raise BlockingIOError(f"{path} was locked by a process that does not use the state")
    return descriptor


def _open(path: Path) -> int:
    # Not inheritable (Python's default): a model server that we start must not keep our lock alive.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
