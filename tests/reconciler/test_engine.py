"""Passes of the production engine over a fake platform, in virtual time: what the project promises, end to end."""

from __future__ import annotations

import itertools
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from drivers.base import Endpoint, ModelSpec
from drivers.errors import Ambiguous, Denied, Rejected, Taken, Unavailable
from drivers.fake import REFUSED_FLAG, FakeDriver
from drivers.values import duration, read
from reconciler.backoff import MAX_ATTEMPTS
from reconciler.desired import DesiredModel
from reconciler.errors import Refused
from reconciler.moment import Removals, Rules
from reconciler.options import Level, Option
from reconciler.plan import Action
from reconciler.policy import Policy
from reconciler.reading import Reading
from state.record import PutDeployment
from state.store import Fenced, Held
from tests.builders import model_spec, place
from tests.reconciler.wishes import wish
from tests.reconciler.world import LARGE, SMALL, World


def test_a_wanted_model_is_made_once_and_its_endpoint_is_written() -> None:
    world = World(llm=SMALL)
    result = world.passes()
    assert world.verbs() == ["create"]
    assert set(world.files.written) == {"llm"}
    assert result.plan is not None
    assert result.plan.unchanged == ("llm",)


def test_a_second_run_changes_nothing() -> None:
    world = World(llm=SMALL)
    world.passes()
    serial = world.store.load("demo").serial
    world.passes()
    assert world.verbs() == ["create"]
    assert world.store.load("demo").serial == serial + 0, "an idle pass wrote something"


def test_the_switch_comes_before_the_delete_and_there_are_never_three() -> None:
    world = World(llm=SMALL)
    world.passes()
    first = world.files.written["llm"]
    world.commit(llm=LARGE)
    most = 0
    for _ in range(400):
        result = world.engine.run_once()
        most = max(most, len(world.platform.things))
        if first not in world.files.written.values():
            break
        assert world.live.count("llm") >= 1
        world.later(1)
    assert world.live == ["llm", "llm"], "the old one stays for its bake time"
    result = world.passes()
    assert world.verbs() == ["create", "create", "delete"]
    assert world.live == ["llm"]
    assert most == 2
    assert result.known is not None
    assert len(result.known.deployments) == 1


def test_a_deletion_that_the_platform_forgot_is_asked_for_again() -> None:
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    world.platform.delete_s = 10_000.0
    world.commit(llm=SMALL)
    world.passes(500)
    assert world.verbs().count("delete") >= 3
    world.platform.delete_s = 0.0
    for thing in world.platform.things.values():
        thing.gone_at = thing.gone_at and world.clock.now()
    world.passes()
    assert [record.deployment.model for record in world.store.load("demo").deployments.values()] == ["llm"]


def test_what_waited_for_something_to_be_forgotten_begins_at_once() -> None:
    """The pass after a forget came a second later, although nothing was on its way any more."""
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    world.commit(llm=SMALL)
    result = world.engine.run_once()
    while Action.FORGET not in [done.step.action for done in result.applied]:
        world.later(result.look_again_s)
        result = world.engine.run_once()
    assert result.look_again_s == 0.0


def test_what_is_silent_for_long_is_asked_less_often() -> None:
    """A platform that did not answer for ten minutes was asked six hundred times."""
    world = World(llm=SMALL)
    world.passes()
    world.platform.silent = True
    pauses = []
    for seconds in (1.0, 29.0, 1000.0):
        world.engine.run_once()
        world.later(seconds)
        pauses.append(world.engine.run_once().look_again_s)
    assert pauses == pytest.approx([1.0, 3.1, 10.0])


def _timed(text: str, spec: ModelSpec = SMALL) -> DesiredModel:
    asked = Option("cloud.ttl", text, duration(text), place(), Level.MODEL)
    return wish("llm", replace(spec, options={"cloud.ttl": text}), driver="fake", options={"cloud.ttl": asked})


def test_what_has_had_its_time_goes_and_stays_away_until_the_file_changes() -> None:
    world = World()
    world.commit(_timed("1h"), other=SMALL)
    world.passes()
    assert set(world.files.written) == {"llm", "other"}
    world.later(3400)
    world.passes()
    assert sorted(world.live) == ["llm", "other"]
    world.later(200)
    world.passes()
    assert world.live == ["other"]
    assert set(world.files.written) == {"other"}
    world.crash()
    world.start()
    world.passes()
    assert world.verbs().count("create") == 2
    world.commit(_timed("1h", LARGE), other=SMALL)
    world.passes()
    assert sorted(world.live) == ["llm", "other"]


