"""What becomes of things that carry our tags and are not in the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from drivers.base import Phase
from reconciler.adoption import (
    adopt,
    adoption_changes,
    doubted,
    files_should_stay,
    forgotten,
    is_behind,
    unknown,
)
from reconciler.sweep import GRACE_S
from state.record import Append, DeploymentRecord, DropOutput, Event, Intent, ModelRecord, OutputRecord, PutDeployment
from state.store import Lease
from tests.builders import NOON, deployment, deployment_id, deployment_record, recorded

FOUND = {"fake": (deployment(7),)}


def _lease(epoch: int, *, succeeds: int) -> Lease:
    return Lease(project="demo", holder="a", epoch=epoch, ttl_s=60, acquired_monotonic=0, succeeds=succeeds)


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


def _stay(*records: DeploymentRecord, unlisted: Sequence[str] = (), waiting: Sequence[str] = (), **given: Any) -> str:
    known = recorded(*records, **{key: value for key, value in given.items() if key != "files_epoch"})
    return files_should_stay(known, unlisted, files_epoch=given.get("files_epoch", 3), without_address=waiting)


WRITTEN = {"app.env": OutputRecord(path="app.env", checksum="1", written_at=NOON)}


def test_files_stay_as_they_are_while_something_that_was_found_has_not_said_where_it_answers() -> None:
    found = deployment_record(7, adopted=True, phase=Phase.UNKNOWN, endpoint=None)
    assert "does not say where" in _stay(found, outputs=WRITTEN)
    assert _stay(deployment_record(7, adopted=True, phase=Phase.READY)) == ""


@pytest.mark.parametrize("phase", [Phase.ABSENT, Phase.CREATING, Phase.UNKNOWN])
def test_after_a_loss_what_was_found_keeps_its_address_whatever_is_said_of_it_just_now(phase: Phase) -> None:
    """Reads lag: what a listing shows may be absent or starting by an older answer (a seed of the simulator)."""
    found = deployment_record(7, adopted=True, phase=phase, endpoint=None)
    assert "does not say where" in _stay(found, waiting=["llm"])
    assert _stay(replace(found, phase=Phase.FAILED), waiting=["llm"]) == "", "that one answers nobody"


def test_after_a_loss_also_what_the_record_has_may_be_named_by_files_that_are_newer() -> None:
    started = deployment_record(7, phase=Phase.UNKNOWN, endpoint=None)
    assert "does not say where" in _stay(started, waiting=["llm"])
    assert _stay(started, waiting=["llm"], outputs=WRITTEN) == "", "nothing is lost"


def test_files_stay_while_a_record_that_went_back_hears_of_something_that_starts() -> None:
    """It may have been ready long ago and be named in the files: a platform may answer from a copy of its own."""
    starting = deployment_record(7, phase=Phase.CREATING, endpoint=None, ready_at=None, active=False)
    unsure = replace(starting, doubted_at=NOON)
    given: Any = {"waiting": ["llm"], "outputs": WRITTEN}
    assert "does not say where" in _stay(unsure, unlisted=[unsure.driver], **given)
    assert _stay(unsure, **given) == "", "the doubts have settled"
    assert _stay(starting, unlisted=[unsure.driver], **given) == ""


def test_a_record_is_behind_files_of_a_later_lease_or_serial() -> None:
    now, lease = recorded(epoch=4, serial=20), _lease(4, succeeds=3)
    assert not is_behind(now, lease, files_epoch=3, files_serial=20)
    assert not is_behind(now, lease, files_epoch=0, files_serial=0), "without files nobody knows"
    assert not is_behind(now, lease, files_epoch=2, files_serial=19)
    assert is_behind(now, _lease(5, succeeds=3), files_epoch=4, files_serial=11), "a serial comes a second time"
    assert is_behind(now, lease, files_epoch=3, files_serial=21)


def test_everything_in_a_record_that_went_back_is_doubted_and_what_is_found_as_well() -> None:
    before = recorded(deployment_record(1), deployment_record(2, phase=Phase.CREATING))
    changes = [change for change in doubted(before, NOON) if isinstance(change, PutDeployment)]
    assert [change.record for change in changes] == [
        replace(record, doubted_at=NOON) for record in before.deployments.values()
    ]
    (found,) = adopt(recorded(), FOUND, NOON).deployments.values()
    assert found.doubted_at == NOON
    (returned,) = adopt(recorded(), FOUND, NOON, [found.deployment.id]).deployments.values()
    assert returned.doubted_at is None


def test_files_stay_as_they_are_where_a_lost_record_could_not_be_made_whole() -> None:
    assert "the record does not know them" in _stay(unlisted=["cloud"], waiting=["llm"])
    assert _stay(unlisted=["cloud"], waiting=["llm"], files_epoch=0) == "", "there are none yet"
    assert _stay(unlisted=["cloud"], waiting=["llm"], outputs=WRITTEN) == ""


def test_nobody_waits_for_a_silent_platform_where_no_address_would_get_lost() -> None:
    """A cloud that this host has no credentials for must not hold back what runs here."""
    assert _stay(unlisted=["cloud"]) == ""
    given_up = ModelRecord(key="llm", halted="the file must change")
    assert _stay(unlisted=["cloud"], waiting=["llm"], models=[given_up]) == ""


def test_an_older_record_without_deployments_does_not_know_what_the_files_name() -> None:
    output = OutputRecord(path="/values/app.env", checksum="c", written_at=NOON)
    empty = replace(recorded(), outputs={output.path: output})
    assert list(doubted(empty, NOON)) == [DropOutput(output.path)]
    known = replace(recorded(deployment_record()), outputs={output.path: output})
    assert not any(isinstance(change, DropOutput) for change in doubted(known, NOON))
