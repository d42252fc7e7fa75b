"""Records that went back or were lost, calls that arrive after everything, tags and names that somebody took.

Nothing is made twice, nothing of anybody else is touched, and what serves goes on serving.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from drivers.base import Deployment
from drivers.errors import Ambiguous, Denied, DriverError, Unavailable
from drivers.fake import FakeDriver, FakePlatform, Thing
from reconciler.moment import Rules
from reconciler.plan import Action
from reconciler.stamp import Stamp
from reconciler.sweep import EVERY_S, GRACE_S
from reconciler.write import NotWritten
from state.record import Intent, PutDeployment
from state.store import Fenced, StateBusy
from tests.builders import model_spec
from tests.reconciler.wishes import wish
from tests.reconciler.world import LARGE, SMALL, World

RULES = {"fake": Rules(capabilities=FakeDriver.capabilities, bake_s=60.0, removal_grace_s=120.0)}


def _started(**wanted: Any) -> World:
    world = World(**wanted)
    world.start(rules=RULES)
    return world


def _late_create(world: World) -> str:
    """A deployment that was deleted and forgotten is there again: one of the calls that made it arrived now."""
    (record,) = world.store.load("demo").deployments.values()
    late = record.deployment
    world.commit(llm=LARGE)
    world.passes(3000)
    assert late.id not in world.store.load("demo").deployments
    FakeDriver(world.platform).create(late)
    return late.id


def _steps(world: World) -> list[str]:
    plan = world.engine.run_once().plan
    return [f"{step.action.value}: {step.cause}" for step in plan.steps] if plan is not None else []


def test_a_create_that_arrives_after_everybody_forgot_it_is_found_and_deleted_again() -> None:
    world = _started(llm=SMALL)
    world.passes()
    late = _late_create(world)
    assert world.live == ["llm", "llm"]
    world.later(EVERY_S)
    world.engine.run_once()
    record = world.store.load("demo").deployments[late]
    assert (record.intent, record.adopted) == (Intent.DELETE, False)
    kinds = [event.kind for _, event in world.store.events("demo") if event.deployment == late]
    assert kinds[-2:] == ["returned", "ready"], "it is said before anything is done"
    assert world.live == ["llm", "llm"], "it has its grace time"
    world.later(GRACE_S)
    world.passes(3000)
    assert world.live == ["llm"]
    assert world.store.load("demo").deployments.keys() != {late}


def test_one_that_no_history_knows_is_taken_over_and_only_reported() -> None:
    world = _started(llm=SMALL)
    before = world.store.snapshot()
    world.passes()
    _late_create(world)
    world.store.rewind(before)
    world.crash()
    world.start(rules=RULES)
    world.commit(other=SMALL)
    world.passes(5000)
    kept = [record for record in world.store.load("demo").deployments.values() if record.deployment.model == "llm"]
    assert all(record.adopted for record in kept)
    assert world.live == ["llm", "llm", "other"]


def test_a_record_that_went_back_under_the_same_lease_is_a_new_beginning() -> None:
    world = _started(llm=SMALL)
    world.engine.run_once()
    before = world.store.snapshot()
    world.passes()
    world.commit(llm=LARGE)
    world.passes()
    served = world.files.written["llm"]
    world.store.rewind(before, leases=True)
    with pytest.raises(Fenced, match="went back from"):
        world.engine.run_once()
    world.engine.close()
    world.passes(3000)
    assert world.verbs().count("create") == 2, "nothing is made again"
    assert world.files.written["llm"] == served
    assert world.live == ["llm"]


def test_a_lost_record_points_nobody_elsewhere() -> None:
    """Until the replacement is ready, the services keep the address that they have, although the record is empty."""
    world = _started(llm=SMALL)
    empty = world.store.snapshot()
    world.passes()
    served = world.files.written["llm"]
    world.store.rewind(empty)
    world.crash()
    world.start(rules=RULES)
    world.commit(llm=LARGE)
    world.engine.run_once()
    assert world.files.written["llm"] == served
    world.passes(3000)
    assert world.files.written["llm"] != served
    assert (world.live, world.verbs().count("create")) == (["llm"], 2)


def _unlistable(monkeypatch: pytest.MonkeyPatch, error: DriverError) -> None:
    def owned(driver: FakeDriver, lineage: str) -> Iterable[Deployment]:
        raise error

    monkeypatch.setattr(FakeDriver, "owned", owned)


def test_nothing_is_made_where_it_is_not_known_what_is_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    world = _started(llm=SMALL)
    empty = world.store.snapshot()
    world.passes()
    served = world.files.written["llm"]
    world.store.rewind(empty)
    world.crash()
    world.start(rules=RULES)
    with monkeypatch.context() as patched:
        _unlistable(patched, Unavailable("page 3: throttled"))
        assert _steps(world) == ["wait: fake does not say what it has of ours: page 3: throttled"]
        assert world.files.written["llm"] == served, "the files know more than the record"
        world.later(30)
        world.engine.run_once()
    world.later(30)
    world.passes()
    assert (world.live, world.verbs()) == (["llm"], ["create"])


def test_after_a_loss_every_platform_is_asked_at_once_also_one_that_the_file_does_not_name_any_more() -> None:
    """What serves is on the platform that the model is moving away from. It was found ten minutes later only, and the
    files had dropped its address by then (a seed of the simulator)."""
    world = _started(llm=SMALL)
    empty = world.store.snapshot()
    world.passes()
    served = world.files.written["llm"]
    world.store.rewind(empty)
    world.crash()
    world.elsewhere["new"] = FakePlatform(clock=world.clock.now, port=30000)
    world.start(rules={**RULES, "new": RULES["fake"]})
    world.commit(wish("llm", SMALL, driver="new"))
    world.engine.run_once()
    assert world.files.written["llm"] == served
    world.passes(3000)
    assert world.files.written["llm"].url.startswith("http://10.9.8.7:30000")
    assert world.live == [], "and the old one has gone"


def test_a_platform_that_may_not_be_listed_is_nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = _started(llm=SMALL)
    _unlistable(monkeypatch, Denied("no permission to list"))
    result = world.engine.run_once()
    assert result.plan is not None
    assert [(step.action, step.not_before) for step in result.plan.steps] == [(Action.WAIT, None)]
    assert not result.pending


def test_what_was_found_and_could_not_be_written_down_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the next pass took the record for whole and made everything a second time (a seed of the simulator)."""
    world = _started(llm=SMALL)
    empty = world.store.snapshot()
    world.passes()
    world.store.rewind(empty)
    world.crash()
    world.start(rules=RULES)

    def busy(*given: Any) -> int:
        raise StateBusy("somebody holds the database")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.store), "commit", busy)
        with pytest.raises(StateBusy):
            world.engine.run_once()
    world.passes()
    assert (world.live, world.verbs()) == (["llm"], ["create"])


