"""Promise: the rules see what they are for, and except no more than what they say, which is counted."""

from __future__ import annotations

from collections import Counter

import pytest

from reconciler.desired import DesiredModel
from state.record import DeploymentRecord, Intent, ModelRecord, PutModel
from tests.builders import deployment, deployment_record
from tests.sim.faults import Recording
from tests.sim.invariants import after_effect, after_resolving, before_call
from tests.sim.mishaps import put_back
from tests.sim.mutants import maimed
from tests.sim.scenarios import OTHER, want
from tests.sim.told import PROTECTION
from tests.sim.world import World

LLM = want(options=PROTECTION)


def _world(*models: DesiredModel) -> World:
    world = World(0, Recording())
    world.commit("demo", *models)
    return world


def _deleting(number: int = 1, **given: object) -> DeploymentRecord:
    return deployment_record(number, intent=Intent.DELETE, active=False, driver="fake", **given)


def _takes_lease(world: World, holder: str, epoch: int) -> None:
    world.leases["demo"], world.given_at["demo"] = (epoch, holder), world.scheduler.time


def _calls(world: World, holder: str) -> None:
    one = deployment()
    world.resolved.add(("delete", one.name))
    before_call(world, holder, True, "delete", "fake", one)


def _protects(world: World, model: str = "llm") -> None:
    world.places["demo"].protected[model] = world.scheduler.time


# -- S10 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("served", [True, False])
def test_a_deletion_of_what_is_protected_is_seen_also_where_no_file_ever_named_it(served: bool) -> None:
    """It was only seen where a file had named it: one that was ready too late for that went unnoticed (seed 103)."""
    world = _world(OTHER, LLM)
    _protects(world)
    record = _deleting() if served else _deleting(endpoint=None, ready_at=None)
    after_resolving(world, record, {"other": OTHER}, world.scheduler.time, {})
    assert world.violations == [f"S10: {record.deployment.name} is protected and was deleted"]


def test_what_the_file_still_asks_for_may_be_replaced_although_it_is_protected() -> None:
    world = _world(OTHER, LLM)
    _protects(world)
    after_resolving(world, _deleting(), {"other": OTHER, "llm": LLM}, world.scheduler.time, {})
    assert not world.violations


def test_a_protection_that_went_back_with_the_store_is_excepted_and_counted() -> None:
    world = _world(OTHER, LLM)
    empty = world.store.snapshot()
    lease = world.store.acquire("demo", "one", 60.0)
    world.store.commit(lease, (PutModel(ModelRecord(key="llm", protected=True)),))
    _protects(world)
    world.scheduler.time += 1
    put_back(world, empty, leases=False)
    after_resolving(world, _deleting(), {"other": OTHER}, world.scheduler.time, {})
    assert not world.violations
    assert world.pardons == Counter({"S10, its protection was lost when the store went back": 1})


def test_a_protection_that_the_record_still_has_is_never_excepted() -> None:
    world = _world(OTHER, LLM)
    lease = world.store.acquire("demo", "one", 60.0)
    world.store.commit(lease, (PutModel(ModelRecord(key="llm", protected=True)),))
    _protects(world)
    world.scheduler.time += 1
    put_back(world, world.store.snapshot(), leases=False)
    after_resolving(world, _deleting(), {"other": OTHER}, world.scheduler.time, {})
    assert [text.partition(":")[0] for text in world.violations] == ["S10"]


def test_without_protection_the_rule_itself_turns_red() -> None:
    outcomes = [maimed("protection", seed) for seed in range(40)]
    assert any(text.startswith("S10") for outcome in outcomes for text in outcome.violations)


# -- S8 ---------------------------------------------------------------------------------------------------------------


def test_a_call_without_the_lease_is_seen() -> None:
    world = _world(OTHER)
    world.heard["a"] = world.scheduler.time
    _takes_lease(world, "b", 2)
    world.scheduler.time += 1
    _calls(world, "a")
    assert [text.partition(":")[0] for text in world.violations] == ["S8"]


def test_one_whose_lease_went_back_with_the_store_may_begin_what_was_durable_and_no_more() -> None:
    world = _world(OTHER)
    world.store.acquire("demo", "b", 60.0)
    copy = world.store.snapshot()
    _takes_lease(world, "a", 2)
    world.heard["a"] = world.scheduler.time
    world.scheduler.time += 1
    put_back(world, copy, leases=True)
    world.scheduler.time += 1
    _calls(world, "a")
    assert not world.violations
    assert world.pardons == Counter({"S8, begun before its holder could hear that the store went back": 1})
    world.heard["a"] = world.scheduler.time
    _calls(world, "a")
    assert [text.partition(":")[0] for text in world.violations] == ["S8"]


def test_one_that_had_lost_its_lease_before_the_store_went_back_is_not_excepted() -> None:
    world = _world(OTHER)
    world.store.acquire("demo", "b", 60.0)
    copy = world.store.snapshot()
    world.heard["a"] = world.scheduler.time
    _takes_lease(world, "b", 2)
    world.scheduler.time += 1
    put_back(world, copy, leases=True)
    world.scheduler.time += 1
    _calls(world, "a")
    assert [text.partition(":")[0] for text in world.violations] == ["S8"]


# -- S2 ---------------------------------------------------------------------------------------------------------------


def _three(world: World) -> None:
    for number in range(1, 4):
        world.platforms["fake"].create(deployment(number, lineage=world.store.lineage))
        world.scheduler.time += 5


def test_a_third_one_is_seen_and_excepted_where_the_store_went_back_behind_one_of_them() -> None:
    world = _world(OTHER)
    _three(world)
    put_back(world, world.store.snapshot(), leases=False)
    world.lost = {deployment(1).name}
    after_effect(world)
    after_effect(world)
    assert not world.violations
    assert world.pardons == Counter({"S2, one was taken out of the record when the store went back": 1})
    world.lost = set()
    after_effect(world)
    assert [text.partition(":")[0] for text in world.violations] == ["S2"]


def test_asking_for_a_third_one_is_seen_whatever_the_store_lost() -> None:
    world = _world(OTHER)
    _three(world)
    third = deployment(3)
    world.resolved.add(("create", third.name))
    world.recorded = {deployment(number).id: deployment(number).name for number in range(1, 4)}
    world.lost = set(world.recorded.values())
    before_call(world, "a", True, "create", "fake", third)
    assert "S2" in {text.partition(":")[0] for text in world.violations}
