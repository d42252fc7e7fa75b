"""A state looked at without leaving a trace: what it holds is copied to memory at once, and served from there.

A plain read-only SQLite connection would make `-wal` and `-shm` files beside a state that nobody has open. So:

* nothing in the write-ahead log: nobody is writing, the file alone is the state (`immutable=1`);
* a log and its shared memory: read with the others' locks respected, shared memory not written (`readonly_shm=1`);
* a log alone (copied by hand, or after a crash): both files are copied to a folder of our own and read there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

from state import rows
from state.connect import check_identity, connect
from state.faults import as_state_error, told_of
from state.place import Place
from state.record import Change, Event, Recorded
from state.schema import SCHEMA_VERSION
from state.store import Lease, StateBusy, StateError, StateReadOnly

_TRIES = 5


class ReadOnlyStore:
    """`Store` as of the moment it was opened; everything that would write raises StateReadOnly."""

    short_of_space = False

    def __init__(self, place: Place, connection: sqlite3.Connection, lineage: str) -> None:
        self.lineage = lineage
        self.place = place
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> ReadOnlyStore:
        """Look at the state. Raises StateMissing, StateLost, StateDamaged as `SqliteStore.open` does."""
        place = Place(Path(os.path.abspath(path)))
        with told_of(place.database):
            connection = _copy_to_memory(place)
            try:
                meta = check_identity(connection, place)
                if meta.schema_version < SCHEMA_VERSION:
                    raise StateError(
                        f"the state {place.database} has the form of an older release (schema {meta.schema_version}); "
                        "run `reconcile` once without --dry-run, which brings it up to date"
                    )
            except BaseException:
                connection.close()
                raise
        return cls(place, connection, meta.lineage)

    def projects(self) -> tuple[str, ...]:
        with told_of(self.place.database):
            return rows.read_projects(self._connection)

    def load(self, project: str) -> Recorded:
        with told_of(self.place.database):
            return rows.read_recorded(self._connection, project, self.lineage)

    def events(self, project: str, *, limit: int = 100, after: int = 0) -> tuple[tuple[int, Event], ...]:
        with told_of(self.place.database):
            return rows.read_events(self._connection, project, limit, after)

    def acquire(self, project: str, holder: str, ttl_s: float, *, floor: int = 0) -> Lease:
        raise self._refusal()

    def renew(self, lease: Lease) -> Lease:
        raise self._refusal()

    def release(self, lease: Lease) -> None:
        raise self._refusal()

    def commit(self, lease: Lease, changes: Sequence[Change]) -> int:
        raise self._refusal()

    def close(self) -> None:
        self._connection.close()

    def _refusal(self) -> StateReadOnly:
        return StateReadOnly(f"the state {self.place.database} was opened for looking only")


def _copy_to_memory(place: Place) -> sqlite3.Connection:
    """The whole state, as it was at one moment, in a database of our own."""
    for _ in range(_TRIES):
        before = _stamp(place)
        try:
            memory, guarded = _copy_once(place)
        except sqlite3.OperationalError as exc:
            # Somebody opened or closed the state while we chose how to read it: choose again.
            if _stamp(place) == before:
                raise as_state_error(exc, place.database) from exc
            continue
        if guarded or _stamp(place) == before:
            return memory
        memory.close()
    raise StateBusy(f"the state {place.database} changed all the time while it was read; try again in a moment")


def _copy_once(place: Place) -> tuple[sqlite3.Connection, bool]:
    """A copy, and whether SQLite's locks guarded it; if not, it is only good when the files did not change."""
    place.check_present()
    if not _size(place.wal):
        return _into_memory(place.database, "ro&immutable=1"), False
    if place.shm.exists():
        return _into_memory(place.database, "ro&readonly_shm=1"), True
    with tempfile.TemporaryDirectory(prefix="state-") as folder:
        copy = Place(Path(folder) / place.database.name)
        shutil.copyfile(place.database, copy.database)
        shutil.copyfile(place.wal, copy.wal)
        return _into_memory(copy.database, "rw"), False


def _into_memory(database: Path, mode: str) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    source = connect(database, mode=mode, busy_timeout_s=1.0)
    try:
        source.backup(memory)
    except BaseException:
        memory.close()
        raise
    finally:
        source.close()
    return memory


def _stamp(place: Place) -> tuple[object, ...]:
    """Differs when the files were written to in between."""
    try:
        found = place.database.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, _size(place.wal) > 0, place.shm.exists()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
