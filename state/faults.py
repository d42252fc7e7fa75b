"""SQLite's errors, told in our words once, at this edge."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from state.store import StateBusy, StateDamaged, StateError, StateFull, StateReadOnly


@contextmanager
def told_of(database: Path) -> Iterator[None]:
    """Turn what SQLite raises inside into a StateError that names the file and says what to do."""
    try:
        yield
    except sqlite3.Error as exc:
        raise as_state_error(exc, database) from exc


def as_state_error(exc: sqlite3.Error, database: Path) -> StateError:
    """The StateError for a SQLite error. The low byte of its code is the primary one."""
    code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StateBusy(f"the state {database} is in use by another process; try again in a moment")
        case sqlite3.SQLITE_FULL:
            return StateFull(f"the disk of the state {database} is full; free some space")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StateReadOnly(f"the state {database} cannot be written; check its owner, its mode and the mount")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StateDamaged(f"the state {database} is damaged ({exc}); restore a backup (`reconcile doctor` helps)")
        case sqlite3.SQLITE_CANTOPEN:
            return StateError(f"the state {database} cannot be opened; check the owner and mode of it and its folder")
        case sqlite3.SQLITE_IOERR:
            return StateError(f"the disk of the state {database} reports an error ({exc}); look at the kernel's log")
        case _:
            return StateError(f"the state {database} cannot be used ({exc})")
