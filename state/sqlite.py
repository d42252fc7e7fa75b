"""The store on SQLite: one file for all projects, one write transaction at a time, every one of them fenced."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import TypeVar

from state import rows
from state.ballast import Ballast
from state.changes import Net, net_of
from state.clock import Clock, system_clock
from state.connect import copy_into, create_database, open_database
from state.faults import told_of
from state.filesystem import refuse_network_filesystem
from state.lease import LeaseRow, lock_anew, try_lock
from state.place import Place
from state.record import Change, Event, Recorded
from state.store import Fenced, Held, Lease, StateDamaged, StateError, StateFull, StateLost

BUSY_TIMEOUT_S = 5.0

_Result = TypeVar("_Result")


class SqliteStore:
    """`Store` on a file. Made by `create` and `open`; safe to use from several threads.

    A lease belongs to this object: its lock goes when the object is closed or the process dies.
    """

    def __init__(self, place: Place, connection: sqlite3.Connection, lineage: str, clock: Clock) -> None:
        self.lineage = lineage
        self.place = place
        self._connection = connection
        self._clock = clock
        self._ballast = Ballast.of(place)
        self._inode = _inode(place.database)
        self._locks: dict[str, int] = {}
        # One connection and one lock: writers take turns in the file anyway.
        self._guard = threading.RLock()

    @classmethod
    def create(
        cls, path: Path, *, lineage: str | None = None, clock: Clock | None = None, any_filesystem: bool = False
    ) -> SqliteStore:
        """Make a new, empty state with a lineage of its own (a fresh UUID unless one is given), and open it.

        Raises StateExists where something is, StateLost where a state once was, and for a network filesystem unless
        `any_filesystem`.
        """
        import uuid

        place = Place(Path(os.path.abspath(path)))
        if not any_filesystem:
            refuse_network_filesystem(place.database)
        create_database(place, lineage or str(uuid.uuid4()))
        return cls.open(path, clock=clock, any_filesystem=any_filesystem)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock | None = None,
        any_filesystem: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> SqliteStore:
        """Open the state at this path for reading and writing.

        Raises StateMissing, StateLost, StateDamaged, StateReadOnly, StateBusy: nothing is ever made or mended here,
        save a missing marker and an older schema.
        """
        place = Place(Path(os.path.abspath(path)))
        if not any_filesystem:
            refuse_network_filesystem(place.database)
        try:
            connection, meta = open_database(place, busy_timeout_s=busy_timeout_s)
        except StateFull:
            if not Ballast.of(place).drop():
                raise
            connection, meta = open_database(place, busy_timeout_s=busy_timeout_s)
        try:
            place.make_folders()
            store = cls(place, connection, meta.lineage, clock or system_clock())
        except OSError as exc:
            connection.close()
            raise StateError(f"the folder {place.folder} cannot be made: {exc.strerror}") from exc
        store._ballast.stock()
        return store

    @property
    def short_of_space(self) -> bool:
        return not self._ballast.stocked

    def projects(self) -> tuple[str, ...]:
        with self._reading() as connection:
            return rows.read_projects(connection)

    def load(self, project: str) -> Recorded:
        with self._reading() as connection:
            return rows.read_recorded(connection, project, self.lineage)

    def events(self, project: str, *, limit: int = 100, after: int = 0) -> tuple[tuple[int, Event], ...]:
        with self._reading() as connection:
            return rows.read_events(connection, project, limit, after)

    def acquire(self, project: str, holder: str, ttl_s: float, *, floor: int = 0) -> Lease:
        asked = self._clock.monotonic()
        before, epoch = self._written(lambda: self._acquire(project, holder, ttl_s, floor))
        return Lease(
            project=project, holder=holder, epoch=epoch, ttl_s=ttl_s, acquired_monotonic=asked, succeeds=before
        )

    def renew(self, lease: Lease) -> Lease:
        asked = self._clock.monotonic()
        self._written(lambda: self._renew(lease))
        return replace(lease, acquired_monotonic=asked)

    def release(self, lease: Lease) -> None:
        self._written(lambda: self._release(lease))

    def commit(self, lease: Lease, changes: Sequence[Change]) -> int:
        net = net_of(changes, project=lease.project, lineage=self.lineage)
        return self._written(lambda: self._commit(lease, net))

    def backup(self, target: Path) -> None:
        """Copy the whole state, consistent and compact, to one file (mode 0600), while it is in use."""
        with self._guard, told_of(self.place.database):
            try:
                copy_into(self._connection, target)
            except OSError as exc:
                raise StateError(f"the backup {target} cannot be written: {exc.strerror}") from exc

    def close(self) -> None:
        with self._guard:
            self._connection.close()
            for project in tuple(self._locks):
                self._drop_lock(project)

    def _acquire(self, project: str, holder: str, ttl_s: float, floor: int) -> tuple[int, int]:
        """The epoch before, and the one from now on."""
        self._ballast.stock()
        with self._writing() as connection:
            row = rows.read_lease(connection, project)
            descriptor = self._take_lock(project, row)
            try:
                epoch = max(row.epoch, floor) + 1
                rows.write_lease(connection, project, self._row(epoch, holder, ttl_s))
                connection.execute("COMMIT")
            except BaseException:
                os.close(descriptor)
                raise
        self._drop_lock(project)
        self._locks[project] = descriptor
        return row.epoch, epoch

    def _renew(self, lease: Lease) -> None:
        self._ballast.stock()
        until = self._clock.since_boot() + lease.ttl_s
        with self._writing() as connection:
            _fenced_update(connection, "expires_since_boot = ?, boot_id = ?", (until, self._clock.boot_id), lease)

    def _release(self, lease: Lease) -> None:
        freed = "holder = NULL, held_since = NULL, boot_id = NULL, expires_since_boot = NULL"
        try:
            with self._writing() as connection:
                _fenced_update(connection, freed, (), lease)
        except Fenced:
            return
        self._drop_lock(lease.project)

    def _commit(self, lease: Lease, net: Net) -> int:
        newest = max((id for id, record in net.deployments.items() if record is not None), default="")
        with self._writing() as connection:
            _fenced_update(connection, "newest_id = max(newest_id, ?)", (newest,), lease)
            raised = connection.execute("UPDATE meta SET serial = serial + 1 WHERE lineage = ?", (self.lineage,))
            if raised.rowcount != 1:
                raise StateDamaged(f"the state {self.place.database} became another one while in use; stop and look")
            try:
                rows.write_net(connection, lease.project, net)
            except sqlite3.IntegrityError as exc:
                raise ValueError(f"two deployments are active for one model or share a name: {exc}") from exc
            return rows.read_serial(connection)

    def _written(self, write: Callable[[], _Result]) -> _Result:
        """The result of a write; on a full disk it is tried once more in the space that the ballast gives back."""
        with self._guard:
            try:
                return write()
            except StateFull:
                if not self._ballast.drop():
                    raise
                return write()

    def _take_lock(self, project: str, row: LeaseRow) -> int:
        """The project's lock, or Held. Runs inside a write transaction, so that takers come one after the other."""
        path = self.place.lock(project)
        try:
            descriptor = try_lock(path)
            if descriptor is not None:
                # Nobody has it: whoever the row names has released it, closed its store, or is dead.
                return descriptor
            if row.is_live(self._clock):
                raise Held(_held_by(project, row))
            return lock_anew(path)
        except OSError as exc:
            raise StateError(f"the lock {path} cannot be taken: {exc.strerror or exc}") from exc

    def _drop_lock(self, project: str) -> None:
        descriptor = self._locks.pop(project, None)
        if descriptor is not None:
            os.close(descriptor)

    def _row(self, epoch: int, holder: str, ttl_s: float) -> LeaseRow:
        since = self._clock.now().astimezone(UTC).isoformat(timespec="seconds")
        return LeaseRow(epoch, holder, since, self._clock.boot_id, self._clock.since_boot() + ttl_s)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one moment of the state."""
        with self._guard, told_of(self.place.database):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                # After some errors SQLite has ended the transaction by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: all or nothing, durable when this returns. The body may commit by itself."""
        with self._guard, told_of(self.place.database):
            if _inode(self.place.database) != self._inode:
                raise StateLost(f"the state {self.place.database} was removed or replaced while in use; stop and look")
            # IMMEDIATE: a deferred transaction that turns into a writer fails at once under contention.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                if self._connection.in_transaction:
                    self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")


def _fenced_update(connection: sqlite3.Connection, assignment: str, values: tuple[object, ...], lease: Lease) -> None:
    """Change the project's row if the lease is the current one; raise Fenced otherwise.

    The holder is compared as well as the epoch: after a restored backup an epoch may come a second time.
    """
    changed = connection.execute(
        f"UPDATE projects SET {assignment} WHERE name = ? AND epoch = ? AND holder = ?",
        (*values, lease.project, lease.epoch, lease.holder),
    ).rowcount
    if changed != 1:
        raise Fenced(f"the lease of {lease.holder} on {lease.project!r} (epoch {lease.epoch}) is no longer current")


def _held_by(project: str, row: LeaseRow) -> str:
    return f"project {project!r} is being reconciled by {row.holder} since {row.held_since} (epoch {row.epoch})"


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
