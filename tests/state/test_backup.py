"""Copies, and the ways back after a loss."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from state.backup import backup_if_due, backups, begin_again, restore
from state.readonly import ReadOnlyStore
from state.record import PutDeployment
from state.sqlite import SqliteStore
from state.store import Fenced, Held, StateDamaged, StateError, StateLost, StateMissing
from tests.builders import LINEAGE, NOON, deployment_id, deployment_record
from tests.state.benches import SqliteBench
from tests.state.contract import TTL_S, committed


@pytest.fixture
def bench(tmp_path: Path) -> SqliteBench:
    return SqliteBench(tmp_path)


def with_deployments(bench: SqliteBench, *numbers: int) -> SqliteStore:
    store = bench.open()
    committed(store, *(PutDeployment(deployment_record(n, model=f"m{n}")) for n in numbers))
    return store


def deployments_at(path: Path) -> set[str]:
    return set(ReadOnlyStore.open(path).load("demo").deployments)


def test_backup_is_a_whole_state_of_its_own(bench: SqliteBench, tmp_path: Path) -> None:
    store = with_deployments(bench, 1)
    store.backup(tmp_path / "copy.db")
    committed(store, PutDeployment(deployment_record(2)))
    assert deployments_at(tmp_path / "copy.db") == {deployment_id(1)}
    assert not list(tmp_path.glob("copy.db?*"))


def test_backup_where_nothing_can_be_written_says_so(bench: SqliteBench, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be written"):
        bench.open().backup(tmp_path / "absent" / "copy.db")


def test_backup_is_made_when_the_newest_is_an_hour_old(bench: SqliteBench) -> None:
    store = with_deployments(bench, 1)
    first = backup_if_due(store, NOON)
    assert first is not None
    assert backup_if_due(store, NOON + timedelta(minutes=59)) is None
    second = backup_if_due(store, NOON + timedelta(hours=1))
    assert backups(bench.place.database) == (second, first)


def test_clock_set_back_does_not_stop_backups(bench: SqliteBench) -> None:
    store = bench.open()
    backup_if_due(store, NOON + timedelta(days=400))
    assert backup_if_due(store, NOON) is not None


def test_only_so_many_backups_are_kept_and_only_ours_go(bench: SqliteBench) -> None:
    store = bench.open()
    by_hand = bench.place.backups / "state-by-hand.db"
    by_hand.touch()
    made = [backup_if_due(store, NOON + timedelta(hours=n), keep=3) for n in range(5)]
    assert list(backups(bench.place.database)) == made[:1:-1]
    assert by_hand.exists()


def test_restored_state_is_the_copy_and_the_damaged_one_is_set_aside(bench: SqliteBench) -> None:
    store = with_deployments(bench, 1)
    copy = backup_if_due(store, NOON)
    assert copy is not None
    committed(store, PutDeployment(deployment_record(2)))
    store.close()
    os.truncate(bench.place.database, 0)
    with pytest.raises(StateLost):
        bench.open()
    aside = restore(bench.place.database, copy, NOON)
    assert aside is not None
    assert [path.name for path in aside.iterdir()] == ["state.db"]
    assert bench.open().load("demo").deployments.keys() == {deployment_id(1)}


def test_log_of_the_old_database_never_meets_the_restored_one(bench: SqliteBench, tmp_path: Path) -> None:
    store = with_deployments(bench, 1)
    store.backup(tmp_path / "copy.db")
    committed(store, PutDeployment(deployment_record(2)))
    # As a killed process leaves it: a log that belongs to the database beside it.
    log = bench.place.wal.read_bytes()
    store.close()
    bench.place.wal.write_bytes(log)
    aside = restore(bench.place.database, tmp_path / "copy.db", NOON)
    assert aside is not None
    assert (aside / "state.db-wal").read_bytes() == log
    assert bench.open().load("demo").deployments.keys() == {deployment_id(1)}


def test_rewound_state_works_on_above_every_epoch_seen(bench: SqliteBench, tmp_path: Path) -> None:
    store = with_deployments(bench, 1)
    store.backup(tmp_path / "copy.db")
    for _ in range(5):
        store.release(store.acquire("demo", "a", TTL_S))
    stale = store.acquire("demo", "a", TTL_S)
    store.close()
    restore(bench.place.database, tmp_path / "copy.db", NOON)
    again = bench.open()
    lease = again.acquire("demo", "b", TTL_S, floor=stale.epoch)
    assert lease.epoch == stale.epoch + 1
    with pytest.raises(Fenced):
        again.commit(stale, [])
    assert again.load("demo").newest_id == deployment_id(1)
    assert again.commit(lease, [PutDeployment(deployment_record(9))]) == 2


def test_nothing_is_restored_under_a_running_reconciler(bench: SqliteBench, tmp_path: Path) -> None:
    store = with_deployments(bench, 1)
    store.backup(tmp_path / "copy.db")
    store.acquire("demo", "a", TTL_S)
    before = bench.place.database.stat().st_ino
    with pytest.raises(Held, match="stop it first"):
        restore(bench.place.database, tmp_path / "copy.db", NOON)
    with pytest.raises(Held, match="stop it first"):
        begin_again_here(bench)
    assert bench.place.database.stat().st_ino == before
    store.close()


def begin_again_here(bench: SqliteBench) -> Path | None:
    return begin_again(bench.place.database, NOON)


def test_copy_of_another_state_is_refused(bench: SqliteBench, tmp_path: Path) -> None:
    SqliteStore.create(tmp_path / "other.db").close()
    with pytest.raises(StateDamaged, match=f"another state.*{LINEAGE}"):
        restore(bench.place.database, tmp_path / "other.db", NOON)
    assert bench.open().lineage == LINEAGE


def test_unsound_copy_is_refused(bench: SqliteBench, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes(b"nothing" * 1000)
    with pytest.raises(StateDamaged):
        restore(bench.place.database, tmp_path / "copy.db", NOON)
    with pytest.raises(StateMissing):
        restore(bench.place.database, tmp_path / "absent.db", NOON)
    assert bench.open().lineage == LINEAGE


def test_beginning_again_keeps_the_identity(bench: SqliteBench) -> None:
    with_deployments(bench, 1).close()
    bench.place.database.unlink()
    assert begin_again_here(bench) is None
    store = bench.open()
    assert store.lineage == LINEAGE
    assert store.load("demo").deployments == {}
    assert store.acquire("demo", "a", TTL_S, floor=17).epoch == 18


def test_beginning_again_sets_a_damaged_state_aside(bench: SqliteBench) -> None:
    with_deployments(bench, 1).close()
    bench.place.database.write_bytes(b"no database" * 1000)
    aside = begin_again_here(bench)
    assert aside is not None
    assert (aside / "state.db").read_bytes().startswith(b"no database")
    assert bench.open().projects() == ()


def test_beginning_again_needs_an_identity(tmp_path: Path) -> None:
    with pytest.raises(StateMissing, match="not known"):
        begin_again(tmp_path / "state.db", NOON)
