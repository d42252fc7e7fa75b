"""SQLite's errors, told in our words once, at this edge."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from state.store import StateBusy, StateDamaged, StateError, StateFull, StateReadOnly

_LEAST_ROOM = 1 << 16
"""Bytes; SQLite's shared memory takes half of it."""


@contextmanager
def told_of(database: Path) -> Iterator[None]:
    """Turn what SQLite raises inside into a StateError that names the file and says what to do."""
    try:
        yield
    except sqlite3.Error as exc:
        raise as_state_error(exc, database) from exc


def as_state_error(exc: sqlite3.Error, database: Path) -> StateError:
    """The StateError for a SQLite error. The low byte of its code is the primary one."""
    if str(exc).startswith("Could not decode to UTF-8"):
        # Python's own, without a code, and with the whole text of the row.
        return _damaged(database, "a text in it is none")
    code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            # "Locking protocol" is what it says when somebody keeps the write-ahead log's own locks for too long.
            return StateBusy(f"the state {database} is in use by another process; try again in a moment")
        case sqlite3.SQLITE_FULL:
            return _full(database)
        case sqlite3.SQLITE_IOERR if _has_no_room(database):
            # So a full disk reads where SQLite wanted to make its shared memory.
            return _full(database)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return _read_only(database)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _damaged(database, str(exc))
        case sqlite3.SQLITE_CANTOPEN if not _writable(database):
            # SQLite wants files of its own beside the database, and says no more than this when it cannot make them.
            return _read_only(database)
        case sqlite3.SQLITE_CANTOPEN:
            return StateError(f"the state {database} cannot be opened; check the owner and mode of it and its folder")
        case sqlite3.SQLITE_IOERR:
            return StateError(f"the disk of the state {database} reports an error ({exc}); look at the kernel's log")
        case _:
            return StateError(f"the state {database} cannot be used ({exc})")


def _damaged(database: Path, why: str) -> StateDamaged:
    return StateDamaged(f"the state {database} is damaged ({why}); `reconcile recover` puts a copy back")


def _full(database: Path) -> StateFull:
    return StateFull(f"the disk of the state {database} is full; free some space")


def _has_no_room(database: Path) -> bool:
    try:
        found = os.statvfs(database.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _LEAST_ROOM


def _read_only(database: Path) -> StateReadOnly:
    return StateReadOnly(f"the state {database} cannot be written; check its owner, its mode and the mount")


def _writable(database: Path) -> bool:
    return os.access(database, os.W_OK) and os.access(database.parent, os.W_OK)