def test_what_comes_and_goes_by_its_schedule_is_no_series_of_failures() -> None:
    """Up for less than the ten minutes that forgive an attempt, it was given up after a few times."""
    text = "up@0 * * * *; down@5 * * * *"
    asked = Option("cloud.schedule", text, read("schedule", text), place(), Level.MODEL)
    world = World()
    world.commit(wish("llm", replace(SMALL, options={asked.key: text}), driver="fake", options={asked.key: asked}))
    hours, end = 2 * MAX_ATTEMPTS, world.clock.now() + timedelta(hours=2 * MAX_ATTEMPTS) - timedelta(minutes=30)
    seen = [False]
    while world.clock.now() < end:
        world.passes(30)
        seen.append(world.live == ["llm"])
        world.later(30)
    assert sum(up and not before for before, up in itertools.pairwise(seen)) == hours
    assert world.verbs().count("create") == hours


@pytest.mark.parametrize("writable", [True, False])
def test_whoever_comes_late_gives_the_bake_time_all_the_same(writable: bool) -> None:
    """Where `reconcile` is run now and then, what had its time was taken from under running services at once."""
    world = World()
    world.commit(_timed("1h"), other=SMALL)
    world.passes()
    world.running.using[world.files.written["llm"].url] = "app"
    world.later(7200)
    if not writable:
        world.files.trouble = "read-only"
    world.engine.run_once()
    world.engine.run_once()
    assert ("llm" in world.files.written, "llm" in world.live) == (not writable, writable)
    world.later(61)
    world.engine.run_once()
    world.passes()
    assert "llm" not in world.live


def test_more_time_is_given_in_place() -> None:
    world = World()
    world.commit(_timed("1h"))
    world.passes()
    world.later(1800)
    world.commit(_timed("2h"))
    world.passes()
    world.later(3600)
    world.passes()
    assert ("delete" in world.verbs(), world.live) == (False, ["llm"])
    world.later(1900)
    world.passes()
    assert world.live == []


def test_a_platform_that_refuses_to_tell_waits_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """A one-shot run waited for its whole timeout where credentials had expired."""
    world = World(llm=SMALL)
    world.passes()

    def refuse(self: FakeDriver, deployments: object) -> None:
        raise Denied("the credentials have expired: log in again")

    monkeypatch.setattr(FakeDriver, "observe_many", refuse)
    result = world.engine.run_once()
    assert result.stuck == "the credentials have expired: log in again"
    assert world.live == ["llm"]


def _recreated(spec: ModelSpec) -> DesiredModel:
    key = "cloud.update-strategy"
    asked = Option(key, "recreate", "recreate", place(), Level.MODEL)
    return wish("llm", replace(spec, options={key: "recreate"}), driver="fake", options={key: asked})


def test_where_there_is_room_for_one_the_old_one_goes_first_if_the_file_says_so() -> None:
    world = World()
    world.platform.capacity = 1
    world.commit(_recreated(SMALL))
    world.passes()
    world.commit(wish("llm", LARGE, driver="fake"))
    world.passes()
    assert world.verbs()[:1] == ["create"]
    assert world.live == ["llm"]
    assert set(world.files.written) == {"llm"}, "without a word, the old one serves on"
    world.commit(_recreated(LARGE))
    world.passes(5000)
    assert world.live == ["llm"]
    (record,) = world.store.load("demo").deployments.values()
    assert (record.deployment.spec.context_size, record.active) == (LARGE.context_size, True)


def test_a_guard_that_refuses_the_new_one_keeps_the_old_one() -> None:
    world = World()
    world.commit(_recreated(SMALL))
    world.passes()
    address = dict(world.files.written)
    world.crash()
    world.start(policy=Policy(allowed_platforms=("llamacpp",)))
    world.commit(_recreated(LARGE))
    result = world.passes()
    assert result.plan is not None
    assert result.plan.refusals
    assert "refused by the guard 'policy'" in result.plan.steps[0].cause
    assert ("delete" in world.verbs(), world.files.written) == (False, address)


def test_commits_in_quick_succession_end_with_the_last_one() -> None:
    """A third spec arrives while the first one still bakes: nobody waits for anybody for ever."""
    world = World(llm=SMALL)
    world.passes()
    world.commit(llm=LARGE)
    while not world.engine.run_once().switched:
        world.later(1)
    for tokens in (8192, 16384):
        world.commit(llm=model_spec(context_size=tokens))
        world.passes(3000)
    assert world.live == ["llm"]
    (record,) = world.store.load("demo").deployments.values()
    assert record.deployment.spec.context_size == 16384


def test_a_running_service_keeps_the_old_one_alive() -> None:
    world = World(llm=SMALL)
    world.passes()
    old = world.files.written["llm"].url
    world.running.using[old] = "app"
    world.commit(llm=LARGE)
    world.passes()
    assert world.live == ["llm", "llm"]
    world.running.using.clear()
    world.passes()
    assert world.live == ["llm"]


