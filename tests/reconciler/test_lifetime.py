"""`cloud.ttl`: when a model's time is up, and what is done then. `cloud.suspend`: that nothing is done."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from drivers.base import Capabilities, ModelSpec, Phase
from drivers.naming import mint_id, minted_at
from drivers.values import duration
from reconciler import lifetime
from reconciler.desired import DesiredModel
from reconciler.diff import diff
from reconciler.errors import InputError
from reconciler.moment import Moment, Rules
from reconciler.options import Level, Option
from reconciler.plan import Action, Plan, Step
from reconciler.requests import Request, decide
from reconciler.usage import may_go
from state.record import DeploymentRecord, Intent, ModelRecord, PutModel
from tests.builders import NOON, deployment_record, model_spec, place, recorded
from tests.reconciler.wishes import wish, wishes

BAKE_S, START_S = 120.0, 900.0
HOUR = timedelta(hours=1)
TIMED, LONGER = model_spec(options={"cloud.ttl": "2h"}), model_spec(options={"cloud.ttl": "4h"})
OTHER = model_spec(context_size=2048, options={"cloud.ttl": "2h"})


def _want(spec: ModelSpec, **options: str) -> DesiredModel:
    """As the file has it; `options` are defaults from elsewhere."""
    typed: dict[str, Any] = {"cloud.ttl": duration, "cloud.suspend": "true".__eq__}
    texts = {f"cloud.{key}": text for key, text in options.items()} | dict(spec.options)
    given = {key: Option(key, text, typed[key](text), place(), Level.MODEL) for key, text in texts.items()}
    return wish("llm", spec, options=given)


def _made(ago: timedelta, spec: ModelSpec = TIMED, *, seed: int = 1, **given: Any) -> DeploymentRecord:
    """One that was minted so long before noon, and serves."""
    born = NOON - ago
    record = deployment_record(spec=spec, created_at=born, issued_at=born, phase_since=born, ready_at=born)
    identity = replace(record.deployment, id=mint_id(born, random.Random(seed).randbytes))
    return replace(record, deployment=identity, **given)


def _plan(
    want: DesiredModel | None,
    *records: DeploymentRecord,
    book: ModelRecord | None = None,
    refused: bool = False,
    **given: Any,
) -> Plan:
    capabilities = Capabilities(settle_s=60.0, startup_timeout_s=START_S)
    rules = Rules(capabilities=capabilities, inert={"cloud.ttl", "cloud.suspend"}.__contains__, bake_s=BAKE_S)
    moment = Moment(now=NOON, rules={"llamacpp": rules}, **given)
    wanted = wishes(*([want] if want else []), refused={"llm": "unknown option"} if refused else None)
    known = lifetime.note_births(recorded(*records, models=(book,) if book else ()), wanted.models)
    return diff(wanted, known, moment, "r1")


def _first(plan: Plan) -> tuple[Step, Plan]:
    return plan.steps[0], plan


def _said(plan: Plan) -> list[tuple[str, str]]:
    return [(step.action.value, step.cause) for step in plan.steps]


# -- while there is time -----------------------------------------------------------------------------------------------


def test_what_has_time_left_serves() -> None:
    record = _made(HOUR)
    plan = _plan(_want(TIMED), record)
    assert plan.steps == ()
    assert plan.routes == {"llm": record.deployment.id}


def test_the_time_can_be_a_default_of_the_operator() -> None:
    plain = model_spec()
    assert _plan(_want(plain, ttl="4h"), _made(3 * HOUR, plain)).steps == ()
    assert _said(_plan(_want(plain, ttl="2h"), _made(3 * HOUR, plain)))[0][1] == "its time is up (cloud.ttl=2h)"


def test_off_is_no_time_at_all() -> None:
    never = model_spec(options={"cloud.ttl": "off"})
    assert _plan(_want(never), _made(1000 * HOUR, never)).steps == ()


# -- when it is up -----------------------------------------------------------------------------------------------------


def test_the_files_lose_it_and_it_goes() -> None:
    step, plan = _first(_plan(_want(TIMED), _made(2 * HOUR, active=True)))
    assert (step.action, step.cause, step.insists) == (Action.DELETE, "its time is up (cloud.ttl=2h)", False)
    assert plan.routes == {}


def test_whoever_uses_it_gets_the_bake_time_and_no_more() -> None:
    used = _made(2 * HOUR + timedelta(seconds=BAKE_S), active=False, retired_at=NOON - timedelta(seconds=1))
    busy = {used.deployment.id: "service app runs with its address"}
    assert _said(_plan(_want(TIMED), used, busy=busy))[0][0] == "wait"
    long_used = replace(used, retired_at=NOON - timedelta(seconds=BAKE_S))
    step = _plan(_want(TIMED), long_used, busy=busy).steps[0]
    assert (step.action, step.insists) == (Action.DELETE, True)


def test_files_that_cannot_be_written_do_not_keep_it() -> None:
    step = _plan(_want(TIMED), _made(2 * HOUR + timedelta(seconds=BAKE_S), active=True)).steps[0]
    assert (step.action, step.insists) == (Action.DELETE, True)


def test_one_that_never_served_goes_at_once() -> None:
    starting = _made(2 * HOUR, phase=Phase.CREATING, active=False, ready_at=None, endpoint=None)
    assert _said(_plan(_want(TIMED), starting))[0] == ("delete", "its time is up (cloud.ttl=2h)")


def test_nobody_acts_on_ignorance_then_either() -> None:
    silent = _made(3 * HOUR, phase=Phase.UNKNOWN)
    assert {step.action for step in _plan(_want(TIMED), silent).steps} == {Action.WAIT}


def test_a_model_whose_time_is_up_is_not_begun_again() -> None:
    book = ModelRecord(key="llm", born_at=NOON - 3 * HOUR, born_digest=TIMED.digest)
    said = "its time was up at 2026-05-04 11:00:00 UTC; commit a change, or `reconcile resume llm`"
    assert _said(_plan(_want(TIMED), book=book)) == [("wait", said)]
    assert _said(_plan(_want(OTHER), book=book))[0][0] == "create"


def test_one_that_is_being_deleted_when_its_time_is_up_is_not_replaced() -> None:
    stuck = _made(3 * HOUR, phase=Phase.DELETING, active=True, phase_since=NOON - timedelta(seconds=3000))
    plan = _plan(_want(TIMED), stuck)
    assert not [step for step in plan.steps if step.action in (Action.REPLACE, Action.CREATE)]
    assert ("delete", "its time is up (cloud.ttl=2h)") in _said(plan)


def test_protected_ones_stay_and_serve() -> None:
    record = _made(3 * HOUR, active=True)
    plan = _plan(_want(TIMED), record, book=ModelRecord(key="llm", protected=True))
    assert "protected: `reconcile unprotect llm` lets it go" in _said(plan)[0][1]
    assert plan.routes == {"llm": record.deployment.id}


# -- from when it counts -----------------------------------------------------------------------------------------------


def test_a_later_attempt_does_not_begin_the_time_anew() -> None:
    book = ModelRecord(key="llm", born_at=NOON - 2 * HOUR, born_digest=TIMED.digest)
    again = _made(timedelta(minutes=5), active=True)
    assert _said(_plan(_want(TIMED), again, book=book))[0][1].startswith("its time is up")
    assert lifetime.newborn(book, _want(TIMED), NOON) is book


def test_a_change_in_place_leaves_the_time_that_has_gone_by() -> None:
    record = _made(3 * HOUR, active=True)
    book = ModelRecord(key="llm", born_at=NOON - 3 * HOUR, born_digest=TIMED.digest)
    (step,) = _plan(_want(LONGER), record, book=book).steps
    assert step.action is Action.UPDATE
    assert lifetime.grown(book, record, _want(LONGER)).born_at == NOON - 3 * HOUR
    assert lifetime.grown(ModelRecord(key="llm"), record, _want(LONGER)).born_at == NOON - 3 * HOUR


def test_a_time_that_is_taken_away_and_given_again_counts_from_the_same_birth() -> None:
    """It counted from the id of a later attempt then."""
    plain = model_spec()
    book = ModelRecord(key="llm", born_at=NOON - 9 * HOUR, born_digest=TIMED.digest)
    endless = lifetime.grown(book, _made(HOUR), _want(plain))
    assert (endless.born_at, endless.born_digest) == (NOON - 9 * HOUR, plain.digest)
    assert lifetime.grown(endless, _made(HOUR, plain), _want(TIMED)) == book
    assert lifetime.grown(ModelRecord(key="llm"), _made(HOUR, plain), _want(plain)) == ModelRecord(key="llm")


def test_where_the_record_was_lost_the_ids_tell() -> None:
    found = _made(3 * HOUR, adopted=True, active=True, created_at=NOON)
    assert _said(_plan(_want(TIMED), found))[0][1].startswith("its time is up")


def test_a_made_up_id_is_as_old_as_its_record() -> None:
    found = _made(3 * HOUR, adopted=True, active=True, created_at=NOON)
    odd = replace(found, deployment=replace(found.deployment, id="I" * 26))
    assert _plan(_want(TIMED), odd).steps == ()


def test_nonsense_in_tags_is_no_time() -> None:
    record = _made(3 * HOUR, model_spec(options={"cloud.ttl": "soon"}))
    assert lifetime.deployment_ends_at(record, ModelRecord(key="llm")) is None


def test_a_model_that_comes_back_after_something_else_has_its_time_anew() -> None:
    """The birth of what is not there any more and not asked for either is forgotten."""
    book = ModelRecord(key="llm", born_at=NOON - 3 * HOUR, born_digest=TIMED.digest)
    serving = _made(HOUR, OTHER)
    noted = lifetime.note_births(recorded(serving, models=(book,)), {"llm": _want(OTHER)}).models["llm"]
    assert (noted.born_at, noted.born_digest) == (NOON - HOUR, OTHER.digest)
    plain = lifetime.note_births(recorded(models=(book,)), {"llm": _want(model_spec())}).models["llm"]
    assert (plain.born_at, plain.born_digest) == (None, "")


def test_models_without_a_time_cost_nothing() -> None:
    known = recorded(_made(HOUR, model_spec()))
    assert lifetime.note_births(known, {"llm": _want(model_spec())}) is known


def test_resume_gives_its_time_once_more() -> None:
    book = ModelRecord(key="llm", born_at=NOON - 3 * HOUR, born_digest=TIMED.digest)
    (gone,) = decide(Request("resume", "llm"), recorded(models=(book,)), NOON).changes
    assert isinstance(gone, PutModel)
    assert _said(_plan(_want(TIMED), book=gone.record))[0][0] == "create"


def test_what_still_stands_keeps_its_time() -> None:
    """Some platforms end it by themselves at the moment that its id tells."""
    book = ModelRecord(key="llm", born_at=NOON - HOUR, born_digest=TIMED.digest)
    decision = decide(Request("resume", "llm"), recorded(_made(HOUR, active=True), models=(book,)), NOON)
    change = decision.changes[0]
    assert isinstance(change, PutModel)
    assert change.record.born_at == NOON - HOUR
    assert decision.text == "llm: will be tried again; its time goes on, ask again when it is gone"


def test_who_protects_what_may_end_by_itself_is_told() -> None:
    told = decide(Request("protect", "llm"), recorded(_made(HOUR, active=True)), NOON).text
    assert "its cloud.ttl is on its platform, which may end it all the same" in told
    plain = decide(Request("protect", "llm"), recorded(_made(HOUR, model_spec(), active=True)), NOON).text
    assert plain == "llm: never deleted from now on"


# -- when what the file says does not get through ----------------------------------------------------------------------


def test_the_last_word_that_held_counts_where_the_file_was_refused() -> None:
    assert _said(_plan(None, _made(HOUR, active=True), refused=True))[0][1].startswith("what the file says")
    late = _plan(None, _made(2 * HOUR, active=True), refused=True)
    assert ("delete", "its time is up (cloud.ttl=2h)") in _said(late)
    assert late.routes == {}


@pytest.mark.parametrize(("written", "rest"), [("suspended", "cloud.suspend"), ("refused", "")])
def test_the_operators_time_counts_there_as_well(written: str, rest: str) -> None:
    """A file that suspended the model, or was wrong, once took the operator's default away from it."""
    operators = Option("cloud.ttl", "2h", 7200, place(), Level.TOOL)
    frozen = {"cloud.suspend": Option("cloud.suspend", "true", True, place(), Level.MODEL)} if rest else {}
    wrong = () if rest else (InputError("unknown option", place()),)
    want = wish("llm", model_spec(context_size=9), options={"cloud.ttl": operators, **frozen}, problems=wrong)
    assert {step.action for step in _plan(want, _made(HOUR, model_spec(), active=True)).steps} == {Action.WAIT}
    late = _plan(want, _made(2 * HOUR, model_spec(), active=True))
    assert ("delete", "its time is up (cloud.ttl=2h)") in _said(late)
    assert late.routes == {}
    never = _made(9 * HOUR, model_spec(options={"cloud.ttl": "off"}), active=True)
    assert {step.action for step in _plan(want, never).steps} == {Action.WAIT}


