"""Recorded + observed → known: ignorance changes nothing, evidence is taken in, tombstones are counted."""

from __future__ import annotations

import pytest

from drivers.base import Phase
from reconciler.leaving import REMOVAL_READS
from reconciler.refresh import FORGIVEN_AFTER_S, changes_between, note_wanted, refresh
from state.record import Append, DeploymentRecord, DropModel, Intent, PutDeployment
from tests.builders import NOON, at, deployment_record, endpoint, model_record, observation, recorded
from tests.reconciler.world import SMALL, World

LATER = at(60)


def _seen(record: DeploymentRecord, phase: Phase, **given: object) -> DeploymentRecord:
    id = record.deployment.id
    return refresh(recorded(record), {id: observation(phase, **given)}, LATER).deployments[id]


def test_what_nobody_was_asked_about_stays_as_recorded() -> None:
    known = recorded(deployment_record())
    assert refresh(known, {}, LATER) == known


def test_the_same_again_changes_nothing() -> None:
    record = deployment_record()
    assert _seen(record, Phase.READY) == record


def test_ignorance_changes_the_phase_and_nothing_else() -> None:
    record = deployment_record(request_open=True)
    seen = _seen(record, Phase.UNKNOWN, detail="no route", endpoint=endpoint("http://x/v1/"), handle={"port": "1"})
    assert (seen.phase, seen.detail, seen.phase_since) == (Phase.UNKNOWN, "no route", LATER)
    assert (seen.endpoint, seen.deployment, seen.request_open) == (record.endpoint, record.deployment, True)


def test_ready_is_dated_once() -> None:
    record = deployment_record(phase=Phase.CREATING)
    seen = _seen(record, Phase.READY, endpoint=endpoint())
    assert (seen.ready_at, seen.endpoint, seen.phase_since) == (LATER, endpoint(), LATER)
    assert _seen(deployment_record(), Phase.READY).ready_at == NOON


def test_an_endpoint_is_kept_while_nothing_better_is_known() -> None:
    assert _seen(deployment_record(), Phase.DEGRADED).endpoint == endpoint()


def test_a_handle_is_replaced_only_by_another() -> None:
    record = deployment_record()
    assert dict(_seen(record, Phase.READY, handle={"port": "1"}).deployment.handle) == {"port": "1"}
    assert _seen(record, Phase.READY).deployment.handle == record.deployment.handle


@pytest.mark.parametrize(
    ("intent", "phase", "settled"),
    [
        (Intent.CREATE, Phase.ABSENT, False),  # it may still be on its way
        (Intent.CREATE, Phase.CREATING, True),
        (Intent.CREATE, Phase.READY, True),
        (Intent.CREATE, Phase.UNKNOWN, False),
        (Intent.DELETE, Phase.ABSENT, False),  # as what is half made is
        (Intent.DELETE, Phase.DELETING, True),
        (Intent.DELETE, Phase.READY, False),
        (Intent.DELETE, Phase.UNKNOWN, False),
    ],
)
def test_an_unanswered_call_is_closed_by_what_it_brought_about(intent: Intent, phase: Phase, settled: bool) -> None:
    assert _seen(deployment_record(intent=intent, request_open=True), phase).request_open is not settled


def test_steady_service_forgives_earlier_failures() -> None:
    known = recorded(deployment_record(), models=(model_record(attempts=3, next_try_at=at(9)),))
    assert refresh(known, {}, at(FORGIVEN_AFTER_S - 1)).models["llm"].attempts == 3
    forgiven = refresh(known, {}, at(FORGIVEN_AFTER_S)).models["llm"]
    assert (forgiven.attempts, forgiven.next_try_at) == (0, None)


def test_a_phase_that_changed_is_an_event_and_one_that_did_not_is_none() -> None:
    old = recorded(deployment_record(phase=Phase.CREATING))
    id = next(iter(old.deployments))
    ready = refresh(old, {id: observation(detail="it answers")}, LATER)
    put, append = changes_between(old, ready, LATER)
    assert isinstance(put, PutDeployment)
    assert isinstance(append, Append)
    assert (append.event.kind, append.event.text) == ("ready", "it answers")
    assert changes_between(ready, refresh(ready, {id: observation(detail="it answers")}, at(99)), at(99)) == ()


# -- tombstones -------------------------------------------------------------------------------------------------------


def test_a_missing_model_is_counted_from_the_first_good_reading() -> None:
    known = note_wanted(recorded(deployment_record()), (), NOON)
    assert (known.models["llm"].missing_since, known.models["llm"].missing_reads) == (NOON, 1)
    again = note_wanted(known, (), LATER)
    assert (again.models["llm"].missing_since, again.models["llm"].missing_reads) == (NOON, 2)


def test_a_model_that_is_back_has_no_tombstone_and_no_yes_to_its_removal() -> None:
    gone = model_record(missing_since=NOON, missing_reads=2, removal_confirmed_at=NOON, attempts=1)
    known = note_wanted(recorded(deployment_record(), models=(gone,)), ("llm",), LATER)
    assert known.models["llm"] == model_record(attempts=1)


def test_readings_are_counted_no_further_than_they_matter() -> None:
    """Counting for ever made every pass write, as long as a model was kept for a service or by protection."""
    known = recorded(deployment_record())
    for _ in range(REMOVAL_READS):
        known = note_wanted(known, (), NOON)
    assert changes_between(known, note_wanted(known, (), LATER), LATER) == ()


def test_the_book_of_a_model_is_closed_when_everything_of_it_is_gone() -> None:
    known = recorded(models=(model_record(), model_record("kept", protected=True)))
    after = note_wanted(known, (), NOON)
    assert set(after.models) == {"kept"}
    assert DropModel("llm") in changes_between(known, after, NOON)


def test_a_wanted_model_without_a_book_is_given_none() -> None:
    """Nothing is written for what is as expected."""
    known = recorded(deployment_record())
    assert changes_between(known, note_wanted(known, ("llm",), NOON), NOON) == ()


def test_a_pass_after_a_removal_writes_nothing() -> None:
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    world.commit(llm=SMALL)
    world.passes()
    assert set(world.store.load("demo").models) == {"llm"}
    serial = world.store.load("demo").serial
    for _ in range(5):
        world.later(10)
        world.engine.run_once()
    assert world.store.load("demo").serial == serial