def test_nothing_goes_about_which_nobody_was_asked() -> None:
    """Found by the simulator: while the engine was asked about one model, the bake time of another one ended."""
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    urls = [endpoint.url for endpoint in world.files.written.values()]
    world.running.using.update(dict.fromkeys(urls, "app"))
    ask = world.running.users

    def ask_slowly(project: str, endpoints: Mapping[str, Endpoint]) -> Mapping[str, str]:
        world.clock.sleep(10)
        return ask(project, endpoints)

    world.running.users = ask_slowly  # type: ignore[method-assign]
    world.commit(llm=LARGE, other=SMALL)
    for _ in range(3):
        world.engine.run_once()
        world.later(1)
    world.commit(llm=LARGE, other=LARGE)
    for _ in range(100):
        world.engine.run_once()
        world.later(2)
    assert world.live == ["llm", "llm", "other", "other"]


def test_a_request_in_flight_is_answered_to_its_end() -> None:
    world = World(llm=SMALL)
    world.passes()
    (old,) = world.platform.things.values()
    old.answering = 1
    world.commit(llm=LARGE)
    result = world.passes()
    assert world.live == ["llm", "llm"]
    assert result.plan is not None
    assert [step.cause for step in result.plan.steps] == ["it is still answering a request"]
    old.answering = 0
    world.passes()
    assert world.live == ["llm"]


def test_a_removed_model_goes_after_the_grace_time_and_its_address_goes_first() -> None:
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    world.commit(llm=SMALL)
    world.engine.run_once()
    assert set(world.files.written) == {"llm", "other"}
    world.passes()
    assert set(world.files.written) == {"llm"}
    assert world.live == ["llm"]
    assert world.files.log[-1].keys() == {"llm"}


def test_the_last_model_does_not_go_without_a_word() -> None:
    world = World(llm=SMALL)
    world.passes()
    world.commit()
    result = world.passes()
    assert result.plan is not None
    assert [verdict.guard for verdict in result.plan.refusals] == ["mass-delete"]
    assert world.live == ["llm"]
    world.engine.close()
    world.start(forced=True, removals=Removals.CONFIRMED)
    world.passes()
    assert world.live == []
    assert world.files.written == {}


def test_a_source_that_cannot_be_read_changes_nothing() -> None:
    world = World(llm=SMALL)
    world.passes()
    world.repository.trouble = "compose.yaml is empty"
    world.later(10_000)
    result = world.engine.run_once()
    assert result.trouble == "compose.yaml is empty"
    assert world.verbs() == ["create"]
    assert set(world.files.written) == {"llm"}


def test_without_any_good_reading_nothing_is_touched() -> None:
    world = World(llm=SMALL)
    world.repository.trouble = "not yet"
    assert world.engine.run_once().plan is None
    assert world.verbs() == []


def test_after_a_restart_with_a_broken_commit_what_was_asked_for_last_is_kept_alive() -> None:
    """It once held no lease, looked at nothing, and left dead servers dead until somebody mended the file."""
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    last = world.repository.reading
    source = world.store.load("demo").source
    world.crash()
    world.repository.trouble, world.repository.earlier = "compose.yaml is empty", last
    world.platform.things.clear()
    result = world.passes()
    assert result.trouble == "compose.yaml is empty"
    assert world.live == ["llm", "other"]
    assert world.store.load("demo").source == source, "what is recalled is not recorded as read"


def test_what_is_recalled_is_no_evidence_of_a_removal() -> None:
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    world.commit(llm=SMALL)
    world.engine.run_once()
    world.crash()
    world.repository.trouble, world.repository.earlier = "half written", world.repository.reading
    for _ in range(50):
        world.later(100)
        world.engine.run_once()
    assert world.store.load("demo").models["other"].missing_reads == 1
    assert world.live == ["llm", "other"]


def test_a_bad_source_is_no_evidence_of_a_removal() -> None:
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    world.commit(llm=SMALL)
    world.engine.run_once()
    world.repository.trouble = "half written"
    for _ in range(50):
        world.later(100)
        world.engine.run_once()
    book = world.store.load("demo").models["other"]
    assert book.missing_reads == 1


def test_what_is_overdue_and_waits_for_a_good_reading_is_not_looked_at_without_pause() -> None:
    """Found by the simulator: ripe for removal, seen gone only once, and a source that was not readable for long."""
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    world.commit(other=SMALL)
    world.engine.run_once()
    world.repository.trouble = "compose.yaml has merge-conflict markers"
    world.later(130)
    assert world.engine.run_once().look_again_s >= 1.0
    assert world.live == ["llm", "other"]


def test_a_refused_model_stays_and_the_others_go_on() -> None:
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    world.commit(llm=LARGE, refused={"other": "unknown option 'cloud.regoin'"})
    result = world.passes()
    assert world.live == ["llm", "other"]
    assert set(world.files.written) == {"llm", "other"}
    assert [str(problem.message) for problem in result.problems] == ["unknown option 'cloud.regoin'"]


def test_what_the_platform_refuses_is_not_asked_again_until_the_file_changes() -> None:
    world = World(llm=model_spec(runtime_flags=(REFUSED_FLAG,)))
    result = world.passes()
    assert world.verbs() == []
    assert result.plan is not None
    assert any("until the file changes" in step.cause for step in result.plan.steps)
    world.commit(llm=SMALL)
    world.passes()
    assert world.live == ["llm"]


