"""`reconcile recover`, and what doctor says of records: the way back is one command, asked for and told."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.llamacpp.record import RunRecord
from drivers.llamacpp.rundir import RunFolder
from state.backup import backup_if_due
from state.record import PutDeployment, PutModel
from state.sqlite import SqliteStore
from tests.builders import NOON, deployment, deployment_record, model_record
from tests.reconciler.desk import Desk


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    """A desk with one deployment on record and a copy of that."""
    own = replace(deployment_record(), deployment=deployment(lineage=desk.lineage))
    desk.record(PutDeployment(own), PutModel(model_record(protected=True)))
    with closing(desk.store()) as store:
        assert isinstance(store, SqliteStore)
        assert backup_if_due(store, NOON) is not None
    return desk


def _lose(desk: Desk) -> None:
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        desk.state.with_name(name).unlink(missing_ok=True)


def _damage(desk: Desk) -> None:
    data = bytearray(desk.state.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    desk.state.write_bytes(bytes(data))


def _models(desk: Desk) -> dict[str, bool]:
    with closing(desk.store()) as store:
        return {key: book.protected for key, book in store.load("demo").models.items()}


@pytest.mark.parametrize("harm", [_lose, _damage], ids=["lost", "damaged"])
def test_every_command_names_the_way_back_and_it_is_one(recorded: Desk, harm: object) -> None:
    assert callable(harm)
    lineage = recorded.lineage
    harm(recorded)
    for given in (["status"], ["doctor"], ["protect", "llm"]):
        done = recorded.reconcile(*given)
        assert done.code == 1
        assert "`reconcile recover`" in done.out + done.err
    done = recorded.reconcile("recover", "--yes")
    assert done.code == 0, done.err
    assert "backups/state-20260504T120000Z.db" in done.out
    assert _models(recorded) == {"llm": True}
    assert recorded.lineage == lineage


def test_without_a_copy_it_begins_again_under_the_same_identity(recorded: Desk) -> None:
    lineage = recorded.lineage
    _lose(recorded)
    for copy in recorded.state.with_name("state.db.d").glob("backups/*.db"):
        copy.unlink()
    done = recorded.reconcile("recover", "--yes")
    assert done.code == 1
    assert "begin again with --empty" in done.err
    assert recorded.reconcile("recover", "--empty", "--yes").code == 0
    assert recorded.lineage == lineage
    assert _models(recorded) == {}


def test_what_stood_there_is_kept(recorded: Desk) -> None:
    _damage(recorded)
    damaged = recorded.state.read_bytes()
    done = recorded.reconcile("recover", "--yes")
    aside = Path(done.out.split("what stood there is kept in ")[1].splitlines()[0])
    assert (aside / "state.db").read_bytes() == damaged


def test_it_asks_first_and_no_is_no(recorded: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    _lose(recorded)
    assert recorded.reconcile("recover").code == 3
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdin, "readline", lambda: "n\n")
    done = recorded.reconcile("recover")
    assert done.code == 3
    assert "Do it?" in done.err
    assert not recorded.state.exists()
    monkeypatch.setattr(sys.stdin, "readline", lambda: "y\n")
    assert recorded.reconcile("recover").code == 0
    assert recorded.state.exists()


def test_a_sound_record_is_replaced_only_by_a_copy_that_is_named(recorded: Desk) -> None:
    recorded.record(PutModel(model_record("later")))
    for given in ([], ["--empty"]):
        done = recorded.reconcile("recover", "--yes", *given)
        assert done.code == 3
        assert "is sound" in done.err
    (copy,) = recorded.state.with_name("state.db.d").glob("backups/*.db")
    assert recorded.reconcile("recover", "--from", str(copy), "--yes").code == 0
    assert _models(recorded) == {"llm": True}


def test_a_copy_of_another_record_and_a_running_service_change_nothing(recorded: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    SqliteStore.create(other).close()
    before = recorded.state.read_bytes()
    done = recorded.reconcile("recover", "--from", str(other), "--yes")
    assert done.code == 1
    assert "copy of another state" in done.err
    (copy,) = recorded.state.with_name("state.db.d").glob("backups/*.db")
    with closing(recorded.store()) as store:
        lease = store.acquire("demo", "host:4711", 60.0)
        done = recorded.reconcile("recover", "--from", str(copy), "--yes")
        store.release(lease)
    assert done.code == 1
    assert "a reconciler is running" in done.err
    assert "commit the change" not in done.err
    assert recorded.state.read_bytes()[:16] == before[:16]


def test_where_nothing_ever_was_there_is_nothing_to_recover(desk: Desk) -> None:
    done = desk.reconcile("recover", "--yes")
    assert done.code == 1
    assert "nothing was recorded yet" in done.err
    assert not desk.state.exists()


def _lose_everything(desk: Desk) -> None:
    _lose(desk)
    desk.state.with_name("state.db.lineage").unlink()


def test_where_the_marker_is_lost_too_the_identity_is_given(recorded: Desk) -> None:
    lineage = recorded.lineage
    _lose_everything(recorded)
    done = recorded.reconcile("recover", "--lineage", lineage, "--yes")
    assert done.code == 0, done.err
    assert recorded.lineage == lineage
    assert recorded.state.with_name("state.db.lineage").read_text(encoding="utf-8").startswith(lineage)
    assert _models(recorded) == {}


def test_a_record_that_has_made_nothing_gives_its_place_to_an_identity_that_has(recorded: Desk) -> None:
    lineage = recorded.lineage
    _lose_everything(recorded)
    SqliteStore.create(recorded.state).close()
    assert recorded.lineage != lineage
    done = recorded.reconcile("recover", "--lineage", lineage, "--yes")
    assert done.code == 0, done.err
    assert recorded.lineage == lineage


def test_an_identity_is_not_taken_on_in_the_place_of_another(recorded: Desk) -> None:
    own, other = recorded.lineage, "0b2bb81e-8a3f-4a7f-9e6e-36e0ab4f9c11"
    done = recorded.reconcile("recover", "--lineage", other, "--yes")
    assert (done.code, "projects of its own" in done.err) == (3, True)
    assert recorded.reconcile("recover", "--lineage", "mine; rm", "--yes").code == 1
    _lose(recorded)
    done = recorded.reconcile("recover", "--lineage", other, "--yes")
    assert (done.code, "`reconcile recover`" in done.err) == (3, True)
    assert recorded.reconcile("recover", "--yes").code == 0
    assert recorded.lineage == own


def test_doctor_names_servers_of_another_record(recorded: Desk) -> None:
    for number, lineage in ((1, recorded.lineage), (2, "another")):
        made = deployment(number, lineage=lineage)
        folder = RunFolder(recorded.state.parent / "llamacpp" / made.name)
        folder.prepare()
        folder.write(RunRecord(deployment=made, host="127.0.0.1", port=20001, model_id="ai/smollm2"))
    lines = [line for line in recorded.reconcile("doctor").out.splitlines() if "server of another record" in line]
    assert len(lines) == 1
    assert "lineage another" in lines[0]
    assert f"remove {recorded.state.parent / 'llamacpp' / 'demo-llm-2'}" in lines[0]