def test_a_name_that_somebody_else_has_is_left_alone_and_another_one_tried() -> None:
    world = _started(llm=SMALL)
    world.platform.faults.append(("after", Ambiguous("timed out")))
    world.engine.run_once()
    ((name, thing),) = world.platform.things.items()
    thing.deployment = None  # somebody removed our tags while it was starting
    world.platform.strangers.add(name)
    for _ in range(10):
        world.engine.run_once()
        world.later(10)
    world.passes(3000)
    assert world.live == ["llm"]
    assert world.platform.things[name].gone_at is None
    errors = [event.text for _, event in world.store.events("demo") if event.kind == "error"]
    assert sum("belongs to somebody else" in text for text in errors) == 1, "it is said once"


def _lose_its_tags(world: World) -> tuple[str, Thing, Deployment]:
    ((name, thing),) = world.platform.things.items()
    deployment, thing.deployment = thing.deployment, None
    assert deployment is not None
    return name, thing, deployment


@pytest.mark.parametrize("passes", [1, 3000], ids=["while it started", "while it served"])
def test_what_lost_our_tags_is_replaced_never_deleted_and_told_of(passes: int) -> None:
    world = _started(llm=SMALL)
    world.engine.run_once() if passes == 1 else world.passes(passes)
    name, thing, deployment = _lose_its_tags(world)
    world.platform.strangers.add(name)
    for _ in range(100):
        world.engine.run_once()
        world.later(10)
    assert world.live == ["llm"]
    assert ("delete", name) not in world.platform.journal
    assert world.platform.things[name] is thing
    (told,) = [event for _, event in world.store.events("demo") if event.kind == "let-go"]
    assert told.deployment == deployment.id
    assert told.text == f"not ours any more, and left alone: {name} is there without our tags"


