"""What is found where a state should be: absence and damage are told apart, and never taken for an empty state."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.base import Deployment
from state.filesystem import filesystem_of, refuse_network_filesystem
from state.place import Place
from state.readonly import ReadOnlyStore
from state.record import PutDeployment, PutModel
from state.sqlite import SqliteStore
from state.store import StateBusy, StateDamaged, StateError, StateLost, StateMissing
from tests.builders import LINEAGE, deployment_record, model_record
from tests.state.benches import SqliteBench
from tests.state.contract import TTL_S, committed


@pytest.fixture
def bench(tmp_path: Path) -> SqliteBench:
    bench = SqliteBench(tmp_path)
    store = bench.open()
    committed(store, *(PutDeployment(deployment_record(n, model=f"m{n}")) for n in range(50)))
    store.close()
    return bench


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Nothing, or no longer anything


def test_missing_state_is_not_made_by_opening(tmp_path: Path) -> None:
    with pytest.raises(StateMissing, match="nothing was recorded yet") as caught:
        SqliteStore.open(tmp_path / "state.db")
    assert not isinstance(caught.value, StateLost)
    assert names(tmp_path) == set()


def test_deleted_state_beside_its_marker_is_lost_not_new(bench: SqliteBench) -> None:
    bench.place.database.unlink()
    for attempt in (SqliteStore.open, SqliteStore.create):
        with pytest.raises(StateLost, match=r"is gone.*reconcile recover"):
            attempt(bench.place.database)
    assert not bench.place.database.exists()


def test_truncated_state_is_lost_not_empty(bench: SqliteBench) -> None:
    os.truncate(bench.place.database, 0)
    with pytest.raises(StateLost, match="zero bytes"):
        SqliteStore.open(bench.place.database)
    with pytest.raises(StateError, match="left alone"):
        SqliteStore.create(bench.place.database)
    assert bench.place.database.stat().st_size == 0


def test_zero_length_file_without_marker_is_no_empty_state(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()
    with pytest.raises(StateLost, match="zero bytes"):
        SqliteStore.open(tmp_path / "state.db")


def test_create_leaves_alone_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("my diary")
    with pytest.raises(StateError, match="left alone"):
        SqliteStore.create(tmp_path / "state.db")
    assert (tmp_path / "state.db").read_text() == "my diary"


def test_create_does_not_follow_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "state.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StateError, match="left alone"):
        SqliteStore.create(tmp_path / "state.db")
    assert names(tmp_path) == {"state.db", "state.db.d"}


def test_every_state_has_a_lineage_of_its_own(tmp_path: Path) -> None:
    one, two = SqliteStore.create(tmp_path / "1.db"), SqliteStore.create(tmp_path / "2.db")
    assert one.lineage != two.lineage
    assert len(one.lineage) == 36
    one.close()
    two.close()


# Unsound


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_garbage_is_damaged(bench: SqliteBench) -> None:
    bench.place.database.write_bytes(b"no database at all\n" * 1000)
    with pytest.raises(StateDamaged, match="is damaged"):
        SqliteStore.open(bench.place.database)


def test_cut_off_file_is_damaged(bench: SqliteBench) -> None:
    os.truncate(bench.place.database, bench.place.database.stat().st_size // 2)
    with pytest.raises(StateDamaged, match="is damaged"):
        SqliteStore.open(bench.place.database)


def test_overwritten_pages_are_damaged(bench: SqliteBench) -> None:
    overwrite(bench.place.database, 4096, b"\xde\xad" * 4096)
    with pytest.raises(StateDamaged, match="is damaged"):
        SqliteStore.open(bench.place.database)


def test_flipped_bit_in_a_record_is_noticed(bench: SqliteBench) -> None:
    content = bench.place.database.read_bytes()
    # One letter of a URL: sound JSON, sound pages, another endpoint.
    at = content.rindex(b"http://172.17.0.1:8080/v1/") + len("http://172.17.0.")
    overwrite(bench.place.database, at, b"3")
    store = SqliteStore.open(bench.place.database)
    with pytest.raises(StateDamaged, match="DeploymentRecord has changed outside"):
        store.load("demo")
    store.close()


def test_bytes_that_are_no_text_are_damage_and_are_not_quoted(bench: SqliteBench) -> None:
    """It was said with the whole row and without a way back."""
    at = bench.place.database.read_bytes().rindex(b"http://172.17.0.1:8080/v1/")
    overwrite(bench.place.database, at, b"\xa5" * 8)
    store = SqliteStore.open(bench.place.database)
    with pytest.raises(StateDamaged, match="`reconcile recover` puts a copy back") as caught:
        store.load("demo")
    assert "deployment" not in str(caught.value)
    store.close()


def test_damage_is_never_written_over(bench: SqliteBench) -> None:
    overwrite(bench.place.database, 4096, b"\xde\xad" * 4096)
    before = bench.place.database.read_bytes()
    with pytest.raises(StateDamaged):
        SqliteStore.open(bench.place.database)
    assert bench.place.database.read_bytes() == before


def test_state_of_another_installation_is_refused(bench: SqliteBench, tmp_path: Path) -> None:
    SqliteStore.create(tmp_path / "other.db").close()
    (tmp_path / "other.db").replace(bench.place.database)
    with pytest.raises(StateDamaged, match=f"another installation.*{LINEAGE}"):
        SqliteStore.open(bench.place.database)


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("CREATE TABLE meta (lineage TEXT)")
    connection.close()
    with pytest.raises(StateDamaged, match="something else"):
        SqliteStore.open(tmp_path / "state.db")


@pytest.mark.parametrize("statement", ["DELETE FROM meta", "DROP TABLE meta"])
def test_state_without_identity_is_damaged(bench: SqliteBench, statement: str) -> None:
    tamper(bench.place.database, statement)
    with pytest.raises(StateDamaged, match="lost its identity"):
        SqliteStore.open(bench.place.database)


def tamper(database: Path, statement: str) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_folder_in_the_place_of_a_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StateDamaged, match="not a file"):
        SqliteStore.open(tmp_path / "state.db")


def test_lost_marker_is_written_again(bench: SqliteBench) -> None:
    bench.place.marker.unlink()
    SqliteStore.open(bench.place.database).close()
    assert bench.place.read_marker() == LINEAGE


# Under a running reconciler


def test_state_removed_while_in_use_is_noticed_by_the_next_write(bench: SqliteBench) -> None:
    store = bench.open()
    lease = store.acquire("demo", "a", TTL_S)
    bench.place.database.unlink()
    with pytest.raises(StateLost, match="while in use"):
        store.commit(lease, [PutModel(model_record())])
    with pytest.raises(StateLost):
        store.renew(lease)
    store.close()


def test_state_replaced_while_in_use_is_noticed(bench: SqliteBench, tmp_path: Path) -> None:
    store = bench.open()
    store.backup(tmp_path / "copy.db")
    lease = store.acquire("demo", "a", TTL_S)
    (tmp_path / "copy.db").replace(bench.place.database)
    with pytest.raises(StateLost, match="while in use"):
        store.commit(lease, [])
    store.close()


def test_database_in_use_by_another_writer_is_busy(bench: SqliteBench) -> None:
    store = bench.open()
    lease = store.acquire("demo", "a", TTL_S)
    other = sqlite3.connect(bench.place.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateBusy, match="try again"):
        store.commit(lease, [])
    other.execute("ROLLBACK")
    assert store.commit(lease, [PutModel(model_record())]) == 2
    other.close()
    store.close()


def test_readers_see_the_old_state_while_a_writer_writes(bench: SqliteBench) -> None:
    other = sqlite3.connect(bench.place.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM deployments")
    store = ReadOnlyStore.open(bench.place.database)
    assert len(store.load("demo").deployments) == 50
    other.close()
    store.close()


# Modes and paths


def test_only_the_owner_can_read_any_of_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqliteStore.create(tmp_path / "deep" / "er" / "state.db")
        lease = store.acquire("demo", "a", TTL_S)
        store.commit(lease, [PutModel(model_record())])
        store.backup(store.place.backups / "copy.db")
        found = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep").rglob("*")}
        store.close()
    finally:
        os.umask(before)
    assert {path.name for path in found} >= {"state.db-wal", "state.db-shm", "copy.db", "ballast", "state.db.lineage"}
    wrong = {path.name: oct(mode) for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)}
    assert wrong == {}


@pytest.mark.parametrize("name", ["50%25.db", "what?.db", "a#b.db", "sp ace ü.db", "file:x?mode=memory"])
def test_any_file_name_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    SqliteStore.create(tmp_path / name).close()
    store = SqliteStore.open(tmp_path / name)
    committed(store, PutDeployment(deployment_record(1, deployment=own(store))))
    store.close()
    assert names(tmp_path) == {name, f"{name}.lineage", f"{name}.d"}


def own(store: SqliteStore) -> Deployment:
    return replace(deployment_record(1).deployment, lineage=store.lineage)


def test_relative_path_survives_a_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore.create(Path("state.db"))
    monkeypatch.chdir("/")
    store.acquire("demo", "a", TTL_S)
    store.close()
    assert list((tmp_path / "state.db.d").glob("*.lock"))


def test_project_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    lock = Place(tmp_path / "state.db").lock("../../../etc/passwd")
    assert lock.parent == tmp_path / "state.db.d"
    assert lock != Place(tmp_path / "state.db").lock("passwd")


def test_crashed_creation_leaves_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.link", crash)
    with pytest.raises(KeyboardInterrupt):
        SqliteStore.create(tmp_path / "state.db")
    monkeypatch.undo()
    store = SqliteStore.create(tmp_path / "state.db")
    store.close()


# Filesystems

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /home rw - nfs4 server:/home rw
31 30 0:26 / /home/me/local\\040disk rw shared:5 - btrfs /dev/sdb rw
32 22 0:27 / /mnt/ssh rw - fuse.sshfs me@host: rw
33 22 0:28 / /over rw - nfs server:/x rw
34 22 0:29 / /over rw - tmpfs tmpfs rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/state.db", "ext4"),
        ("/home/me/state.db", "nfs4"),
        ("/homestead/state.db", "ext4"),
        ("/home/me/local disk/state.db", "btrfs"),
        ("/mnt/ssh/state.db", "fuse.sshfs"),
        ("/over/state.db", "tmpfs"),
        ("/home", "nfs4"),
    ],
)
def test_filesystem_is_that_of_the_innermost_latest_mount(path: str, kind: str) -> None:
    assert filesystem_of(path, MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "fuse.sshfs"])
def test_network_filesystem_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 254:0 / / rw - {kind} somewhere rw\n")
    with pytest.raises(StateError, match=f"network filesystem \\({kind}\\)"):
        refuse_network_filesystem(tmp_path / "state.db", mounts)


def test_unknown_mounts_refuse_nothing(tmp_path: Path) -> None:
    refuse_network_filesystem(tmp_path / "state.db", tmp_path / "absent")


def test_store_asks_for_the_filesystem_unless_told_not_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise StateError("on a network filesystem")

    monkeypatch.setattr("state.sqlite.refuse_network_filesystem", refuse)
    with pytest.raises(StateError, match="network"):
        SqliteStore.create(tmp_path / "state.db")
    SqliteStore.create(tmp_path / "state.db", any_filesystem=True).close()
    with pytest.raises(StateError, match="network"):
        SqliteStore.open(tmp_path / "state.db")
