"""Requests that wait beside a state: noted while somebody else writes, done once and in order, whatever dies."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from reconciler.clock import SystemClock
from reconciler.daemon import Daemon, Followed
from reconciler.engine import Engine
from reconciler.inbox import Inbox
from reconciler.reading import Reader
from reconciler.requests import Request
from reconciler.result import PassResult
from reconciler.tenure import Tenure
from state.record import PutDeployment, PutModel, PutSource, Recorded
from state.sqlite import SqliteStore
from state.store import Fenced
from tests.builders import NOON, deployment, deployment_record, model_record, plan, recorded, source_record
from tests.reconciler.desk import Desk

SOON_S = 10.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore.create(tmp_path / "state.db")) as made:
        yield made


@pytest.fixture
def inbox(store: SqliteStore) -> Inbox:
    return Inbox(store.place, store, SystemClock().now)


def _tenure(store: SqliteStore, *models: str) -> Tenure:
    """A service that holds `demo`, with these models recorded."""
    tenure = Tenure(store, "demo", "host:4711", SystemClock().monotonic)
    for number, model in enumerate(models, 1):
        record = deployment_record(number, model=model)
        own = replace(record, deployment=deployment(number, model=model, lineage=store.lineage))
        store.commit(tenure.lease, [PutDeployment(own), PutModel(model_record(model)), PutSource(source_record(model))])
    return tenure


def _kinds(store: SqliteStore) -> list[tuple[str, str]]:
    return [(event.kind, event.text) for _, event in store.events("demo")]


def test_what_was_asked_for_is_one_commit_with_an_event_and_then_gone(store: SqliteStore, inbox: Inbox) -> None:
    tenure = _tenure(store, "llm")
    inbox.leave("demo", Request("protect", "llm"))
    before = store.load("demo").serial
    assert inbox.take_up(tenure.lease) == 1
    known = store.load("demo")
    assert known.models["llm"].protected
    assert known.serial == before + 1
    assert _kinds(store) == [("protect", "llm: never deleted from now on")]
    assert inbox.waiting("demo") == ()
    assert inbox.take_up(tenure.lease) == 0


def test_requests_are_done_in_the_order_in_which_they_came(store: SqliteStore, inbox: Inbox) -> None:
    tenure = _tenure(store, "llm")
    for command in ("protect", "unprotect", "protect", "unprotect"):
        inbox.leave("demo", Request(command, "llm"))
    assert inbox.take_up(tenure.lease) == 4
    assert not store.load("demo").models["llm"].protected


@pytest.mark.parametrize("command", ["protect", "resume", "forget"])
def test_whoever_dies_before_the_file_is_gone_does_nothing_twice(
    store: SqliteStore, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    tenure = _tenure(store, "llm", "other")
    store.commit(tenure.lease, [PutModel(model_record(halted="given up", attempts=5))])
    inbox.leave("demo", Request(command, "llm", deployment().id if command == "forget" else None))
    with monkeypatch.context() as dying:
        dying.setattr(Path, "unlink", _dies)
        with pytest.raises(SystemExit):
            inbox.take_up(tenure.lease)
    once, said = store.load("demo"), _kinds(store)
    assert len(said) == 1
    assert inbox.take_up(tenure.lease) == 1
    assert store.load("demo") == once
    assert _kinds(store) == said
    assert inbox.waiting("demo") == ()


def _dies(path: Path, missing_ok: bool = False) -> None:
    raise SystemExit


def test_nothing_is_done_under_a_lease_that_is_not_ours_any_more(store: SqliteStore, inbox: Inbox) -> None:
    tenure = _tenure(store, "llm")
    inbox.leave("demo", Request("protect", "llm"))
    tenure.release()
    with pytest.raises(Fenced):
        inbox.take_up(tenure.lease)
    assert len(inbox.waiting("demo")) == 1
    assert not store.load("demo").models["llm"].protected


def test_what_cannot_be_done_any_more_is_said_in_the_history(store: SqliteStore, inbox: Inbox) -> None:
    tenure = _tenure(store, "llm")
    inbox.leave("demo", Request("protect", "ghost"))
    inbox.leave("demo", Request("protect", "llm"))
    assert inbox.take_up(tenure.lease) == 2
    assert store.load("demo").models["llm"].protected
    (kind, text), _ = _kinds(store)
    assert (kind, text.split(":")[0]) == ("protect", "not done")


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "[" * 100_000, '{"v": 1, "command": "rm"}'),
        '{"v": 2, "command": "protect", "model": "llm", "deployment": null}',
        '{"v": 1, "command": "protect", "model": 7, "deployment": null}',
    ],
)
def test_a_file_that_is_no_request_is_dropped_with_a_word_and_stops_nothing(
    store: SqliteStore, inbox: Inbox, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    tenure = _tenure(store, "llm")
    path = inbox.leave("demo", Request("protect", "llm"))
    path.write_text(text, encoding="utf-8")
    inbox.leave("demo", Request("resume", "llm"))
    before = store.load("demo")
    assert inbox.take_up(tenure.lease) == 2
    assert "is dropped" in caplog.text
    assert store.load("demo") == before
    assert inbox.waiting("demo") == ()


def test_a_request_is_private_and_one_projects_alone(store: SqliteStore, inbox: Inbox) -> None:
    path = inbox.leave("../other", Request("protect", "llm"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.parent.parent == store.place.folder / "requests"
    assert inbox.waiting("demo") == ()
    assert sorted(each.name for each in path.parent.iterdir()) == sorted([path.name, "bell"])


# -- in the service ---------------------------------------------------------------------------------------------------


class Holding:
    """Stands where an engine does: its first pass takes the lease."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.tenure: Tenure | None = None
        self.seen: list[bool] = []
        self.passed = threading.Semaphore(0)

    def run_once(self) -> PassResult:
        if self.tenure is None:
            self.tenure = _tenure(self._store, "llm")
        known: Recorded = self._store.load("demo")
        self.seen.append(known.models["llm"].protected)
        self.passed.release()
        return PassResult(plan=plan(), known=recorded(), look_again_s=3600.0)

    def close(self) -> None: ...


