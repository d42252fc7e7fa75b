"""What the service says: once, with the cause, on one line, and never a secret."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from drivers.errors import Unavailable
from reconciler.apply import Applied
from reconciler.commands.serve import Teller, _back_up, last_applied, log_to, named
from reconciler.errors import InputError
from reconciler.leaving import BEGUN
from reconciler.plan import Action
from reconciler.ports import Published
from reconciler.result import PassResult
from reconciler.settings import ProjectSettings
from state.memory import MemoryStore
from state.record import PutSource
from tests.builders import at, change, deployment_record, place, plan, recorded, source_record, step, verdict
from tests.reconciler.desk import Desk

SECRET = "sk-very-secret-0123456789"


def _result(*steps: Any, **given: Any) -> PassResult:
    values: dict[str, Any] = {"plan": plan(*steps), "known": recorded()}
    return PassResult(**(values | given))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    caplog.set_level(logging.INFO)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.levelname} {record.getMessage()}")  # type: ignore[method-assign]
    logging.getLogger("reconciler").addHandler(handler)
    yield lines
    logging.getLogger("reconciler").removeHandler(handler)


def test_a_wait_is_told_when_it_begins_and_not_while_it_lasts(said: list[str]) -> None:
    """Two deployments of one model, each waiting for something else, once filled the log with every pass."""
    waiting = _result(step(Action.WAIT, cause="it is starting"), step(Action.WAIT, cause="replaced; kept for a while"))
    teller = Teller()
    for _ in range(3):
        teller.tell("shop", waiting)
    assert said == ["INFO shop: llm: it is starting", "INFO shop: llm: replaced; kept for a while"]
    teller.tell("shop", _result())
    teller.tell("shop", waiting)
    assert len(said) == 4, "what comes again is told again"


def test_a_delete_that_is_asked_for_again_is_told_once(said: list[str]) -> None:
    """A hung server takes ten seconds to go; each look at it once was a line, more than a hundred of them."""
    begun, again = step(Action.DELETE, cause="replaced"), step(Action.DELETE, cause=BEGUN)
    teller = Teller()
    for one in (begun, again, again, again):
        teller.tell("shop", _result(one, applied=(Applied(one, deployment_record()),)))
    assert said == [
        "INFO shop: delete llm on llamacpp: replaced",
        "INFO shop: delete llm on llamacpp: its deletion was begun",
    ]


def test_each_project_is_told_on_its_own(said: list[str]) -> None:
    teller = Teller()
    for key in ("a", "b", "a", "b"):
        teller.tell(key, _result(step(Action.WAIT, cause="it is starting")))
    assert said == ["INFO a: llm: it is starting", "INFO b: llm: it is starting"]


def test_what_was_done_is_told_with_its_cause_and_changes(said: list[str]) -> None:
    changed = step(Action.REPLACE, cause="the file changed", changes=(change("context_size", "1024", "512"),))
    Teller().tell("shop", _result(changed, applied=(Applied(changed, deployment_record()),)))
    assert said == ["INFO shop: replace llm on llamacpp: the file changed (context_size 1024 → 512)"]


def test_what_was_planned_and_failed_is_not_told_as_done(said: list[str]) -> None:
    failed = step(Action.CREATE)
    Teller().tell("shop", _result(failed, applied=(Applied(failed, None, error=Unavailable("throttled")),)))
    assert said == []


def test_a_wrong_model_is_told_with_its_place(said: list[str]) -> None:
    problem = InputError("unknown option 'cloud.regoin'", place(14, 7), path="models.chat")
    for _ in range(2):
        Teller().tell("shop", _result(problems=(problem,)))
    assert said == ["ERROR shop: compose.yaml:14:7: models.chat: unknown option 'cloud.regoin'"] * 2


def test_a_guards_no_is_told(said: list[str]) -> None:
    refused = plan(guards=(verdict(text="the plan removes 5 of 5 models"),))
    Teller().tell("shop", _result(plan=refused))
    assert said == ["WARNING shop: the guard 'mass-delete' refuses: the plan removes 5 of 5 models"]


def test_where_a_model_answers_is_told_once(said: list[str]) -> None:
    teller, ready = Teller(), _result(known=recorded(deployment_record()))
    teller.tell("shop", ready)
    teller.tell("shop", ready)
    assert said == ["INFO shop: llm: ready at http://172.17.0.1:8080/v1/ (ai/smollm2)"]


def test_written_environments_and_edits_are_told(said: list[str]) -> None:
    published = Published(changed_services=("app", "batch"), repaired=("x.env had been edited",))
    Teller().tell("shop", _result(published=published))
    assert said == ["INFO shop: environment written for app, batch", "WARNING shop: x.env had been edited"]


def test_a_pass_without_a_reading_has_nothing_to_tell(said: list[str]) -> None:
    Teller().tell("shop", PassResult(plan=None, known=None, trouble="empty"))
    assert said == []


@pytest.mark.parametrize("verbose", [False, True])
def test_the_sdk_of_aws_keeps_requests_and_keys_to_itself(verbose: bool) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        log_to(stream, verbose=verbose, environment={})
        logging.getLogger("botocore.parsers").debug("Response body: %s", SECRET)
        logging.getLogger("botocore.credentials").info("Found credentials in environment variables.")
        logging.getLogger("urllib3.connectionpool").debug("PUT /?X-Amz-Signature=%s", SECRET)
        logging.getLogger("botocore.endpoint").warning("something is wrong")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert stream.getvalue().splitlines()[1:] == []
    assert "something is wrong" in stream.getvalue()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log_to(stream, verbose=False, environment={"HF_TOKEN": SECRET, "LANG": "C"})
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_no_secret_of_the_environment_reaches_the_log(log: io.StringIO) -> None:
    logger = logging.getLogger("reconciler.test")
    logger.warning("refused: %s", f"Bearer {SECRET}")
    logger.warning("at https://ada:hunter22@registry.example/v2/")
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("a pass failed")
    assert SECRET not in log.getvalue()
    assert "hunter22" not in log.getvalue()
    assert "Traceback" in log.getvalue()


def test_what_is_quoted_stays_on_its_line(log: io.StringIO) -> None:
    logging.getLogger("reconciler.test").warning("it said: %s", "\x1b[2Jboom\n12:00:00 INFO all is well")
    (line,) = log.getvalue().splitlines()
    assert "\x1b" not in line
    assert line.endswith("boom 12:00:00 INFO all is well")


def test_every_project_has_a_name_of_its_own_in_the_log() -> None:
    """Two projects of one checkout once became one, and the other was never reconciled."""
    checkout = Path("/srv/shop")
    projects = (
        ProjectSettings(checkout=checkout),
        ProjectSettings(checkout=checkout, subfolder="eu"),
        ProjectSettings(checkout=Path("/home/shop")),
        ProjectSettings(checkout=Path("/home/shop"), ref="next"),
        ProjectSettings(checkout=checkout, name="us"),
    )
    found = named(projects)
    assert tuple(found.values()) == projects
    assert next(iter(found)) == "shop"


def test_what_an_earlier_process_applied_is_known_to_the_next() -> None:
    """A history that was rewritten while the service was down was followed without a word."""
    store = MemoryStore()
    for name, origin, seconds in (("old", "/srv/shop", 0), ("shop", "/srv/shop", 9), ("far", "/srv/shop-eu", 99)):
        lease = store.acquire(name, "a", 60.0)
        store.commit(lease, [PutSource(source_record(origin=origin, revision=name, read_at=at(seconds)))])
    assert last_applied(store, ProjectSettings(checkout=Path("/srv/shop"))) == "shop"
    assert last_applied(store, ProjectSettings(checkout=Path("/srv"), subfolder="shop/")) == "shop"
    assert last_applied(store, ProjectSettings(checkout=Path("/srv/other"))) == ""


def test_the_service_copies_the_record_and_doctor_finds_the_copy(desk: Desk) -> None:
    with closing(desk.store()) as store:
        _back_up(store)
        _back_up(store)
    (copy,) = desk.state.with_name("state.db.d").glob("backups/*.db")
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        desk.state.with_name(name).unlink(missing_ok=True)
    done = desk.reconcile("doctor")
    assert done.code == 1
    assert f"the newest of 1 copies: {copy}" in done.out
    assert "`reconcile recover`" in done.out


def test_a_service_without_projects_says_what_to_write(desk: Desk) -> None:
    config = desk.work / "reconciler.yaml"
    config.write_text("projects: []\n", encoding="utf-8")
    done = desk.started("serve", "--config", str(config))
    assert done.returncode == 1
    assert f"no projects to follow: name one under 'projects' in {config}".encode() in done.stderr
    assert not desk.state.exists()
