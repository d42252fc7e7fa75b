"""Opening and making the database file: with the settings that durability needs, and refusing whatever is not sound."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from state.faults import told_of
from state.place import Place, sync_folder
from state.schema import MIGRATIONS, SCHEMA_VERSION, Meta, Migration, create_tables, migrate, read_meta, refuse_newer
from state.store import StateDamaged, StateError, StateExists


def connect(database: Path, *, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection in autocommit mode that any thread may use, one at a time; `mode` is SQLite's, with its options.

    SQLite alone would make a file that is missing; `rw` and `ro` never do.
    """
    quoted = str(database).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(
        f"file://{quoted}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=busy_timeout_s
    )


def make_durable(connection: sqlite3.Connection) -> None:
    """WAL and a sync at every commit: a commit that returned survives a power cut (about 5 ms on a disk)."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StateError(f"the state's filesystem does not support SQLite's write-ahead log (journal mode is {mode})")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def create_database(place: Place, lineage: str, *, after_loss: bool = False) -> None:
    """Make a new state, whole or not at all, and its marker. Raises StateExists when something is there already.

    It is made under another name and linked into place, because a link never replaces what somebody else made in
    the meantime. The database comes before the marker: a crash between them leaves a sound state, not a lost one.
    `after_loss` says that the caller knows of the marker and carries on its lineage.
    """
    try:
        place.make_folders()
    except OSError as exc:
        raise StateError(f"the folders of the state {place.database} cannot be made: {exc.strerror}") from exc
    if not after_loss:
        place.check_vacant()
    draft = place.database.with_name(f"{place.database.name}.new-{os.getpid()}")
    try:
        # Made by us, not by SQLite: it gives its -wal and -shm the mode of the file, and the umask is the process's.
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600))
        with told_of(place.database):
            _fill(draft, lineage)
        _link(draft, place.database)
    except OSError as exc:
        raise StateError(f"the state {place.database} cannot be made: {exc.strerror}") from exc
    finally:
        draft.unlink(missing_ok=True)
    place.write_marker(lineage)


def _fill(draft: Path, lineage: str) -> None:
    connection = connect(draft, mode="rw", busy_timeout_s=0)
    try:
        make_durable(connection)
        connection.execute("BEGIN IMMEDIATE")
        create_tables(connection, lineage)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _link(draft: Path, database: Path) -> None:
    try:
        os.link(draft, database)
    except FileExistsError:
        raise StateExists(f"somebody else has just made the state {database}; run it again") from None
    sync_folder(database.parent)


def open_database(
    place: Place,
    *,
    busy_timeout_s: float,
    migrations: Mapping[int, Migration] = MIGRATIONS,
    target: int = SCHEMA_VERSION,
) -> tuple[sqlite3.Connection, Meta]:
    """A connection for reading and writing to a state that was looked at and is sound, and who it is.

    An older schema is brought up to date, after a backup. Raises StateMissing, StateLost, StateDamaged, StateReadOnly.
    """
    place.check_present()
    with told_of(place.database):
        connection = connect(place.database, mode="rw", busy_timeout_s=busy_timeout_s)
        try:
            meta = check_identity(connection, place, known=target)
            make_durable(connection)
            # A write probe: better to hear of a read-only mount now than after a call was made.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            _upgrade(connection, place, meta, migrations, target)
            if place.read_marker() is None:
                place.write_marker(meta.lineage)
        except BaseException:
            connection.close()
            raise
    return connection, meta


def check_identity(connection: sqlite3.Connection, place: Place, known: int = SCHEMA_VERSION) -> Meta:
    """The state's identity. Raises StateDamaged when it is unsound, too new, or not the one the marker names."""
    meta = read_meta(connection, place.database)
    refuse_newer(meta, place.database, known)
    marked = place.read_marker()
    if marked is not None and marked != meta.lineage:
        raise StateDamaged(
            f"{place.database} is the state of another installation ({meta.lineage}, its marker says {marked}); "
            "put the right file back: what was made under the marker's lineage may still run"
        )
    return meta


def _upgrade(
    connection: sqlite3.Connection, place: Place, meta: Meta, migrations: Mapping[int, Migration], target: int
) -> None:
    if meta.schema_version < target:
        place.make_folders()
        copy_into(connection, place.backups / f"before-schema-{target}-from-{meta.schema_version}.db")
        migrate(connection, migrations, target)


def copy_into(connection: sqlite3.Connection, target: Path) -> None:
    """A consistent, compact copy as one file of mode 0600, whole or not at all, replacing an older one there."""
    draft = target.with_name(f"{target.name}.new-{os.getpid()}")
    try:
        # SQLite accepts an empty file as the target, and so the mode is ours.
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600))
        connection.execute("VACUUM INTO ?", (str(draft),))
        _sync(draft)
        draft.replace(target)
        sync_folder(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
