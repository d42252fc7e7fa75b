"""What is written before a call and learnt from its answer."""

from __future__ import annotations

import random

import pytest

from drivers.base import Phase
from drivers.errors import Ambiguous, Denied, DriverError, Exhausted, Rejected, Taken, Unavailable
from reconciler import intents
from reconciler.backoff import before_next_attempt_s
from state.record import DeploymentRecord, Intent
from tests.builders import LINEAGE, NOON, at, deployment_record, endpoint, model_record, model_spec, observation
from tests.reconciler.wishes import wish

LATER = at(60)
NEW = wish(spec=model_spec(context_size=2048))


def _new(seed: int = 1) -> DeploymentRecord:
    return intents.new_deployment(
        lineage=LINEAGE,
        project="demo",
        model="llm",
        driver="llamacpp",
        spec=model_spec(),
        now=NOON,
        random_bytes=random.Random(seed).randbytes,
    )


def test_a_new_deployment_has_its_name_before_anything_is_called() -> None:
    record = _new()
    assert len(record.deployment.id) == 26
    assert record.deployment.name
    assert (record.intent, record.request_open, record.issued_at) == (Intent.CREATE, True, NOON)
    assert (record.phase, record.active, record.ready_at) == (Phase.UNKNOWN, False, None)


def test_two_deployments_of_one_moment_have_different_names() -> None:
    assert _new(1).deployment.name != _new(2).deployment.name


def test_the_same_request_again_keeps_id_and_name() -> None:
    record = deployment_record()
    again = intents.before_create(record, LATER)
    assert again.deployment == record.deployment
    assert (again.issued_at, again.request_open) == (LATER, True)


def test_what_is_to_be_deleted_serves_no_more() -> None:
    record = intents.before_delete(deployment_record(), LATER)
    assert (record.intent, record.active, record.request_open) == (Intent.DELETE, False, True)


def test_an_update_is_open_until_the_platform_confirms_it() -> None:
    spec = model_spec(context_size=9)
    open_ = intents.before_update(deployment_record(applied_digest="old"), spec, LATER)
    assert (open_.deployment.spec, open_.applied_digest, open_.request_open) == (spec, intents.UNCONFIRMED, True)
    done = intents.after_answer(open_, observation(), LATER)
    assert (done.applied_digest, done.request_open) == (spec.digest, False)


def test_an_answer_closes_the_call_and_its_back_off() -> None:
    waiting = deployment_record(
        phase=Phase.CREATING, failure="throttled", failed_calls=3, next_call_at=LATER, request_open=True
    )
    done = intents.after_answer(waiting, observation(endpoint=endpoint(), handle={"port": "1"}), LATER)
    assert (done.failure, done.failed_calls, done.next_call_at, done.request_open) == ("", 0, None, False)
    assert (done.phase, done.ready_at, done.endpoint) == (Phase.READY, LATER, endpoint())
    assert dict(done.deployment.handle) == {"port": "1"}


@pytest.mark.parametrize(
    ("error", "stays_open"),
    [(Ambiguous("x"), True), (Unavailable("x"), False), (Denied("x"), False), (Exhausted("x"), False)],
)
def test_only_an_ambiguous_call_stays_open(error: DriverError, stays_open: bool) -> None:
    failed = intents.after_error(deployment_record(request_open=True), error, LATER, local=True)
    assert failed.request_open is stays_open
    assert (failed.failure, failed.failed_calls) == ("x", 1)
    assert failed.next_call_at is not None
    assert failed.next_call_at > LATER
    assert failed.phase is Phase.READY, "an error is no observation"


def test_a_rejected_create_can_never_become_ready() -> None:
    failed = intents.after_error(deployment_record(phase=Phase.ABSENT), Rejected("bad flag"), LATER, local=True)
    assert (failed.phase, failed.detail, failed.phase_since) == (Phase.FAILED, "bad flag", LATER)
    assert "until the file changes" in intents.book_after_error(model_record(), Rejected("bad flag")).halted


def test_one_whose_name_is_taken_is_given_up_and_the_model_is_not() -> None:
    error = Taken("the name belongs to somebody else")
    failed = intents.after_error(deployment_record(phase=Phase.ABSENT), error, LATER, local=False)
    assert (failed.intent, failed.request_open, failed.next_call_at) == (Intent.DELETE, False, None)
    assert intents.book_after_error(model_record(), error) == model_record()


@pytest.mark.parametrize(
    "error", [Rejected("no such type"), Taken("somebody took its tags away"), Ambiguous("silence")]
)
def test_a_change_in_place_that_was_refused_leaves_what_serves_as_it_was(error: DriverError) -> None:
    serving = deployment_record(active=True, phase=Phase.READY)
    updating = intents.before_update(serving, model_spec(context_size=8192), NOON)
    failed = intents.after_error(updating, error, LATER, local=False)
    assert (failed.phase, failed.active, failed.intent) == (Phase.READY, True, Intent.CREATE)
    assert failed.failure == str(error)


def test_a_rejected_delete_says_nothing_about_the_model() -> None:
    leaving = deployment_record(intent=Intent.DELETE)
    assert intents.after_error(leaving, Rejected("no"), LATER, local=True).phase is Phase.READY


def test_other_errors_halt_nothing() -> None:
    assert intents.book_after_error(model_record(), Unavailable("x")) == model_record()


def test_the_platforms_own_wish_is_respected() -> None:
    failed = intents.after_error(deployment_record(), Unavailable("x", retry_after_s=500), LATER, local=True)
    assert failed.next_call_at == at(560)


def test_the_platforms_own_wish_is_not_taken_for_days() -> None:
    failed = intents.after_error(deployment_record(), Unavailable("x", retry_after_s=999_999), LATER, local=True)
    assert failed.next_call_at == at(60 + 3600)


def test_attempts_count_per_spec_and_each_waits_longer() -> None:
    first = intents.one_more_attempt(model_record(halted="given up", attempts=4, attempts_digest="old"), NEW, NOON)
    assert (first.attempts, first.attempts_digest, first.halted) == (1, NEW.spec.digest, "")
    second = intents.one_more_attempt(first, NEW, NOON)
    assert second.attempts == 2
    assert second.next_try_at == at(before_next_attempt_s(2))
    assert first.next_try_at is not None
    assert second.next_try_at > first.next_try_at


def test_a_switch_dates_the_retirement_once() -> None:
    retired = intents.switched(deployment_record(), serves=False, now=LATER)
    assert (retired.active, retired.retired_at) == (False, LATER)
    assert intents.switched(retired, serves=False, now=at(99)) == retired
    back = intents.switched(retired, serves=True, now=at(99))
    assert (back.active, back.retired_at) == (True, None)
    assert intents.switched(back, serves=True, now=at(100)) == back