def test_a_failing_model_is_tried_a_few_times_and_then_left() -> None:
    world = World(llm=SMALL)
    world.platform.failing["llm"] = "out of memory"
    result = world.passes(5000)
    assert 2 <= world.verbs().count("create") <= 5
    assert result.plan is not None
    assert "gave up" in result.plan.steps[0].cause
    assert world.live == []
    world.platform.failing.clear()
    world.commit(llm=LARGE)
    world.passes()
    assert world.live == ["llm"]


def test_the_old_one_serves_while_the_new_one_keeps_failing() -> None:
    world = World(llm=SMALL)
    world.passes()
    served = world.files.written["llm"]
    world.platform.failing["llm"] = "no capacity"
    world.commit(llm=LARGE)
    world.passes(5000)
    assert world.files.written["llm"] == served
    assert world.live == ["llm"]


def test_one_that_vanished_is_made_again() -> None:
    world = World(llm=SMALL)
    world.passes()
    world.platform.things.clear()
    world.passes()
    assert world.live == ["llm"]
    assert world.verbs() == ["create", "create"]


def test_a_crashed_one_goes_although_its_successor_took_over_the_address() -> None:
    world = World(llm=SMALL)
    world.passes()
    (crashed,) = world.platform.things.values()
    crashed.fails = "killed"
    world.platform.port = crashed.port
    world.running.using[world.files.written["llm"].url] = "app"
    world.passes()
    assert world.live == ["llm"]
    assert world.files.log[0] == world.files.log[-1], "the services' address did not change"


def test_a_model_that_was_removed_comes_back_without_its_past() -> None:
    world = World(llm=SMALL, other=SMALL)
    world.platform.failing["llm"] = "no"
    world.passes(5000)
    assert world.store.load("demo").models["llm"].attempts > 1
    world.commit(other=SMALL)
    world.passes()
    assert "llm" not in world.store.load("demo").models