def test_what_gets_its_tags_back_after_it_was_given_up_is_taken_over_and_not_deleted() -> None:
    """That it was absent for us proves nothing about what stood in its place."""
    world = _started(llm=SMALL)
    world.engine.run_once()
    _, thing, deployment = _lose_its_tags(world)
    for _ in range(100):
        world.engine.run_once()
        world.later(10)
    assert deployment.id not in world.store.load("demo").deployments
    world.commit()
    thing.deployment = deployment
    world.later(EVERY_S)
    world.engine.run_once()
    record = world.store.load("demo").deployments[deployment.id]
    assert (record.intent, record.adopted) == (Intent.CREATE, True)


def test_a_pass_that_was_stopped_between_reading_and_its_lease_decides_nothing() -> None:
    """It would delete what has come back to the file since (a seed of the simulator)."""
    world = _started(llm=SMALL, other=SMALL)
    world.passes()
    world.engine.close()
    read = world.repository.read

    def slow() -> Any:
        reading = read()
        world.clock.sleep(300)
        return reading

    world.repository.read = slow  # type: ignore[method-assign]
    world.commit(other=SMALL)
    with pytest.raises(Fenced, match="what it read is old"):
        world.engine.run_once()
    assert world.live == ["llm", "other"]


def test_a_restart_that_nobody_saw_end_is_done_again_although_the_file_says_what_it_said_before() -> None:
    """Killed right after services were restarted with new values; then the old ones are wanted again."""
    world = World()
    world.start(roll_out=True)
    world.commit(llm=SMALL)
    world.passes()
    restart = world.running.roll_out

    def killed(*given: Any) -> tuple[str, ...]:
        restart(*given)
        raise KeyboardInterrupt

    world.commit(llm=LARGE)
    world.running.roll_out = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.passes()
    world.running.roll_out = restart  # type: ignore[method-assign]
    world.commit(llm=SMALL)
    world.crash()
    world.start(roll_out=True)
    world.passes(3000)
    assert world.running.rolled_out == ["app", "app", "app"]


def test_a_stranger_of_our_name_keeps_its_bytes() -> None:
    world = _started(llm=SMALL)
    world.engine.run_once()
    ((name, _),) = world.platform.things.items()
    stranger = Thing(None, world.clock.now() + timedelta(days=1))
    world.platform.things[name] = stranger
    world.passes(3000)
    assert world.platform.things[name] is stranger


def test_services_that_an_older_record_knows_nothing_of_are_restarted() -> None:
    """The file was written back to what the record says, and the services ran on with what it had said in between:
    that they were restarted for the old values was recorded before they got the new ones."""
    world = _started(llm=SMALL)
    world.start(rules=RULES, roll_out=True)
    world.passes()
    before = world.store.snapshot()
    world.commit(llm=LARGE)
    world.passes(30)  # the switch, and not the bake time after it
    assert world.running.rolled_out == ["app", "app"]
    world.store.rewind(before)
    world.commit(llm=SMALL)
    world.start(rules=RULES, roll_out=True)
    world.passes()
    assert world.running.rolled_out == ["app", "app", "app"]


def test_a_restart_that_is_due_is_durable_before_the_file_is_written_back() -> None:
    """Whoever comes after a crash finds a file that says what the record says, and could not tell any more."""
    world = _started(llm=SMALL)
    world.start(rules=RULES, roll_out=True)
    world.passes()
    world.files.written = {}
    applied: list[str] = []
    publish = world.files.publish

    def looked_at(*given: Any, **named: Any) -> Any:
        applied.append(world.store.load("demo").outputs["app.env"].applied)
        return publish(*given, **named)

    world.files.publish = looked_at  # type: ignore[method-assign]
    world.engine.run_once()
    assert applied == [""]
    assert world.running.rolled_out == ["app", "app"]


def _with_an_older_record() -> World:
    """The files, and what runs, are of a later record than the one that is there."""
    world = _started(llm=SMALL)
    world.passes()
    copy = world.store.snapshot()
    world.commit(llm=LARGE)
    world.passes(30)  # the switch, and not the bake time after it
    world.store.rewind(copy)
    return world