def test_a_model_that_is_gone_and_waits_for_a_word_goes_when_its_time_is_up() -> None:
    record = _made(2 * HOUR, active=False, retired_at=NOON)
    assert _said(_plan(None, record))[0] == ("delete", "its time is up (cloud.ttl=2h)")
    found = replace(record, adopted=True)
    assert _said(_plan(None, found))[0][0] == "wait"


def test_a_replacement_on_its_way_gets_the_time_that_it_needs() -> None:
    old = _made(2 * HOUR + timedelta(seconds=START_S - 1), active=True)
    plan = _plan(_want(OTHER), old)
    assert [step.action for step in plan.steps] == [Action.REPLACE]
    assert plan.routes == {"llm": old.deployment.id}
    overdue = _made(2 * HOUR + timedelta(seconds=START_S), active=True)
    assert _said(_plan(_want(OTHER), overdue))[0][1].startswith("its time is up")


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.UNKNOWN])
def test_everything_of_a_model_goes_with_it(phase: Phase) -> None:
    """Also what was replaced, or failed, or is half there."""
    book = ModelRecord(key="llm", born_at=NOON - 3 * HOUR, born_digest=TIMED.digest)
    ready = NOON - HOUR if phase in (Phase.READY, Phase.DEGRADED) else None
    old = _made(HOUR, model_spec(), seed=2, phase=phase, active=False, ready_at=ready, retired_at=ready, endpoint=None)
    steps = _plan(_want(TIMED), old, book=book).steps
    assert Action.CREATE not in {step.action for step in steps}
    assert steps[0].action is (Action.WAIT if phase is Phase.DELETING and ready else Action.DELETE)