def test_a_platform_that_is_silent_is_left_alone() -> None:
    world = World(llm=SMALL)
    world.passes()
    world.platform.silent = True
    world.commit(llm=LARGE)
    for _ in range(20):
        world.later(100)
        result = world.engine.run_once()
        assert result.plan is not None
        assert all(step.action is Action.WAIT for step in result.plan.steps)
        assert set(world.files.written) == {"llm"}
    world.platform.silent = False
    world.passes()
    assert world.live == ["llm"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("error", [Unavailable("throttled"), Ambiguous("timed out"), Denied("token expired")])
@pytest.mark.parametrize("call", range(4))
def test_a_call_that_fails_at_any_moment_leaks_and_doubles_nothing(moment: str, error: Exception, call: int) -> None:
    """Create, replace, delete: the given call fails before or after it took effect."""
    world = World(llm=SMALL)
    faults = [(moment, error)]
    world.platform.faults = []
    for number, wanted in enumerate((SMALL, LARGE, SMALL, LARGE)):
        if number == call:
            world.platform.faults.extend(faults)  # type: ignore[arg-type]
        world.commit(llm=wanted)
        world.passes(3000)
    assert world.live == ["llm"]
    assert len(world.store.load("demo").deployments) == 1


def test_a_crash_between_any_two_commits_converges_without_a_second_copy() -> None:
    """Every commit of the record is a possible last one: kill there, start again, and compare."""
    commits = _commits_of_a_replacement(None)
    for last in range(1, commits + 1):
        world = World(llm=SMALL)
        world.passes()
        world.commit(llm=LARGE)
        _die_at_commit(world, last)
        world.crash()
        world.passes(3000)
        assert world.live == ["llm"], f"killed at commit {last} of {commits}"
        assert len(world.store.load("demo").deployments) == 1
        assert world.verbs().count("create") == 2, f"killed at commit {last}: {world.platform.journal}"


def test_one_that_the_files_name_and_the_record_does_not_know_to_serve_is_replaced_like_any_other() -> None:
    """Killed between the files and the record, and then the file asks for something else."""
    seen = 0
    for last in range(1, 10):
        world = World()
        world.commit(llm=SMALL)
        _die_at_commit(world, last)
        active = any(record.active for record in world.store.load("demo").deployments.values())
        if active or not world.files.written:
            continue
        seen += 1
        served = world.files.written["llm"]
        world.crash()
        world.commit(llm=LARGE)
        world.engine.run_once()
        assert world.files.written["llm"] == served
        assert world.live == ["llm", "llm"]
        world.passes(3000)
        assert world.live == ["llm"]
    assert seen, "no commit follows the files"


class _Killed(BaseException):
    """The process ends here; nothing may catch it."""


def _die_at_commit(world: World, last: int) -> None:
    counted, commit = 0, world.store.commit

    def counting(*given: object) -> int:
        nonlocal counted
        counted += 1
        if counted == last:
            raise _Killed
        return commit(*given)  # type: ignore[arg-type]

    world.store.__class__ = type(
        "Counting", (world.store.__class__,), {"commit": lambda self, *a: counting(*a), "__slots__": ()}
    )
    try:
        world.passes(3000)
    except _Killed:
        pass
    finally:
        world.store.__class__ = world.store.__class__.__mro__[1]


def _commits_of_a_replacement(_: None) -> int:
    world = World(llm=SMALL)
    world.passes()
    before = world.store.load("demo").serial
    world.commit(llm=LARGE)
    world.passes(3000)
    return world.store.load("demo").serial - before


def test_a_reading_that_could_not_be_repeated_protects_all_the_same() -> None:
    """What is created on the last good reading is protected as that asks for (found by the simulator)."""
    world = World()
    asked = Option("cloud.protect", "true", True, place(), Level.MODEL)
    world.commit(wish("llm", SMALL, driver="fake", options={"cloud.protect": asked}), other=SMALL)
    world.files.foreign = True
    with pytest.raises(Refused):
        world.engine.run_once()
    world.files.foreign, world.repository.trouble = False, "compose.yaml is empty"
    world.engine.run_once()
    assert world.verbs() == ["create", "create"]
    assert world.store.load("demo").models["llm"].protected


def test_protection_outlives_the_file_that_asked_for_it() -> None:
    world = World(other=SMALL)
    asked = Option("cloud.protect", "true", True, place(), Level.MODEL)
    world.commit(wish("llm", SMALL, driver="fake", options={"cloud.protect": asked}), other=SMALL)
    world.passes()
    world.commit(other=SMALL)
    result = world.passes(5000)
    assert world.live == ["llm", "other"]
    assert result.plan is not None
    assert [step.cause for step in result.plan.steps if step.model == "llm" and "protected" in step.cause]


def test_another_checkout_of_the_same_name_touches_nothing() -> None:
    world = World(llm=SMALL)
    world.passes()
    world.commit(other=SMALL)
    world.repository.reading = replace(world.repository.reading, origin="/srv/elsewhere")
    world.engine.close()
    world.start()
    with pytest.raises(Refused, match="reconciled from /srv/demo before, not from /srv/elsewhere"):
        world.engine.run_once()
    assert world.live == ["llm"]
    world.engine.close()
    world.start(forced=True, removals=Removals.CONFIRMED)
    world.passes()
    assert world.live == ["other"]


def test_a_second_reconciler_stands_by() -> None:
    world = World(llm=SMALL)
    first = world.engine
    first.run_once()
    with pytest.raises(Held):
        world.start().run_once()
    first.close()
    world.passes()
    assert world.live == ["llm"]


def test_one_that_slept_through_its_lease_calls_nothing_under_it() -> None:
    world = World(llm=SMALL)
    world.engine.run_once()
    slept = world.engine.tenure
    assert slept is not None
    world.clock.sleep(3600)
    with pytest.raises(Fenced):
        slept.check()
    world.commit(llm=SMALL, more=SMALL)
    world.engine.run_once()
    assert world.engine.tenure is not None
    assert world.engine.tenure.lease.epoch > slept.lease.epoch
    assert world.verbs() == ["create", "create"]


def test_one_whose_lease_went_to_another_one_while_it_slept_calls_nothing() -> None:
    world = World(llm=SMALL)
    world.engine.run_once()
    world.clock.sleep(3600)
    sleeper, other = world.engine, world.start()
    other.run_once()
    world.commit(llm=SMALL, more=SMALL)
    with pytest.raises(Held):
        sleeper.run_once()
    assert world.verbs() == ["create"]


def test_one_that_slept_between_reading_and_getting_the_lease_acts_on_nothing_old() -> None:
    """Found by the simulator: a standby read, was stopped for minutes, got the lease, and deleted what a later commit
    had asked for."""
    world = World(llm=SMALL)
    world.passes()
    world.engine.close()
    world.commit(llm=LARGE)
    read = world.repository.read

    def read_and_sleep() -> Reading:
        reading = read()
        world.clock.sleep(170)
        return reading

    world.start()
    world.repository.read = read_and_sleep  # type: ignore[method-assign]
    done = world.verbs()
    with pytest.raises(Fenced):
        world.engine.run_once()
    assert world.verbs() == done
    world.engine.close()
    world.repository.read = read  # type: ignore[method-assign]
    world.passes()
    assert world.live == ["llm"]


def test_what_is_ready_at_once_is_not_taken_for_replaced() -> None:
    """Found by the simulator: ready before any plan could point there, it counted as replaced by nothing."""
    world = World(llm=SMALL)
    world.platform.create_s = 0.0
    world.engine.run_once()
    (record,) = world.store.load("demo").deployments.values()
    assert record.ready_at is not None
    assert record.retired_at is None


def test_two_that_were_replaced_and_none_that_serves_do_not_wait_for_each_other() -> None:
    """Found by the simulator: each was kept because nothing else was left, and the wanted one waited for both."""
    world = World(llm=SMALL)
    world.passes()
    world.running.using[world.files.written["llm"].url] = "app"
    world.commit(llm=LARGE)
    for _ in range(20):
        world.engine.run_once()
        world.later(10)
    assert world.engine.tenure is not None
    serving = next(one for one in world.store.load("demo").deployments.values() if one.active)
    retired = replace(serving, active=False, retired_at=world.clock.now())
    world.store.commit(world.engine.tenure.lease, [PutDeployment(retired)])
    world.files.written = {}
    world.running.using.clear()
    world.commit(llm=model_spec(context_size=777))
    world.passes(2000)
    assert world.live == ["llm"]
    assert "llm" in world.files.written


def test_what_a_file_still_names_has_its_bake_time_from_when_it_no_longer_does() -> None:
    """Found by the simulator: somebody pointed services back at it and was stopped before writing that down."""
    world = World(llm=SMALL)
    world.passes()
    old = world.files.written["llm"]
    world.running.using[old.url] = "app"
    world.commit(llm=LARGE)
    for _ in range(20):
        world.engine.run_once()
        world.later(10)
    assert world.live == ["llm", "llm"]
    new, world.files.written = world.files.written, {"llm": old}
    world.running.using.clear()
    world.engine.run_once()
    assert world.files.written == new
    world.later(30)
    world.engine.run_once()
    assert world.live == ["llm", "llm"]
    world.passes()
    assert world.live == ["llm"]


def test_what_a_state_put_back_has_forgotten_is_taken_over_and_not_made_again() -> None:
    """E6: the platform has a deployment that an older copy of the record knows nothing of."""
    world = World(llm=SMALL)
    world.engine.run_once()
    before = world.store.snapshot()
    world.passes()
    world.commit(llm=LARGE)
    world.passes()
    served = world.files.written["llm"]
    world.store.rewind(before)
    world.crash()
    world.passes(3000)
    assert world.live == ["llm"]
    assert world.files.written["llm"] == served
    assert world.verbs().count("create") == 2
    (record,) = world.store.load("demo").deployments.values()
    assert (record.active, record.adopted) == (True, False)


def test_a_state_put_back_gives_no_epoch_a_second_time() -> None:
    """Its first holder may only be asleep, and would pass every fence. No file tells of it where there is none."""
    world = World(llm=SMALL)
    world.engine.run_once()
    before = world.store.snapshot()
    epochs = []
    for _ in range(3):
        world.crash()
        world.clock.sleep(120)
        world.engine.run_once()
        assert world.engine.tenure is not None
        epochs.append(world.engine.tenure.lease.epoch)
        world.store.rewind(before)
        world.files.epoch = 0
    assert epochs == sorted(set(epochs))


def test_what_the_platform_shows_already_needs_no_update_after_a_state_was_put_back() -> None:
    world = World(llm=ONE)
    world.start(rules={"fake": IN_PLACE})
    world.passes()
    before = world.store.snapshot()
    world.commit(llm=TWO)
    world.passes()
    assert world.verbs().count("update") == 1
    world.store.rewind(before)
    world.crash()
    world.start(rules={"fake": IN_PLACE})
    world.passes()
    assert world.verbs().count("update") == 1
    (record,) = world.store.load("demo").deployments.values()
    assert record.deployment.spec == TWO


class _NeverSwept(UserDict[str, Rules]):
    """Rules of all platforms, as of a host that was set up for none: each is asked when something names it."""

    def __iter__(self) -> Iterator[str]:
        return iter(())


@pytest.mark.parametrize("kind", [dict, _NeverSwept])
def test_an_older_record_makes_nothing_new_before_its_doubts_have_settled(
    kind: Callable[..., Mapping[str, Rules]],
) -> None:
    world = World(llm=SMALL)
    world.passes()
    before = world.store.snapshot()
    world.commit(llm=LARGE)
    world.passes()
    world.store.rewind(before)
    world.crash()
    world.start(rules=kind(fake=Rules(capabilities=FakeDriver.capabilities, bake_s=60.0, removal_grace_s=120.0)))
    world.commit(llm=LARGE, more=SMALL)
    for _ in range(int(FakeDriver.capabilities.settle_s) - 5):
        world.engine.run_once()
        assert "more" not in world.live
        world.later(1)
    world.passes(3000)
    assert sorted(world.live) == ["llm", "more"]


def test_what_is_found_and_wanted_by_nobody_is_kept_until_somebody_says_otherwise() -> None:
    world = World(llm=SMALL)
    empty = world.store.snapshot()
    world.passes()
    world.commit(other=SMALL)
    world.store.rewind(empty)
    world.crash()
    result = world.passes(5000)
    assert world.live == ["llm", "other"]
    assert result.plan is not None
    assert [step.cause for step in result.plan.steps if step.model == "llm"] == [
        "found by its tags and wanted by no file: `reconcile destroy` deletes it"
    ]


def test_a_platform_that_cannot_list_what_is_ours_stops_nothing() -> None:
    world = World(llm=SMALL)
    world.platform.silent = True
    world.engine.run_once()
    world.platform.silent = False
    world.passes()
    assert world.live == ["llm"]


def test_nothing_is_begun_whose_address_could_not_be_written() -> None:
    world = World(llm=SMALL)
    world.files.foreign = True
    with pytest.raises(Refused, match="somebody else's"):
        world.engine.run_once()
    assert world.verbs() == []
    world.files.foreign = False
    world.passes()
    assert world.live == ["llm"], "and the lease was given back"


def test_a_full_disk_starts_nothing_and_removes_what_must_go() -> None:
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    world.store.short_of_space = True
    world.commit(llm=SMALL, third=SMALL)
    result = world.passes()
    assert world.live == ["llm"]
    assert result.plan is not None
    assert [verdict.guard for verdict in result.plan.refusals] == ["space"]
    world.store.short_of_space = False
    world.passes()
    assert world.live == ["llm", "third"]


def test_a_project_that_was_renamed_is_not_forgotten() -> None:
    world = World(llm=SMALL)
    world.passes()
    before = world.repository.reading
    world.repository.reading = replace(before, project=before.project._replace(name="renamed"))
    result = world.engine.run_once()
    assert "`reconcile destroy -p demo`" in " ".join(result.published.cautions)


def test_a_service_is_restarted_once_for_each_change_and_not_before_its_models_are_ready() -> None:
    world = World()
    world.start(roll_out=True)
    world.commit(llm=SMALL)
    world.engine.run_once()
    assert world.running.rolled_out == []
    world.passes()
    assert world.running.rolled_out == ["app"]
    world.commit(llm=LARGE)
    world.passes()
    assert world.running.rolled_out == ["app", "app"]


def test_the_bake_time_begins_when_the_restart_is_over() -> None:
    """Counted from before it, a restart of minutes left nothing of it (found by a told story of the simulator)."""
    world = World()
    world.start(roll_out=True)
    world.commit(llm=SMALL)
    world.passes()
    world.running.meanwhile = lambda: world.later(300)
    world.commit(llm=LARGE)
    while len(world.running.rolled_out) < 2:
        world.engine.run_once()
        world.later(1)
    world.later(30)
    world.engine.run_once()
    assert world.live == ["llm", "llm"]
    world.passes()
    assert world.live == ["llm"]


def test_a_restart_that_failed_is_tried_again() -> None:
    world = World()
    world.start(roll_out=True)
    world.commit(llm=SMALL)
    world.running.trouble = "app: could not be restarted"
    assert world.passes().published.cautions == ("app: could not be restarted",)
    assert world.running.rolled_out == []
    world.running.trouble = ""
    world.passes()
    assert world.running.rolled_out == ["app"]


def test_a_restart_whose_end_nobody_wrote_down_is_done_again_also_for_the_old_values() -> None:
    """Found by the simulator: a service ran on with values that had been written, rolled out, and never recorded."""

    class Killed(BaseException):
        pass

    def restart_and_die(project: object, services: Sequence[str]) -> tuple[str, ...]:
        world.running.rolled_out.extend(services)
        raise Killed

    world = World()
    world.start(roll_out=True)
    world.commit(llm=SMALL)
    world.passes()
    restart = world.running.roll_out
    world.running.roll_out = restart_and_die  # type: ignore[method-assign,assignment]
    world.commit(llm=LARGE)
    with pytest.raises(Killed):
        world.passes()
    world.running.roll_out = restart  # type: ignore[method-assign]
    world.crash()
    world.start(roll_out=True)
    world.commit(llm=SMALL)
    world.passes()
    assert world.running.rolled_out == ["app", "app", "app"]


def test_files_that_cannot_be_written_switch_nobody_and_stop_nothing_else() -> None:
    """A full disk under the override file: a failed attempt still goes, what serves stays, and all ends well later."""
    world = World(llm=SMALL, other=SMALL)
    world.passes()
    served = world.files.written["llm"]
    world.files.trouble = "the override file could not be written: no space left"
    world.platform.failing["other"] = "no capacity"
    world.commit(llm=LARGE, other=LARGE)
    for _ in range(100):
        result = world.engine.run_once()
        world.later(1)
    assert result.trouble == "the override file could not be written: no space left"
    assert world.files.written["llm"] == served
    assert world.live.count("llm") == 2
    assert world.verbs().count("delete") >= 1, "the failed attempt of the other model went"
    world.files.trouble = ""
    world.platform.failing.clear()
    world.passes(3000)
    assert world.live == ["llm", "other"]
    assert world.files.written["llm"] != served


def test_a_person_who_insists_is_not_held_up_by_files() -> None:
    world = World(llm=SMALL)
    world.passes()
    world.engine.close()
    world.files.trouble = "read-only file system"
    world.commit()
    world.start(forced=True, removals=Removals.CONFIRMED)
    for _ in range(50):
        world.engine.run_once()
        world.later(2)
    assert world.live == []


def test_a_service_that_lost_its_last_model_is_restarted_too() -> None:
    world = World()
    world.start(roll_out=True)
    world.commit(llm=SMALL, other=SMALL)
    world.passes()
    assert world.running.rolled_out == ["app"]
    world.files.dropped = True
    world.commit(other=SMALL)
    world.passes()
    assert world.running.rolled_out == ["app", "app"]


ONE, TWO = model_spec(runtime_flags=("--one",)), model_spec(runtime_flags=("--two",))
IN_PLACE = Rules(capabilities=replace(FakeDriver.capabilities, updatable=frozenset({"runtime_flags"})), bake_s=60.0)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("error", [Unavailable("throttled"), Ambiguous("timed out")])
def test_an_update_that_was_not_confirmed_is_sent_again(moment: str, error: Exception) -> None:
    world = World(llm=ONE)
    world.start(rules={"fake": IN_PLACE})
    world.passes()
    world.platform.faults.append((moment, error))  # type: ignore[arg-type]
    world.commit(llm=TWO)
    world.passes()
    assert _on_the_platform(world) == [TWO]


@pytest.mark.parametrize("error", [Rejected("no such type"), Taken("its tags are gone")])
def test_a_change_in_place_that_is_refused_takes_no_address_away(error: Exception) -> None:
    world = World(llm=ONE)
    world.start(rules={"fake": IN_PLACE})
    world.passes()
    address = world.files.written["llm"]
    world.platform.faults.append(("before", error))  # type: ignore[arg-type]
    world.commit(llm=TWO)
    for _ in range(5):
        world.engine.run_once()
        assert world.files.written.get("llm") == address
        assert world.live == ["llm"]
        world.later(1)


def test_a_change_in_place_that_is_refused_is_not_asked_for_again_until_the_file_changes() -> None:
    world = World(llm=ONE)
    world.start(rules={"fake": IN_PLACE})
    world.passes()
    world.platform.faults += [("before", Rejected("no such type"))] * 5
    world.commit(llm=TWO)
    result = world.passes()
    assert len(world.platform.faults) == 4
    assert result.plan is not None
    assert any("until the file changes" in step.cause for step in result.plan.steps)
    world.platform.faults.clear()
    world.commit(llm=ONE)
    world.passes()
    assert _on_the_platform(world) == [ONE]
    world.commit(llm=TWO)
    world.passes()
    assert _on_the_platform(world) == [TWO]


def test_going_back_after_an_update_that_may_have_arrived_is_an_update_too() -> None:
    world = World(llm=ONE)
    world.start(rules={"fake": IN_PLACE})
    world.passes()
    world.platform.faults += [("after", Ambiguous("timed out")), ("before", Unavailable("throttled"))]
    world.commit(llm=TWO)
    world.engine.run_once()
    world.commit(llm=ONE)
    world.passes()
    assert _on_the_platform(world) == [ONE]


def test_an_edit_of_something_whose_creation_was_never_confirmed_reaches_the_platform() -> None:
    world = World(llm=ONE)
    world.start(rules={"fake": IN_PLACE})
    world.platform.faults.append(("after", Ambiguous("timed out")))
    world.engine.run_once()
    world.platform.faults.append(("before", Ambiguous("timed out")))
    world.commit(llm=TWO)
    world.passes()
    assert _on_the_platform(world) == [TWO]


def _on_the_platform(world: World) -> list[ModelSpec]:
    return [thing.deployment.spec for thing in world.platform.things.values() if thing.deployment is not None]


def test_one_that_may_serve_beside_its_ready_successor_has_its_bake_time() -> None:
    """Killed after the files named the new one and before the record did; the old one was never recorded either."""
    world = World(llm=SMALL)
    world.passes()
    world.commit(llm=LARGE)
    while world.files.log[-1:] == world.files.log[:1]:
        world.engine.run_once()
        world.later(1)
    known = world.store.load("demo")
    tenure = world.engine.tenure
    assert tenure is not None
    forgotten = (replace(one, active=False, retired_at=None) for one in known.deployments.values())
    world.store.commit(tenure.lease, [PutDeployment(one) for one in forgotten])
    world.engine.run_once()
    world.later(30)
    world.engine.run_once()
    assert world.live == ["llm", "llm"]
    world.passes()
    assert world.live == ["llm"]


def test_an_update_that_arrives_late_is_noticed_and_undone() -> None:
    world = World(llm=ONE)
    world.start(rules={"fake": IN_PLACE})
    world.passes()
    (thing,) = world.platform.things.values()
    assert thing.deployment is not None
    thing.deployment = replace(thing.deployment, spec=TWO)
    world.passes()
    assert _on_the_platform(world) == [ONE]