def test_beside_what_an_older_record_knows_nothing_is_made_before_all_has_arrived() -> None:
    """A third one might be on its way, or be there and in no listing yet (rough seeds 7048, 7060 and 7821)."""
    world = _with_an_older_record()
    (recorded,) = world.store.load("demo").deployments.values()
    (late,) = (name for name in world.platform.things if name != recorded.deployment.name)
    on_its_way = world.platform.things.pop(late)
    world.start(rules=RULES)
    world.commit(llm=model_spec(context_size=3))
    assert _steps(world) == ["wait: the record is incomplete: more may have been asked for on fake"]
    world.platform.things[late] = on_its_way
    world.later(FakeDriver.capabilities.settle_s)
    assert world.live == ["llm", "llm"]
    world.engine.run_once()
    assert on_its_way.deployment is not None
    assert on_its_way.deployment.id in world.store.load("demo").deployments
    world.passes(3000)
    assert world.live == ["llm"]


@pytest.mark.parametrize("claims", [0, 1])
def test_that_the_record_is_an_older_one_is_written_down_before_our_own_stamp_hides_it(
    monkeypatch: pytest.MonkeyPatch, claims: int
) -> None:
    """Whoever comes after us finds files that are newer than the record, or a record that says so. Meanwhile the files
    carry our lease: whoever had it before does not write them any more (single fault 303 of `lost_state`)."""
    world = _with_an_older_record()
    world.start(rules=RULES)
    made: list[int] = []
    claim = world.files.claim

    def dies(stamp: Stamp) -> None:
        if len(made) == claims:
            raise NotWritten("no space left on device")
        claim(stamp)
        made.append(stamp.epoch)

    with monkeypatch.context() as patched:
        patched.setattr(world.files, "claim", dies)
        with pytest.raises(NotWritten):
            world.engine.run_once()
    recorded = world.store.load("demo")
    assert world.files.serial > recorded.serial or all(each.doubted_at for each in recorded.deployments.values())
    assert made == [recorded.epoch][:claims]
    world.start(rules=RULES)
    world.engine.run_once()
    assert all(each.doubted_at is not None for each in world.store.load("demo").deployments.values())


def test_whoever_sees_the_record_go_back_says_so_to_its_successor() -> None:
    """Where no file is newer than the record, nobody else can tell."""
    world = _started(llm=SMALL)
    world.engine.run_once()
    copy = world.store.snapshot()
    world.passes()
    world.files.epoch = world.files.serial = 0
    world.store.rewind(copy, leases=True)
    with pytest.raises(Fenced):
        world.engine.run_once()
    world.engine.close()
    world.start(rules=RULES)
    world.engine.run_once()
    assert all(record.doubted_at is not None for record in world.store.load("demo").deployments.values())


def test_what_was_found_and_is_named_by_the_files_keeps_its_address_in_silence() -> None:
    """Services were pointed at it once more, and nobody lived to record that (rough seed 3972)."""
    world = _started(llm=SMALL)
    world.passes()
    (record,) = world.store.load("demo").deployments.values()
    assert world.engine.tenure is not None
    found = replace(record, adopted=True, active=False, retired_at=world.clock.now())
    world.engine.tenure.commit(PutDeployment(found))
    world.platform.silent = True
    world.engine.run_once()
    assert list(world.files.written) == ["llm"]


def test_a_deletion_from_a_past_that_did_not_happen_is_not_carried_out() -> None:
    """The record went back twice: to a time without it, after which it was found and served, and then to a copy from
    before, in which its deletion was resolved (rough seeds 8635 and 9553)."""
    world = _started(llm=SMALL)
    world.passes()
    (record,) = world.store.load("demo").deployments.values()
    assert world.engine.tenure is not None
    leaving = replace(record, intent=Intent.DELETE, active=False, doubted_at=world.clock.now())
    world.engine.tenure.commit(PutDeployment(leaving))
    world.engine.run_once()
    (record,) = world.store.load("demo").deployments.values()
    assert (record.intent, record.active) == (Intent.CREATE, True)
    assert ("delete", record.deployment.name) not in world.platform.journal
    world.engine.tenure.commit(PutDeployment(replace(leaving, doubted_at=None)))
    world.engine.run_once()
    assert ("delete", record.deployment.name) in world.platform.journal, "without a doubt it is"


def test_after_a_sleep_a_pass_begins_under_a_lease_of_its_own() -> None:
    world = _started(llm=SMALL)
    world.passes()
    assert world.engine.tenure is not None
    before = world.engine.tenure.lease.epoch
    world.clock.sleep(3600)
    world.engine.tenure.keep()
    world.engine.run_once()
    assert world.engine.tenure.lease.epoch > before
