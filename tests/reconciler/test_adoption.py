"""What becomes of things that carry our tags and are not in the record."""

from __future__ import annotations

from datetime import timedelta

from drivers.base import Phase
from reconciler.adoption import adopt, adoption_changes, files_should_stay, forgotten, unknown
from reconciler.sweep import GRACE_S
from state.record import Append, Event, Intent, OutputRecord, PutDeployment
from tests.builders import NOON, deployment, deployment_id, deployment_record, recorded

FOUND = {"fake": (deployment(7),)}


def _event(kind: str) -> tuple[int, Event]:
    return 1, Event(at=NOON, kind=kind, model="llm", deployment=deployment_id(7))


def test_what_the_record_never_heard_of_is_taken_over_and_never_deleted_for_that() -> None:
    (record,) = adopt(recorded(), FOUND, NOON).deployments.values()
    assert (record.intent, record.adopted, record.retired_at) == (Intent.CREATE, True, None)


def test_what_was_deleted_and_forgotten_before_is_deleted_again_after_a_grace_time() -> None:
    gone = forgotten([_event("forgotten")])
    (record,) = adopt(recorded(), FOUND, NOON, gone).deployments.values()
    assert (record.intent, record.adopted) == (Intent.DELETE, False)
    assert record.next_call_at == NOON + timedelta(seconds=GRACE_S)


def test_what_a_person_took_out_of_the_record_proves_nothing() -> None:
    assert forgotten([_event("forget"), _event("delete"), _event("created")]) == frozenset()


def test_what_is_recorded_or_of_another_project_is_left_alone() -> None:
    known = recorded(deployment_record(7))
    assert unknown(known, FOUND) == {}
    assert adopt(known, FOUND, NOON) is known
    assert unknown(recorded(), {"fake": (deployment(7, project="shop"),)}) == {}


def test_each_comes_with_an_event_that_says_why() -> None:
    before = recorded()
    for gone, kind, word in (((), "adopted", "not in the record"), ([deployment_id(7)], "returned", "arrived late")):
        put, append = adoption_changes(before, adopt(before, FOUND, NOON, gone), NOON)
        assert isinstance(put, PutDeployment)
        assert isinstance(append, Append)
        assert append.event.kind == kind
        assert word in append.event.text


def test_files_stay_as_they_are_while_something_that_was_found_has_not_said_where_it_answers() -> None:
    found = deployment_record(7, adopted=True, phase=Phase.UNKNOWN, endpoint=None)
    assert "does not say where" in files_should_stay(recorded(found), (), files_epoch=1)
    ready = deployment_record(7, adopted=True, phase=Phase.READY)
    assert files_should_stay(recorded(ready), (), files_epoch=1) == ""


def test_files_stay_as_they_are_where_a_lost_record_could_not_be_made_whole() -> None:
    assert "older than the record" in files_should_stay(recorded(), ("cloud",), files_epoch=3)
    assert files_should_stay(recorded(), ("cloud",), files_epoch=0) == "", "there are none yet"
    written = {"app.env": OutputRecord(path="app.env", checksum="1", written_at=NOON)}
    assert files_should_stay(recorded(outputs=written), ("cloud",), files_epoch=3) == ""
