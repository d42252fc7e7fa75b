"""A dry run looks and leaves no trace, whoever else has the state open."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from state import readonly
from state.readonly import ReadOnlyStore
from state.record import PutDeployment, PutModel
from state.sqlite import SqliteStore
from state.store import Lease, StateBusy, StateDamaged, StateError, StateLost, StateMissing, StateReadOnly
from tests.builders import LINEAGE, deployment_id, deployment_record, model_record
from tests.state.benches import SqliteBench
from tests.state.contract import TTL_S, committed
from tests.state.process import line_of, started


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[SqliteBench]:
    bench = SqliteBench(tmp_path)
    store = bench.open()
    committed(store, PutDeployment(deployment_record(1)))
    store.close()
    yield bench
    bench.close()


def traces(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file with what would betray a write. The shared memory of a live writer is no file's content."""
    found = {path: path.stat() for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")}
    return {str(path): (each.st_ino, each.st_size, each.st_mtime_ns) for path, each in found.items()}


@contextmanager
def without_a_trace(folder: Path) -> Iterator[None]:
    before = traces(folder)
    yield
    assert traces(folder) == before


def test_looking_at_a_closed_state_leaves_no_trace(bench: SqliteBench, tmp_path: Path) -> None:
    bench.place.marker.unlink()
    with without_a_trace(tmp_path):
        store = ReadOnlyStore.open(bench.place.database)
        assert store.lineage == LINEAGE
        assert store.projects() == ("demo",)
        assert store.load("demo").deployments.keys() == {deployment_id(1)}
        assert store.events("demo") == ()
        store.close()


def test_looking_at_a_state_in_use_sees_the_last_commit(bench: SqliteBench, tmp_path: Path) -> None:
    writer = bench.open()
    committed(writer, PutDeployment(deployment_record(2, model="m")))
    with without_a_trace(tmp_path):
        store = ReadOnlyStore.open(bench.place.database)
        assert store.load("demo") == writer.load("demo")
        store.close()


def test_what_was_looked_at_stays_as_it_was(bench: SqliteBench) -> None:
    store, writer = ReadOnlyStore.open(bench.place.database), bench.open()
    before = store.load("demo")
    committed(writer, PutDeployment(deployment_record(2, model="m")))
    assert store.load("demo") == before


def test_looking_does_not_hinder_a_writer_in_the_middle_of_a_transaction(bench: SqliteBench) -> None:
    writer = sqlite3.connect(bench.place.database, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM deployments")
    store = ReadOnlyStore.open(bench.place.database)
    assert store.load("demo").deployments.keys() == {deployment_id(1)}
    writer.execute("COMMIT")
    assert ReadOnlyStore.open(bench.place.database).load("demo").deployments == {}
    writer.close()


@pytest.mark.parametrize("shared_memory", [True, False])
def test_looking_at_what_a_killed_process_left(bench: SqliteBench, tmp_path: Path, shared_memory: bool) -> None:
    with started("commit", bench.place.database) as process:
        line_of(process)
        process.kill()
        process.wait()
    if not shared_memory:
        bench.place.shm.unlink()
    assert bench.place.wal.stat().st_size > 0
    with without_a_trace(tmp_path):
        store = ReadOnlyStore.open(bench.place.database)
        found = store.load("demo")
    assert found.serial >= 2
    assert SqliteStore.open(bench.place.database).load("demo") == found


def test_state_on_a_read_only_disk_can_be_looked_at(bench: SqliteBench, tmp_path: Path) -> None:
    with mounted_read_only(bench.place.database.parent, tmp_path.parent / f"{tmp_path.name}-ro") as folder:
        store = ReadOnlyStore.open(folder / "state.db")
        assert store.load("demo").deployments.keys() == {deployment_id(1)}
        with pytest.raises(StateReadOnly, match="cannot be written"):
            SqliteStore.open(folder / "state.db")


@contextmanager
def mounted_read_only(folder: Path, target: Path) -> Iterator[Path]:
    target.mkdir()
    try:
        for options in (["--bind", str(folder)], ["-o", "remount,bind,ro"]):
            done = subprocess.run(["mount", *options, str(target)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"a read-only mount needs root: {done.stderr.strip()}")
        yield target
    finally:
        subprocess.run(["umount", str(target)], capture_output=True, check=False)


def test_nothing_there_is_missing_and_stays_so(tmp_path: Path) -> None:
    with pytest.raises(StateMissing):
        ReadOnlyStore.open(tmp_path / "sub" / "state.db")
    assert list(tmp_path.iterdir()) == []


def test_lost_and_damaged_states_are_noticed(bench: SqliteBench) -> None:
    bench.place.database.write_bytes(b"no database at all\n" * 1000)
    with pytest.raises(StateDamaged):
        ReadOnlyStore.open(bench.place.database)
    bench.place.database.unlink()
    with pytest.raises(StateLost):
        ReadOnlyStore.open(bench.place.database)


def test_state_of_another_installation_is_refused(bench: SqliteBench) -> None:
    bench.place.write_marker("another")
    with pytest.raises(StateDamaged, match="another installation"):
        ReadOnlyStore.open(bench.place.database)


def test_nothing_can_be_written(bench: SqliteBench) -> None:
    store = ReadOnlyStore.open(bench.place.database)
    lease = Lease(project="demo", holder="a", epoch=1, ttl_s=TTL_S, acquired_monotonic=0)
    for attempt in (
        lambda: store.acquire("demo", "a", TTL_S),
        lambda: store.renew(lease),
        lambda: store.release(lease),
        lambda: store.commit(lease, [PutModel(model_record())]),
    ):
        with pytest.raises(StateReadOnly, match="looking only"):
            attempt()


def test_copy_taken_while_the_file_changed_is_taken_again(bench: SqliteBench, monkeypatch: pytest.MonkeyPatch) -> None:
    real, copies = readonly._copy_once, []

    def interrupted(place: object) -> object:
        copies.append(real(bench.place))
        if len(copies) == 1:
            # A whole life of another process between our look at the files and the end of our reading.
            writer = bench.open()
            committed(writer, PutDeployment(deployment_record(2, model="m")))
            writer.close()
        return copies[-1]

    monkeypatch.setattr(readonly, "_copy_once", interrupted)
    assert len(ReadOnlyStore.open(bench.place.database).load("demo").deployments) == 2
    assert len(copies) == 2


def test_state_that_never_stands_still_is_busy(bench: SqliteBench, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1000))
    monkeypatch.setattr(readonly, "_stamp", lambda place: (next(moments),))
    with pytest.raises(StateBusy, match="try again"):
        ReadOnlyStore.open(bench.place.database)


def test_older_schema_asks_for_a_pass_that_may_write(bench: SqliteBench) -> None:
    connection = sqlite3.connect(bench.place.database, isolation_level=None)
    connection.execute("UPDATE meta SET schema_version = 0")
    connection.close()
    with pytest.raises(StateError, match=r"older release.*without --dry-run"):
        ReadOnlyStore.open(bench.place.database)


def test_copied_database_with_its_log_is_read_whole(bench: SqliteBench, tmp_path: Path) -> None:
    writer = bench.open()
    committed(writer, PutDeployment(deployment_record(2, model="m")))
    (tmp_path / "elsewhere").mkdir()
    for file in (bench.place.database, bench.place.wal):
        shutil.copy(file, tmp_path / "elsewhere")
    assert len(ReadOnlyStore.open(tmp_path / "elsewhere" / "state.db").load("demo").deployments) == 2
