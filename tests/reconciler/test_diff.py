"""The decision table: total, and each row as design says it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from drivers.base import Capabilities, ModelSpec, Phase
from reconciler.backoff import MAX_ATTEMPTS
from reconciler.diff import TABLE, Relation, diff
from reconciler.moment import Moment, Removals, Rules, Unlisted
from reconciler.options import Level, Option
from reconciler.plan import Action, Plan
from state.record import DeploymentRecord, Intent, ModelRecord, Recorded
from tests.builders import NOON, deployment_id, deployment_record, model_record, model_spec, place, recorded
from tests.reconciler.wishes import wish, wishes

SETTLE_S, START_S, GRACE_S, BAKE_S, REMOVAL_S = 60.0, 900.0, 30.0, 120.0, 600.0
LONG_AGO = NOON - timedelta(days=1)
OLD, NEW = model_spec(context_size=1024), model_spec(context_size=2048)
FIRST, SECOND = deployment_id(1), deployment_id(2)


def _rules(updatable: frozenset[str] = frozenset(), inert: frozenset[str] = frozenset()) -> Rules:
    return Rules(
        capabilities=Capabilities(
            updatable=updatable, settle_s=SETTLE_S, startup_timeout_s=START_S, degraded_grace_s=GRACE_S
        ),
        inert=inert.__contains__,
        bake_s=BAKE_S,
        removal_grace_s=REMOVAL_S,
    )


def _moment(rules: Rules | None = None, **given: Any) -> Moment:
    return Moment(now=NOON, rules=dict.fromkeys(("llamacpp", "aws-ec2"), rules or _rules()), **given)


def _known(*records: DeploymentRecord, book: ModelRecord | None = None) -> Recorded:
    return recorded(*records, models=(book,) if book else ())


def _one(phase: Phase, *, number: int = 1, of: ModelSpec = OLD, **given: Any) -> DeploymentRecord:
    """A deployment of long ago that serves nobody, unless told otherwise."""
    ready = phase in (Phase.READY, Phase.DEGRADED)
    values = {
        "active": False,
        "ready_at": LONG_AGO if ready else None,
        "issued_at": LONG_AGO,
        "created_at": LONG_AGO,
        "phase_since": LONG_AGO,
    }
    return deployment_record(number, phase=phase, spec=of, **(values | given))


def _plan(want: ModelSpec | None, *records: DeploymentRecord, book: ModelRecord | None = None, **given: Any) -> Plan:
    desired = wishes(wish("llm", want)) if want is not None else wishes()
    return diff(desired, _known(*records, book=book), _moment(**given), "r1")


def _actions(plan: Plan) -> list[str]:
    return [step.action.value for step in plan.steps]


def test_the_table_has_an_answer_for_every_relation_in_every_phase() -> None:
    assert set(TABLE) == set(product(Relation, Phase))


@pytest.mark.parametrize("wanted", [None, OLD, NEW], ids=["unwanted", "same", "other"])
def test_every_combination_gives_a_plan_that_keeps_the_rules(wanted: ModelSpec | None) -> None:
    """Total, never more than two, nothing on ignorance, no delete of what serves unless the model itself goes."""
    for phase, intent, active, ready in product(Phase, Intent, (True, False), (None, LONG_AGO)):
        first = _one(phase, active=active, intent=intent, ready_at=ready)
        for second in (None, *(_one(other, number=2, of=NEW, ready_at=ready) for other in Phase)):
            records = [first] if second is None else [first, second]
            for removals in Removals:
                _check(_plan(wanted, *records, removals=removals), records, wanted, removals)


def _check(plan: Plan, records: list[DeploymentRecord], wanted: ModelSpec | None, removals: Removals) -> None:
    by_id = {each.deployment.id: each for each in records}
    begun = [step for step in plan.steps if step.action is Action.REPLACE]
    begun += [step for step in plan.steps if step.action is Action.CREATE and step.deployment is None]
    assert len(records) + len(begun) <= 2 or not begun, f"a third deployment: {records}"
    assert set(plan.routes.values()) <= set(by_id)
    for step in plan.steps:
        acted = by_id.get(step.deployment or "")
        if acted is None or step.action is Action.WAIT:
            continue
        assert acted.phase is not Phase.UNKNOWN, f"acted on ignorance: {records}"
        if step.action is not Action.DELETE or acted.intent is Intent.DELETE:
            continue
        assert wanted is None or not acted.active, f"deleted what serves: {records}"
        if wanted is None:
            assert removals is not Removals.HELD, f"removed without a yes: {records}"


def test_a_model_that_nothing_serves_is_created() -> None:
    plan = _plan(OLD)
    assert _actions(plan) == ["create"]
    assert plan.steps[0].deployment is None


def test_what_is_ready_and_unchanged_is_left_alone_and_serves() -> None:
    plan = _plan(OLD, _one(Phase.READY))
    assert plan.steps == ()
    assert plan.routes == {"llm": FIRST}
    assert plan.unchanged == ("llm",)


def test_a_changed_key_is_replaced_beside_and_the_old_one_serves_on() -> None:
    plan = _plan(NEW, _one(Phase.READY, active=True))
    assert _actions(plan) == ["replace"]
    assert [(change.key, change.old, change.new) for change in plan.steps[0].changes] == [
        ("context_size", "1024", "2048")
    ]
    assert plan.routes == {"llm": FIRST}


def test_another_platform_is_a_replacement_too() -> None:
    desired = wishes(wish("llm", OLD, driver="aws-ec2"))
    plan = diff(desired, _known(_one(Phase.READY, active=True)), _moment(), "r1")
    assert _actions(plan) == ["replace"]
    assert plan.steps[0].driver == "aws-ec2"
    assert plan.steps[0].cause == "the platform changed: llamacpp → aws-ec2"


def test_keys_that_change_in_place_are_updated() -> None:
    rules = _rules(updatable=frozenset({"context_size"}))
    assert _actions(_plan(NEW, _one(Phase.READY, active=True), rules=rules)) == ["update"]


def test_keys_that_mean_nothing_on_the_platform_never_replace_anything() -> None:
    rules = _rules(inert=frozenset({"context_size"}))
    assert _actions(_plan(NEW, _one(Phase.READY, active=True), rules=rules)) == ["update"]


def test_the_switch_comes_first_and_the_old_one_goes_after_the_bake_time() -> None:
    old = _one(Phase.READY, active=True)
    new = _one(Phase.READY, number=2, of=NEW)
    switching = _plan(NEW, old, new)
    assert switching.steps == ()
    assert switching.routes == {"llm": SECOND}
    fresh = replace(old, active=False, retired_at=NOON - timedelta(seconds=BAKE_S - 1))
    baking = _plan(NEW, fresh, replace(new, active=True))
    assert _actions(baking) == ["wait"]
    assert baking.steps[0].not_before == NOON + timedelta(seconds=1)
    baked = replace(fresh, retired_at=NOON - timedelta(seconds=BAKE_S))
    assert _actions(_plan(NEW, baked, replace(new, active=True))) == ["delete"]


def test_what_a_service_still_uses_is_not_deleted() -> None:
    old = _one(Phase.READY, retired_at=LONG_AGO)
    new = _one(Phase.READY, number=2, of=NEW, active=True)
    plan = _plan(NEW, old, new, busy={FIRST: "service app still runs with its address"})
    assert [(step.action, step.cause) for step in plan.steps] == [
        (Action.WAIT, "service app still runs with its address")
    ]


def test_unknown_never_acts() -> None:
    for want in (None, OLD, NEW):
        assert set(_actions(_plan(want, _one(Phase.UNKNOWN, active=True), removals=Removals.CONFIRMED))) == {"wait"}


@pytest.mark.parametrize(("detail", "words"), [("no credentials", " how it is: no credentials"), ("", " how it is")])
def test_what_is_unknown_is_waited_for_in_the_platforms_words_where_it_has_any(detail: str, words: str) -> None:
    plan = _plan(OLD, _one(Phase.UNKNOWN, detail=detail))
    assert plan.steps[0].cause == f"the platform does not say{words}"


def test_a_removal_needs_two_readings_and_the_grace_time() -> None:
    serving = _one(Phase.READY, active=True)
    once = ModelRecord(key="llm", missing_since=LONG_AGO, missing_reads=1)
    assert _actions(_plan(None, serving, book=once)) == ["wait"]
    young = ModelRecord(key="llm", missing_since=NOON - timedelta(seconds=REMOVAL_S - 1), missing_reads=9)
    assert _actions(_plan(None, serving, book=young)) == ["wait"]
    ripe = ModelRecord(key="llm", missing_since=NOON - timedelta(seconds=REMOVAL_S), missing_reads=2)
    plan = _plan(None, serving, book=ripe)
    assert _actions(plan) == ["delete"]
    assert plan.routes == {}


def test_without_a_yes_a_person_is_never_assumed_to_have_said_it() -> None:
    ripe = ModelRecord(key="llm", missing_since=LONG_AGO, missing_reads=9)
    assert _actions(_plan(None, _one(Phase.READY), book=ripe, removals=Removals.HELD)) == ["wait"]


def test_a_protected_model_outlives_its_file() -> None:
    book = ModelRecord(key="llm", protected=True, missing_since=LONG_AGO, missing_reads=9)
    plan = _plan(None, _one(Phase.READY, active=True), book=book, removals=Removals.CONFIRMED)
    assert _actions(plan) == ["wait"]
    assert "protected" in plan.steps[0].cause
    assert plan.routes == {"llm": FIRST}


def test_what_is_known_by_its_tags_only_waits_for_a_person() -> None:
    book = ModelRecord(key="llm", missing_since=LONG_AGO, missing_reads=9)
    found = _one(Phase.READY, adopted=True)
    assert _actions(_plan(None, found, book=book)) == ["wait"]
    assert _actions(_plan(None, found, book=book, removals=Removals.CONFIRMED)) == ["delete"]


def test_what_is_known_by_its_tags_only_and_wanted_by_nobody_serves_nobody() -> None:
    assert _plan(None, _one(Phase.READY, adopted=True)).routes == {}
    assert _plan(NEW, _one(Phase.READY, adopted=True)).routes == {"llm": FIRST}, "services may be pointed at it"


def test_what_was_found_serves_instead_of_one_that_only_an_older_record_has() -> None:
    gone = _one(Phase.ABSENT, active=True, of=NEW)
    found = _one(Phase.READY, number=2, adopted=True)
    assert _plan(model_spec(context_size=5), gone, found).routes == {"llm": deployment_id(2)}


def test_nothing_new_is_made_where_more_of_ours_may_be_than_is_recorded() -> None:
    unlisted = {"llamacpp": Unlisted("it does not say what it has", NOON + timedelta(seconds=10))}
    assert _actions(_plan(OLD, unlisted=unlisted)) == ["wait"]
    assert _actions(_plan(NEW, _one(Phase.READY, active=True), unlisted=unlisted)) == ["wait"]
    begun = _one(Phase.ABSENT, request_open=True)
    assert _actions(_plan(OLD, begun, unlisted=unlisted)) == ["create"], "begun is recorded"
    beside = _one(Phase.READY, number=2, of=NEW, active=True)
    assert _actions(_plan(OLD, begun, beside, unlisted=unlisted)) == ["wait"], "a third one may be there"
    assert _actions(_plan(OLD, unlisted={"aws-ec2": unlisted["llamacpp"]})) == ["create"]


@pytest.mark.parametrize("phase", [Phase.ABSENT, Phase.DEGRADED])
def test_what_is_wanted_again_and_broken_goes_while_the_other_one_serves(phase: Phase) -> None:
    """The file goes back to a spec whose deployment vanished meanwhile: each of the two waited for the other."""
    broken = _one(phase, driver="aws-ec2", phase_since=LONG_AGO, ready_at=LONG_AGO, retired_at=LONG_AGO)
    serving = _one(Phase.READY, number=2, driver="aws-ec2", of=NEW, active=True)
    desired = wishes(wish("llm", OLD, driver="aws-ec2"))
    plan = diff(desired, _known(broken, serving), _moment(Rules(capabilities=Capabilities())), "r1")
    assert [(step.action, step.deployment) for step in plan.steps if step.action is not Action.WAIT] == [
        (Action.DELETE, FIRST)
    ]
    assert plan.routes == {"llm": deployment_id(2)}


def test_a_refused_model_stays_as_it_is() -> None:
    desired = wishes(refused={"llm": "unknown option"})
    serving = _one(Phase.READY, active=True)
    plan = diff(desired, _known(serving), _moment(removals=Removals.CONFIRMED), "r1")
    assert [(step.action, step.deployment) for step in plan.steps] == [(Action.WAIT, None)]
    assert "refused" in plan.steps[0].cause
    assert plan.routes == {"llm": FIRST}


def test_creating_waits_until_its_deadline_and_is_deleted_then() -> None:
    young = _one(Phase.CREATING, issued_at=NOON - timedelta(seconds=START_S - 1))
    assert _actions(_plan(OLD, young)) == ["wait"]
    old = _one(Phase.CREATING, issued_at=NOON - timedelta(seconds=START_S))
    assert _actions(_plan(OLD, old)) == ["delete"]


def test_the_file_sets_the_patience_with_a_start() -> None:
    hasty = model_spec(options={"cloud.startup-timeout": "10s"})
    started = _one(Phase.CREATING, of=hasty, issued_at=NOON - timedelta(seconds=10))
    assert _actions(_plan(hasty, started)) == ["delete"]


def test_a_failed_attempt_that_never_served_goes_before_the_next_one() -> None:
    failed = _one(Phase.FAILED)
    assert _actions(_plan(OLD, failed)) == ["delete"]
    leaving = replace(failed, intent=Intent.DELETE, phase=Phase.DELETING)
    assert "create" not in _actions(_plan(OLD, leaving))


@pytest.mark.parametrize(
    "serving",
    [
        {"active": True, "ready_at": LONG_AGO},
        {"ready_at": LONG_AGO},  # the files were written, and nobody lived to record it (rough seed 4561)
        {"doubted_at": LONG_AGO},  # the record went back to before it was ready (rough seeds 6631 and 8671)
    ],
)
def test_a_failed_one_that_serves_or_may_do_so_is_replaced_before_it_goes(serving: dict[str, Any]) -> None:
    plan = _plan(OLD, _one(Phase.FAILED, **serving))
    assert _actions(plan) == ["replace"]
    assert plan.routes == {"llm": FIRST}
    retired = _one(Phase.FAILED, **(serving | {"active": False, "retired_at": LONG_AGO}))
    assert _actions(_plan(OLD, retired)) == ["delete"]


def test_one_that_starts_and_may_have_served_before_is_no_attempt_that_goes_first() -> None:
    """The record went back to before it was ready, and the platform answers from an old copy (rough seed 1706)."""
    starting = _one(Phase.CREATING, issued_at=NOON)
    assert _actions(_plan(NEW, starting)) == ["delete", "wait"]
    assert _actions(_plan(NEW, replace(starting, doubted_at=NOON))) == ["replace"]


def test_what_may_have_served_and_is_not_heard_of_keeps_its_address() -> None:
    silent = _one(Phase.UNKNOWN, ready_at=LONG_AGO)
    assert _plan(OLD, silent).routes == {"llm": FIRST}


@pytest.mark.parametrize("phase", [Phase.CREATING, Phase.READY, Phase.DEGRADED])
def test_a_replacement_on_its_way_is_changed_in_place(phase: Phase) -> None:
    """While it started it waited for nothing and had no deadline, and once it was ready it went and was begun anew."""
    rules = _rules(frozenset({"runtime_flags"}))
    serving, coming = _one(Phase.READY, active=True), _one(phase, number=2, of=model_spec(context_size=2048))
    want = wish("llm", model_spec(context_size=2048, runtime_flags=("--mlock",)))
    plan = diff(wishes(want), _known(serving, coming), _moment(rules=rules), "r1")
    (step,) = plan.steps
    assert (step.action, step.deployment) == (Action.UPDATE, coming.deployment.id)
    assert plan.routes == {"llm": FIRST}


def test_recreate_lets_a_replacement_come_that_is_on_its_way() -> None:
    rules = _rules(inert=frozenset({"cloud.update-strategy"}))
    serving, coming = _one(Phase.READY, active=True), _one(Phase.CREATING, number=2, of=model_spec(context_size=2048))
    plan = _strategic("recreate", serving, coming, rules=rules)
    assert _actions(plan) == ["update"]
    assert plan.routes == {"llm": FIRST}


# -- cloud.update-strategy ---------------------------------------------------------------------------------------------


def _strategic(text: str, *records: DeploymentRecord, book: ModelRecord | None = None, **given: Any) -> Plan:
    spec = model_spec(context_size=2048, options={"cloud.update-strategy": text})
    asked = Option("cloud.update-strategy", text, text, place(), Level.MODEL)
    want = wish("llm", spec, options={"cloud.update-strategy": asked})
    return diff(wishes(want), _known(*records, book=book), _moment(**given), "r1")


def test_recreate_deletes_the_old_one_first() -> None:
    plan = _strategic("recreate", _one(Phase.READY, active=True))
    (step,) = plan.steps
    assert (step.action, step.makes_way, step.insists) == (Action.DELETE, True, False)
    assert step.cause == "the file changed; it goes first (cloud.update-strategy=recreate)"
    assert [change.key for change in step.changes] == ["context_size", "cloud.update-strategy"]
    assert plan.routes == {}
    leaving = _one(Phase.DELETING, intent=Intent.DELETE)
    assert "create" not in _actions(_strategic("recreate", leaving))
    assert _actions(_strategic("recreate")) == ["create"]


def test_recreate_waits_for_whoever_uses_the_old_one_but_not_for_ever() -> None:
    busy = {FIRST: "service app runs with its address"}
    fresh = _strategic("recreate", _one(Phase.READY, active=True), busy=busy)
    assert (_actions(fresh), fresh.routes) == (["wait"], {})
    retired = _one(Phase.READY, retired_at=NOON - timedelta(seconds=BAKE_S - 1))
    assert _actions(_strategic("recreate", retired, busy=busy)) == ["wait"]
    (step,) = _strategic("recreate", replace(retired, retired_at=NOON - timedelta(seconds=BAKE_S)), busy=busy).steps
    assert (step.action, step.insists) == (Action.DELETE, True)


@pytest.mark.parametrize(
    "given",
    [
        {"book": model_record(attempts=MAX_ATTEMPTS, attempts_digest="")},
        {"unlisted": {"llamacpp": Unlisted("it did not say", NOON)}},
    ],
)
def test_recreate_takes_nothing_away_while_nothing_new_can_be_made(given: dict[str, Any]) -> None:
    spec = model_spec(context_size=2048, options={"cloud.update-strategy": "recreate"})
    if "book" in given:
        given = {"book": replace(given["book"], attempts_digest=spec.digest)}
    plan = _strategic("recreate", _one(Phase.READY, active=True), **given)
    assert set(_actions(plan)) == {"wait"}
    assert plan.routes == {"llm": FIRST}


def test_a_move_to_another_platform_makes_the_new_one_first_all_the_same() -> None:
    elsewhere = _one(Phase.READY, active=True, driver="aws-ec2")
    assert _actions(_strategic("recreate", elsewhere)) == ["replace"]


def test_recreate_changes_in_place_what_can_be() -> None:
    rules = _rules(frozenset({"context_size"}), frozenset({"cloud.update-strategy"}))
    assert _actions(_strategic("recreate", _one(Phase.READY, active=True), rules=rules)) == ["update"]


def test_recreate_replaces_what_broke_in_the_same_way() -> None:
    broken = _one(Phase.FAILED, active=True, ready_at=LONG_AGO, detail="out of memory")
    spec = model_spec(context_size=2048, options={"cloud.update-strategy": "recreate"})
    broken = replace(broken, deployment=replace(broken.deployment, spec=spec))
    (step,) = _strategic("recreate", broken).steps
    assert (step.action, step.makes_way) == (Action.DELETE, True)


def test_recreate_takes_up_a_deletion_that_does_not_end() -> None:
    """The record went back to before it was begun, and nothing else would make room (mixed seed 4249)."""
    stuck = _one(Phase.DELETING, active=True, ready_at=LONG_AGO)
    (step,) = _strategic("recreate", stuck).steps
    assert (step.action, step.makes_way) == (Action.DELETE, True)
    fresh = replace(stuck, phase_since=NOON)
    assert _actions(_strategic("recreate", fresh)) == ["wait"]


def test_in_place_and_nothing_else() -> None:
    serving = _one(Phase.READY, active=True)
    plan = _strategic("in-place", serving)
    (step,) = plan.steps
    assert step.action is Action.WAIT
    said = "context_size, cloud.update-strategy cannot change in place, and cloud.update-strategy=in-place allows"
    assert step.cause.startswith(said)
    assert plan.routes == {"llm": FIRST}


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ABSENT])
def test_in_place_means_what_is_there(phase: Phase) -> None:
    """A commit that would have mended what had failed once waited for it to change in place, for ever."""
    assert _actions(_strategic("in-place", _one(phase, active=True))) == ["replace"]


def test_attempts_back_off_and_end() -> None:
    digest = OLD.digest
    pausing = ModelRecord(key="llm", attempts=2, attempts_digest=digest, next_try_at=NOON + timedelta(seconds=5))
    plan = _plan(OLD, book=pausing)
    assert _actions(plan) == ["wait"]
    assert plan.steps[0].not_before == pausing.next_try_at
    spent = replace(pausing, attempts=MAX_ATTEMPTS, next_try_at=LONG_AGO)
    assert "gave up" in _plan(OLD, book=spent).steps[0].cause
    assert _actions(_plan(NEW, book=spent)) == ["create"], "a new commit may be tried at once"


def test_an_absent_one_that_was_never_there_is_asked_for_again_under_its_own_name() -> None:
    for never in (_one(Phase.ABSENT, request_open=True), _one(Phase.ABSENT, failed_calls=2, failure="throttled")):
        plan = _plan(OLD, never)
        assert [(step.action, step.deployment) for step in plan.steps] == [(Action.CREATE, FIRST)]


def test_one_that_vanished_is_only_believed_gone_after_the_settle_time() -> None:
    fresh = _one(Phase.ABSENT, ready_at=LONG_AGO, phase_since=NOON - timedelta(seconds=SETTLE_S - 1), active=True)
    assert _actions(_plan(OLD, fresh)) == ["wait"]
    certain = replace(fresh, phase_since=NOON - timedelta(seconds=SETTLE_S))
    assert _actions(_plan(OLD, certain)) == ["replace"]


def test_the_record_of_an_absent_one_is_kept_while_a_late_call_could_bring_it_back() -> None:
    late = _one(Phase.ABSENT, intent=Intent.DELETE, issued_at=NOON - timedelta(seconds=SETTLE_S - 1))
    assert _actions(_plan(None, late)) == ["wait"]
    assert _actions(_plan(None, replace(late, issued_at=NOON - timedelta(seconds=SETTLE_S)))) == ["forget"]


@pytest.mark.parametrize("unanswered", [{"request_open": True}, {"failure": "AWS was busy"}])
def test_absent_is_not_forgotten_before_a_deletion_was_answered(unanswered: dict[str, Any]) -> None:
    """What was only half made is ABSENT too: a kill before the call, or a call that was refused, left it there."""
    half = _one(Phase.ABSENT, intent=Intent.DELETE, issued_at=LONG_AGO, **unanswered)
    assert _actions(_plan(None, half)) == ["delete"]
    later = replace(half, next_call_at=NOON + timedelta(seconds=5))
    assert _actions(_plan(None, later)) == ["wait"]


def test_degraded_has_a_grace_time_and_is_replaced_then() -> None:
    fresh = _one(Phase.DEGRADED, active=True, phase_since=NOON)
    assert _actions(_plan(OLD, fresh)) == ["wait"]
    lasting = replace(fresh, phase_since=NOON - timedelta(seconds=GRACE_S))
    assert _actions(_plan(OLD, lasting)) == ["replace"]


def test_an_update_that_was_never_confirmed_is_sent_again() -> None:
    unsure = _one(Phase.READY, active=True, applied_digest=NEW.digest)
    assert _actions(_plan(OLD, unsure, rules=_rules(updatable=frozenset({"context_size"})))) == ["update"]
    assert _actions(_plan(OLD, unsure)) == [], "where nothing changes in place, there is nothing to send"


def test_two_commits_in_a_row_never_make_a_third_deployment() -> None:
    serving = _one(Phase.READY, active=True)
    underway = _one(Phase.CREATING, number=2, of=NEW)
    plan = _plan(model_spec(context_size=4096), serving, underway)
    assert sorted(_actions(plan)) == ["delete", "wait"]
    assert next(step.deployment for step in plan.steps if step.action is Action.DELETE) == SECOND


def test_a_rollback_returns_to_the_one_that_still_runs() -> None:
    serving = _one(Phase.READY, active=True)
    underway = _one(Phase.CREATING, number=2, of=NEW)
    plan = _plan(OLD, serving, underway)
    assert plan.routes == {"llm": FIRST}
    assert [(step.action, step.deployment) for step in plan.steps] == [(Action.DELETE, SECOND)]


@pytest.mark.parametrize("phase", Phase)
def test_what_the_files_may_name_keeps_its_route_whatever_its_platform_says(phase: Phase) -> None:
    """Killed after the files named it and before the record did; then a stale answer, or none. The files dropped the
    address of a model that served (a seed of the simulator)."""
    offered = _one(phase, ready_at=LONG_AGO, issued_at=NOON, phase_since=NOON)
    assert _plan(OLD, offered).routes == {"llm": FIRST}
    assert _plan(NEW, offered).routes == {"llm": FIRST}
    retired = replace(offered, retired_at=LONG_AGO)
    assert phase is Phase.READY or _plan(OLD, retired).routes == {}


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CREATING])
def test_what_the_files_may_name_is_replaced_before_it_goes(phase: Phase) -> None:
    assert _actions(_plan(OLD, _one(phase, ready_at=LONG_AGO))) == ["replace"]


def test_a_deletion_that_somebody_else_began_is_waited_for() -> None:
    for want in (OLD, NEW):
        leaving = _one(Phase.DELETING, phase_since=NOON - timedelta(seconds=SETTLE_S - 1))
        assert "delete" not in _actions(_plan(want, leaving))
        assert "create" not in _actions(_plan(want, leaving))


def test_a_deletion_that_somebody_else_began_and_that_gets_stuck_is_taken_up() -> None:
    """A platform that takes several calls for it, and whoever made the first one is gone: nobody made the next one (a
    seed of the simulator, after the record was lost)."""
    assert _actions(_plan(OLD, _one(Phase.DELETING))) == ["delete"]
    serving = _one(Phase.READY, number=2, of=NEW, active=True)
    plan = _plan(NEW, _one(Phase.DELETING), serving)
    assert [(step.action, step.deployment) for step in plan.steps] == [(Action.DELETE, FIRST)]


def test_a_stuck_deletion_of_what_serves_is_taken_up_after_its_replacement() -> None:
    half_gone = _one(Phase.DELETING, ready_at=LONG_AGO, active=True)
    for want in (OLD, NEW):
        plan = _plan(want, half_gone)
        assert _actions(plan) == ["replace"]
        assert plan.routes == {"llm": FIRST}


def test_a_stuck_deletion_of_what_nobody_wants_needs_what_a_removal_needs() -> None:
    half_gone = _one(Phase.DELETING, adopted=True)
    assert _actions(_plan(None, half_gone)) == ["wait"]
    assert _actions(_plan(None, half_gone, removals=Removals.CONFIRMED)) == ["delete"]


def test_what_lost_our_tags_on_this_host_serves_until_its_replacement_does() -> None:
    """It was asked for again, which is refused, and given up at once: the files dropped its address (a seed of the
    simulator)."""
    rules = Rules(capabilities=Capabilities(local=True, settle_s=SETTLE_S))
    gone = _one(Phase.ABSENT, ready_at=LONG_AGO, active=True, foreign=True)
    plan = _plan(OLD, gone, rules=rules)
    assert (_actions(plan), plan.routes) == (["replace"], {"llm": FIRST})
    assert _actions(_plan(OLD, replace(gone, foreign=False), rules=rules)) == ["create"]


def test_what_lost_our_tags_is_said_while_it_is_waited_for() -> None:
    gone = _one(
        Phase.ABSENT,
        ready_at=LONG_AGO,
        active=True,
        phase_since=NOON,
        foreign=True,
        detail="i-7 is there without our tags",
    )
    (step,) = _plan(OLD, gone).steps
    assert (step.action, "left alone: i-7 is there without our tags" in step.cause) == (Action.WAIT, True)
    given_up = _one(Phase.ABSENT, intent=Intent.DELETE, foreign=True, detail="i-7 is there without our tags")
    (step,) = _plan(OLD, given_up).steps[:1]
    assert (step.action, "i-7 is there without our tags" in step.cause) == (Action.FORGET, True)