class Still:
    """Stands where a reader does whose source never changes."""

    read_head = "one"

    def head(self) -> str:
        return "one"

    def watch_paths(self) -> tuple[str, ...]:
        return ()


@contextmanager
def _service(engine: Holding, inbox: Inbox) -> Iterator[None]:
    followed = {"demo": Followed(cast(Reader, Still()), cast(Engine, engine), inbox)}
    daemon = Daemon(followed, SystemClock(), poll_interval_s=3600.0)
    thread = threading.Thread(target=daemon.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        daemon.stop()
        thread.join(SOON_S)


def _until(engine: Holding, protected: bool) -> None:
    while not engine.seen or engine.seen[-1] is not protected:
        assert engine.passed.acquire(timeout=SOON_S)


def test_the_service_wakes_up_for_a_request(store: SqliteStore, inbox: Inbox) -> None:
    engine = Holding(store)
    with _service(engine, inbox):
        _until(engine, False)
        inbox.leave("demo", Request("protect", "llm"))
        _until(engine, True)


def test_what_waited_for_the_service_to_start_leads_to_a_second_pass(store: SqliteStore, inbox: Inbox) -> None:
    inbox.leave("demo", Request("protect", "llm"))
    engine = Holding(store)
    with _service(engine, inbox):
        _until(engine, True)
    assert engine.seen[:2] == [False, True]


# -- the commands -----------------------------------------------------------------------------------------------------


@contextmanager
def _held(desk: Desk) -> Iterator[SqliteStore]:
    """Another reconciler holds the project meanwhile."""
    with closing(desk.store()) as store:
        assert isinstance(store, SqliteStore)
        tenure = _tenure(store, "llm", "other")
        yield store
        Inbox(store.place, store, lambda: NOON).take_up(tenure.lease)
        tenure.release()


@pytest.mark.parametrize(("command", "protected"), [("protect", True), ("unprotect", False)])
def test_a_command_beside_a_running_service_is_noted_and_done(desk: Desk, command: str, protected: bool) -> None:
    with _held(desk) as store:
        done = desk.reconcile(command, "llm", "-p", "demo")
        assert done.code == 0, done.err
        assert "noted; the running service takes it up within seconds" in done.out
        assert not store.load("demo").models["llm"].protected
    with closing(desk.store()) as after:
        assert after.load("demo").models["llm"].protected is protected


def test_what_is_to_be_forgotten_is_named_when_it_is_asked_for(desk: Desk) -> None:
    """One that came later must not be forgotten instead."""
    with _held(desk) as store:
        assert desk.reconcile("forget", "llm", "-p", "demo").code == 0
        ((path),) = Inbox(store.place, store, lambda: NOON).waiting("demo")
        assert deployment().id in path.read_text(encoding="utf-8")
    with closing(desk.store()) as after:
        assert [record.deployment.model for record in after.load("demo").deployments.values()] == ["other"]


def test_a_mistake_beside_a_running_service_leaves_nothing(desk: Desk) -> None:
    with _held(desk) as store:
        assert desk.reconcile("protect", "lmm", "-p", "demo").code == 1
        assert Inbox(store.place, store, lambda: NOON).waiting("demo") == ()


def test_what_nobody_took_up_is_done_before_what_is_asked_for_later(desk: Desk) -> None:
    with closing(desk.store()) as store:
        assert isinstance(store, SqliteStore)
        _tenure(store, "llm").release()
        Inbox(store.place, store, lambda: NOON).leave("demo", Request("protect", "llm"))
    assert desk.reconcile("unprotect", "llm").code == 0
    with closing(desk.store()) as after:
        assert not after.load("demo").models["llm"].protected
        assert [event.kind for _, event in after.events("demo")] == ["protect", "unprotect"]
