"""States of other releases: older ones are brought up to date, newer ones refused, and no crash leaves one between."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from state.connect import open_database
from state.place import Place
from state.readonly import ReadOnlyStore
from state.record import PutModel, Recorded
from state.schema import MIGRATIONS, SCHEMA_VERSION
from state.sqlite import SqliteStore
from state.store import StateDamaged
from tests.builders import model_record
from tests.state.contract import TTL_S
from tests.state.goldens import EVENT, IDS, LEAVING, LINEAGE, MODEL, OUTPUT, SERVING, SOURCE, content, load_golden, make
from tests.state.process import MIGRATION, started


@pytest.fixture
def database(tmp_path: Path) -> Path:
    load_golden(1, tmp_path / "state.db")
    return tmp_path / "state.db"


def columns(database: Path, table: str) -> list[str]:
    connection = sqlite3.connect(database)
    found = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    connection.close()
    return found


EXPECTED = Recorded(
    project="demo",
    lineage=LINEAGE,
    serial=1,
    epoch=8,
    deployments={IDS[0]: LEAVING, IDS[1]: SERVING},
    models={"llm": MODEL},
    source=SOURCE,
    outputs={OUTPUT.path: OUTPUT},
    newest_id=IDS[1],
)


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_state_of_every_release_is_read_and_carried_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / "state.db"
    load_golden(version, path)
    store = SqliteStore.open(path)
    assert store.load("demo") == EXPECTED
    assert [each for _, each in store.events("demo")] == [EVENT]
    assert store.commit(store.acquire("demo", "b", TTL_S), [PutModel(model_record("new"))]) == 2
    store.close()


def test_golden_state_can_be_looked_at(database: Path) -> None:
    assert ReadOnlyStore.open(database).load("demo") == EXPECTED


def test_present_form_is_the_golden_one(tmp_path: Path) -> None:
    # When this fails, the form of a released schema has changed: add a migration and a new golden state instead.
    make(tmp_path / "made.db")
    load_golden(SCHEMA_VERSION, tmp_path / "golden.db")
    assert content(tmp_path / "made.db") == content(tmp_path / "golden.db")


def test_there_is_a_migration_from_every_older_schema() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))


def test_newer_schema_is_refused_and_left_alone(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("UPDATE meta SET schema_version = ?", (SCHEMA_VERSION + 1,))
    connection.commit()
    connection.close()
    before = database.read_bytes()
    for attempt in (SqliteStore.open, ReadOnlyStore.open):
        with pytest.raises(StateDamaged, match=f"newer release \\(schema {SCHEMA_VERSION + 1}"):
            attempt(database)
    assert database.read_bytes() == before


def test_migration_keeps_a_copy_of_what_was(database: Path) -> None:
    def migrate(connection: sqlite3.Connection) -> None:
        for statement in MIGRATION:
            connection.execute(statement)

    connection, meta = open_database(Place(database), busy_timeout_s=0, migrations={1: migrate}, target=2)
    assert connection.execute("SELECT schema_version FROM meta").fetchone() == (2,)
    assert connection.execute("SELECT model FROM prices").fetchall() == [("llm",)]
    connection.close()
    assert meta.lineage == LINEAGE
    copy = Place(database).backups / "before-schema-2-from-1.db"
    assert ReadOnlyStore.open(copy).load("demo") == EXPECTED


def test_failing_migration_changes_nothing(database: Path) -> None:
    def migrate(connection: sqlite3.Connection) -> None:
        connection.execute(MIGRATION[0])
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        open_database(Place(database), busy_timeout_s=0, migrations={1: migrate}, target=2)
    store = SqliteStore.open(database)
    assert store.load("demo") == EXPECTED
    store.close()
    assert columns(database, "prices") == []


@pytest.mark.parametrize("after", range(len(MIGRATION) + 1))
def test_killed_in_the_middle_of_a_migration_the_state_is_the_old_one(database: Path, after: int) -> None:
    with started("open", database, str(after)) as process:
        assert process.wait() == 9
    store = SqliteStore.open(database)
    assert store.load("demo") == EXPECTED
    store.close()
    assert columns(database, "prices") == []
    assert "paused" not in columns(database, "projects")
