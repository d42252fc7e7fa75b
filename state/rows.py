"""Reading and writing the tables inside a transaction that the caller owns. Every body carries a checksum."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from state.changes import Net
from state.codec import decode, encode
from state.lease import LeaseRow
from state.record import DeploymentRecord, Event, ModelRecord, OutputRecord, Recorded, SourceRecord
from state.store import KEPT_EVENTS, StateDamaged

_Record = TypeVar("_Record")
_KeyedBody = tuple[str | bytes | int, str, int]


def seal(record: object) -> tuple[str, int]:
    """Body and checksum. SQLite does not notice a flipped bit inside a row; the checksum does."""
    body = encode(record)
    return body, zlib.crc32(body.encode())


def unseal(kind: type[_Record], body: str, crc: int) -> _Record:
    """The record of a row. Raises StateDamaged when its checksum does not fit."""
    if zlib.crc32(body.encode()) != crc:
        raise StateDamaged(
            f"a stored {kind.__name__} has changed outside the reconciler; `reconcile recover` puts a copy back"
        )
    return decode(kind, body)


def read_projects(connection: sqlite3.Connection) -> tuple[str, ...]:
    return tuple(name for (name,) in connection.execute("SELECT name FROM projects ORDER BY name"))


def read_serial(connection: sqlite3.Connection) -> int:
    (serial,) = connection.execute("SELECT serial FROM meta").fetchone()
    return int(serial)


def read_recorded(connection: sqlite3.Connection, project: str, lineage: str) -> Recorded:
    """Everything recorded for a project; empty, at epoch 0, when it is unknown."""
    row = connection.execute("SELECT epoch, newest_id FROM projects WHERE name = ?", (project,)).fetchone()
    epoch, newest_id = row or (0, "")
    return Recorded(
        project=project,
        lineage=lineage,
        serial=read_serial(connection),
        epoch=epoch,
        deployments=_read(connection, DeploymentRecord, "deployments", "id", project),
        models=_read(connection, ModelRecord, "models", "key", project),
        source=_read_source(connection, project),
        outputs=_read_outputs(connection, project),
        newest_id=newest_id,
    )


def read_events(connection: sqlite3.Connection, project: str, limit: int, after: int) -> tuple[tuple[int, Event], ...]:
    """The newest `limit` events above `after`, oldest first."""
    rows = connection.execute(
        "SELECT seq, body, crc FROM events WHERE project = ? AND seq > ? ORDER BY seq DESC LIMIT ?",
        (project, after, max(0, limit)),
    ).fetchall()
    return tuple((seq, unseal(Event, body, crc)) for seq, body, crc in reversed(rows))


def read_lease(connection: sqlite3.Connection, project: str) -> LeaseRow:
    """Who may write the project; epoch 0 when it is unknown."""
    row = connection.execute(
        "SELECT epoch, holder, held_since, boot_id, expires_since_boot FROM projects WHERE name = ?", (project,)
    ).fetchone()
    return LeaseRow(0) if row is None else LeaseRow(*row)


def write_lease(connection: sqlite3.Connection, project: str, row: LeaseRow) -> None:
    connection.execute("INSERT OR IGNORE INTO projects (name, epoch) VALUES (?, 0)", (project,))
    connection.execute(
        "UPDATE projects SET epoch = ?, holder = ?, held_since = ?, boot_id = ?, expires_since_boot = ? WHERE name = ?",
        (row.epoch, row.holder, row.held_since, row.boot_id, row.expires_since_boot, project),
    )


def write_net(connection: sqlite3.Connection, project: str, net: Net) -> None:
    """Write what the changes leave behind. Raises sqlite3.IntegrityError for a second active one or a name twice."""
    _write_deployments(connection, project, net.deployments)
    for key, model in net.models.items():
        _write(connection, "models", "key", project, key, model)
    for path, output in net.outputs.items():
        _write(connection, "outputs", "path", project, _path_key(path), output)
    if net.source is not None:
        connection.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", (project, *seal(net.source)))
    _append(connection, project, net.events)


def _write_deployments(
    connection: sqlite3.Connection, project: str, deployments: Mapping[str, DeploymentRecord | None]
) -> None:
    connection.executemany(
        "DELETE FROM deployments WHERE project = ? AND id = ?", [(project, id) for id in deployments]
    )
    rows = [
        (project, id, record.deployment.model, record.deployment.name, record.active, *seal(record))
        for id, record in deployments.items()
        if record is not None
    ]
    connection.executemany("INSERT INTO deployments VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _write(
    connection: sqlite3.Connection, table: str, column: str, project: str, key: str | bytes, record: object | None
) -> None:
    if record is None:
        connection.execute(f"DELETE FROM {table} WHERE project = ? AND {column} = ?", (project, key))
    else:
        connection.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)", (project, key, *seal(record)))


def _append(connection: sqlite3.Connection, project: str, events: Iterable[Event]) -> None:
    rows = [(project, *seal(event)) for event in events]
    if not rows:
        return
    connection.executemany("INSERT INTO events (project, body, crc) VALUES (?, ?, ?)", rows)
    connection.execute(
        "DELETE FROM events WHERE project = ?1 AND seq <= "
        "(SELECT seq FROM events WHERE project = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        (project, KEPT_EVENTS),
    )


def _read(
    connection: sqlite3.Connection, kind: type[_Record], table: str, column: str, project: str
) -> Mapping[str, _Record]:
    rows = connection.execute(
        f"SELECT {column}, body, crc FROM {table} WHERE project = ? ORDER BY {column}", (project,)
    )
    return MappingProxyType({key: unseal(kind, body, crc) for key, body, crc in rows})


def _read_outputs(connection: sqlite3.Connection, project: str) -> Mapping[str, OutputRecord]:
    rows = connection.execute("SELECT body, crc FROM outputs WHERE project = ? ORDER BY path", (project,))
    outputs = (unseal(OutputRecord, body, crc) for body, crc in rows)
    return MappingProxyType({output.path: output for output in outputs})


def _read_source(connection: sqlite3.Connection, project: str) -> SourceRecord | None:
    row = connection.execute("SELECT body, crc FROM sources WHERE project = ?", (project,)).fetchone()
    return None if row is None else unseal(SourceRecord, *row)


def _path_key(path: str) -> bytes:
    """A path as bytes: file names need not be valid text, and SQLite's TEXT must be."""
    return path.encode("utf-8", "surrogatepass")
