"""A full disk: what was done can still be written down, in the space that the ballast gives back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.ballast import BALLAST_BYTES, Ballast
from state.faults import as_state_error
from state.record import Append, PutDeployment, PutModel
from state.sqlite import SqliteStore
from state.store import StateBusy, StateDamaged, StateError, StateFull, StateReadOnly
from tests.builders import LINEAGE, deployment_record, event, model_record
from tests.state.contract import TTL_S, committed


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs", str(tmp_path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk needs root: {done.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.fixture
def store(disk: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.create(disk / "state.db", lineage=LINEAGE)
    yield store
    store.close()


def fill(disk: Path) -> Path:
    """A file that takes all the space there is."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096) == 4096:
                pass
        except OSError:
            return filler
    return filler


def large(number: int, size: int) -> PutModel:
    return PutModel(model_record(f"m{number}", halted="x" * size))


def test_ballast_is_given_up_for_what_must_be_written_down(disk: Path, store: SqliteStore) -> None:
    lease = store.acquire("demo", "a", TTL_S)
    assert not store.short_of_space
    fill(disk)
    before = store.commit(lease, [large(0, 200_000)])
    assert store.short_of_space
    assert store.load("demo").serial == before == 1
    assert store.renew(lease).epoch == 1


def test_commit_that_does_not_fit_leaves_the_state_as_it_was(disk: Path, store: SqliteStore) -> None:
    committed(store, PutDeployment(deployment_record(1)))
    lease = store.acquire("demo", "a", TTL_S)
    before = store.load("demo")
    fill(disk)
    with pytest.raises(StateFull, match="free some space"):
        store.commit(lease, [large(0, 4 * BALLAST_BYTES)])
    assert store.load("demo") == before
    # The ballast went for nothing, but small things still fit into what it left.
    assert store.commit(lease, [Append(event("deleted"))]) == before.serial + 1


def test_ballast_comes_back_with_the_space(disk: Path, store: SqliteStore) -> None:
    lease = store.acquire("demo", "a", TTL_S)
    filler = fill(disk)
    store.commit(lease, [large(0, 200_000)])
    store.renew(lease)
    assert store.short_of_space
    filler.unlink()
    store.renew(lease)
    assert not store.short_of_space


def test_state_on_a_full_disk_can_be_opened_and_read(disk: Path, store: SqliteStore) -> None:
    committed(store, PutDeployment(deployment_record(1)))
    store.close()
    fill(disk)
    again = SqliteStore.open(disk / "state.db")
    assert len(again.load("demo").deployments) == 1
    again.close()


def test_backup_that_does_not_fit_leaves_nothing(disk: Path, store: SqliteStore) -> None:
    committed(store, *(large(n, 100_000) for n in range(30)))
    fill(disk)
    with pytest.raises(StateError):
        store.backup(disk / "copy.db")
    assert {path.name for path in disk.glob("copy*")} == set()


def test_ballast_takes_real_space(disk: Path, store: SqliteStore) -> None:
    found = Ballast.of(store.place).path.stat()
    assert found.st_size == found.st_blocks * 512 == BALLAST_BYTES


def test_ballast_is_not_stocked_where_space_is_short(disk: Path) -> None:
    (disk / "filler").write_bytes(os.urandom(5 * BALLAST_BYTES))
    store = SqliteStore.create(disk / "state.db", lineage=LINEAGE)
    assert store.short_of_space
    store.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StateBusy),
        (sqlite3.SQLITE_LOCKED, StateBusy),
        (sqlite3.SQLITE_PROTOCOL, StateBusy),
        (sqlite3.SQLITE_FULL, StateFull),
        (sqlite3.SQLITE_READONLY_DBMOVED, StateReadOnly),
        (sqlite3.SQLITE_PERM, StateReadOnly),
        (sqlite3.SQLITE_CORRUPT_INDEX, StateDamaged),
        (sqlite3.SQLITE_NOTADB, StateDamaged),
        (sqlite3.SQLITE_IOERR_FSYNC, StateError),
        (sqlite3.SQLITE_CANTOPEN, StateError),
        (sqlite3.SQLITE_NOMEM, StateError),
    ],
)
def test_every_error_names_the_file(tmp_path: Path, code: int, kind: type[StateError]) -> None:
    database = tmp_path / "state.db"
    database.touch()
    exc = sqlite3.OperationalError("what SQLite says")
    exc.sqlite_errorcode = code
    told = as_state_error(exc, database)
    assert type(told) is kind
    assert str(database) in str(told)
