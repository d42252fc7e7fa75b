"""The tables, how they are made, and how an older state is brought up to date. Explained in FORMAT.md."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from state.store import StateDamaged

SCHEMA_VERSION = 1
APPLICATION_ID = 0x434D5253
"""In the file's header: tells our databases from everybody else's."""

Migration = Callable[[sqlite3.Connection], None]
MIGRATIONS: Mapping[int, Migration] = {}
"""From a version to the next one: statements only, run inside one transaction."""

# No STRICT and no JSON functions: SQLite 3.34, which some supported systems ship, must do.
_TABLES = (
    """CREATE TABLE meta (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        lineage TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        serial INTEGER NOT NULL
    )""",
    """CREATE TABLE projects (
        name TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        newest_id TEXT NOT NULL DEFAULT '',
        holder TEXT,
        held_since TEXT,
        boot_id TEXT,
        expires_since_boot REAL
    )""",
    """CREATE TABLE deployments (
        project TEXT NOT NULL REFERENCES projects (name),
        id TEXT NOT NULL,
        model TEXT NOT NULL,
        name TEXT NOT NULL,
        active INTEGER NOT NULL,
        body TEXT NOT NULL,
        crc INTEGER NOT NULL,
        PRIMARY KEY (project, id)
    )""",
    "CREATE UNIQUE INDEX one_active ON deployments (project, model) WHERE active = 1",
    "CREATE UNIQUE INDEX one_name ON deployments (name)",
    """CREATE TABLE models (
        project TEXT NOT NULL REFERENCES projects (name),
        key TEXT NOT NULL,
        body TEXT NOT NULL,
        crc INTEGER NOT NULL,
        PRIMARY KEY (project, key)
    )""",
    """CREATE TABLE sources (
        project TEXT PRIMARY KEY REFERENCES projects (name),
        body TEXT NOT NULL,
        crc INTEGER NOT NULL
    )""",
    """CREATE TABLE outputs (
        project TEXT NOT NULL REFERENCES projects (name),
        path BLOB NOT NULL,
        body TEXT NOT NULL,
        crc INTEGER NOT NULL,
        PRIMARY KEY (project, path)
    )""",
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        project TEXT NOT NULL REFERENCES projects (name),
        body TEXT NOT NULL,
        crc INTEGER NOT NULL
    )""",
    "CREATE INDEX events_of ON events (project, seq)",
)


@dataclass(frozen=True, slots=True)
class Meta:
    """The one row of `meta`."""

    lineage: str
    schema_version: int


def create_tables(connection: sqlite3.Connection, lineage: str) -> None:
    """Fill an empty database. The caller owns the transaction."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES (1, ?, ?, 0)", (lineage, SCHEMA_VERSION))


def read_meta(connection: sqlite3.Connection, database: Path) -> Meta:
    """Who this state is. Raises StateDamaged when it is no state, or not a sound one."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StateDamaged(f"{database} is a database of something else; give the path of the state's file")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StateDamaged(f"the state {database} is damaged ({verdict}); `reconcile recover` puts a copy back")
    try:
        row = connection.execute("SELECT lineage, schema_version FROM meta").fetchone()
    except sqlite3.OperationalError:
        row = None
    if row is None:
        raise StateDamaged(f"the state {database} has lost its identity; `reconcile recover` puts a copy back")
    return Meta(*row)


def refuse_newer(meta: Meta, database: Path, known: int = SCHEMA_VERSION) -> None:
    """Raise StateDamaged for a state of a newer release; a state is never taken back to an older form."""
    if meta.schema_version > known:
        raise StateDamaged(
            f"the state {database} was written by a newer release (schema {meta.schema_version}, this release knows "
            f"{known}); upgrade this one, it cannot go back"
        )


def migrate(
    connection: sqlite3.Connection, migrations: Mapping[int, Migration] = MIGRATIONS, target: int = SCHEMA_VERSION
) -> None:
    """Bring the tables up to `target` in one transaction: old or new, never between, whatever happens."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("SELECT schema_version FROM meta").fetchone()
        for step in range(version, target):
            migrations[step](connection)
        connection.execute("UPDATE meta SET schema_version = ?", (target,))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