# -- the last look before it goes --------------------------------------------------------------------------------------


def test_a_delete_that_insists_asks_nobody() -> None:
    record = _made(3 * HOUR)
    step = Step(Action.DELETE, "llm", "llamacpp", "its time is up", record.deployment.id, insists=True)
    nobody: Any = None
    assert may_go(nobody, step, recorded(record), nobody, unwritten=True)


# -- cloud.suspend -----------------------------------------------------------------------------------------------------


def test_what_is_suspended_stays_as_it_is() -> None:
    frozen = model_spec(context_size=9, options={"cloud.suspend": "true"})
    serving = _made(HOUR, model_spec(), active=True)
    plan = _plan(_want(frozen), serving)
    assert _said(plan) == [("wait", "the file suspends it; it stays as it is")]
    assert plan.routes == {"llm": serving.deployment.id}
    failed = replace(serving, phase=Phase.FAILED)
    assert _said(_plan(_want(frozen), failed)) == [("wait", "the file suspends it; it stays as it is")]
    assert _said(_plan(_want(frozen))) == [("wait", "the file suspends it; it stays as it is")]


def test_what_is_not_suspended_any_more_goes_on() -> None:
    woken = model_spec(context_size=9, options={"cloud.suspend": "false"})
    assert _said(_plan(_want(woken), _made(HOUR, model_spec(), active=True)))[0][0] == "replace"


def test_a_suspended_model_is_no_removal() -> None:
    leaving = _made(HOUR, model_spec(), active=False, intent=Intent.DELETE, phase=Phase.READY)
    frozen = _want(model_spec(options={"cloud.suspend": "true"}))
    assert _plan(frozen, leaving).steps[0].cause == "its deletion was begun"


# -- ids ---------------------------------------------------------------------------------------------------------------


def test_an_id_tells_when_it_was_minted() -> None:
    for moment in (NOON, datetime.fromtimestamp(1_900_000_000.123, NOON.tzinfo)):
        assert abs(minted_at(mint_id(moment, random.Random(3).randbytes)) - moment) < timedelta(milliseconds=2)
    for wrong in ("", "I" * 26, "01J" * 9):
        with pytest.raises(ValueError, match="no deployment id"):
            minted_at(wrong)
