"""The rules that need a memory can see: each one fires in a world that breaks it, or without what keeps it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from drivers.base import Endpoint, Observation, Phase
from drivers.fake import FLAVOURS
from reconciler import apply, case, engine, intents, inventory
from state.record import DeploymentRecord, Intent, PutDeployment
from tests.builders import deployment, deployment_record
from tests.sim.faults import Fault, Recording
from tests.sim.invariants import after_effect
from tests.sim.ledger import ORPHAN_S, after_commit, after_write, before_create, look_for_orphans
from tests.sim.run import Outcome, run
from tests.sim.scenarios import OTHER, B, want
from tests.sim.world import World


def _world() -> World:
    """One project; nothing of it is there yet."""
    world = World(1, Recording())
    world.commit("demo", OTHER, want())
    return world


def _broken(world: World) -> list[str]:
    return [text.partition(":")[0] for text in world.violations]


def _first_red(story: str, chooser: Callable[[random.Random], Any], at_most: int = 200) -> str:
    """The rule that is broken first, in some run of a story."""
    outcomes: Iterator[Outcome] = (run(story, seed, chooser(random.Random(seed))) for seed in range(at_most))
    red = next(outcome for outcome in outcomes if outcome.violations)
    return red.violations[0].partition(":")[0]


def _quietly(rng: random.Random) -> Recording:
    return Recording()


@dataclass(slots=True)
class _BusyAndSilent:
    """A store that is often busy and a platform that often does not say how things are."""

    rng: random.Random

    def choose(self, number: int, kind: str, who: str) -> Fault | None:
        fault = {"commit": Fault.BUSY, "observe": Fault.THROTTLE}.get(kind)
        return fault if self.rng.random() < 0.3 else None


# -- S6 -----------------------------------------------------------------------------------------------------------


def test_what_no_record_has_must_be_shown_by_a_listing() -> None:
    world = _world()
    world.platforms["fake"].create(deployment(lineage=world.store.lineage))
    world.platforms["fake"].create(deployment(2, lineage="somebody else's"))
    after_effect(world)
    assert _broken(world) == [], "a listing may take a minute"
    world.scheduler.time += 61
    after_effect(world)
    assert _broken(world) == ["S6"]
    assert "demo-llm-2" in world.violations[0]


def test_a_record_must_lead_to_its_thing() -> None:
    world = _world()
    there = deployment(lineage=world.store.lineage)
    world.platforms["fake"].create(there)
    world.recorded[there.id] = there.name
    after_effect(world)
    assert _broken(world) == []
    world.recorded[there.id] = "another-name"
    after_effect(world)
    assert _broken(world) == ["S6"]


def test_nobody_forgets_what_lost_its_tags_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "LET_GO", apply.FORGOTTEN)
    assert _first_red("stripped_while_starting", _quietly, 20) == "S6"
    assert _first_red("stripped_tags", _quietly, 20) == "S6"


# -- S15 ----------------------------------------------------------------------------------------------------------


def test_a_phase_that_nobody_said_is_seen() -> None:
    world, said = _world(), {"01J00000000000000000000001": Phase.READY}
    ready = deployment_record(1)
    after_commit(world, said, [PutDeployment(ready), PutDeployment(deployment_record(2, phase=Phase.UNKNOWN))])
    assert _broken(world) == []
    after_commit(world, said, [PutDeployment(replace(ready, phase=Phase.FAILED))])
    assert _broken(world) == ["S15"]


def test_a_failure_that_spreads_to_another_model_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One deployment of a platform has failed, so all of them have."""
    usual = engine.observe_all

    def spread(*given: Any) -> dict[str, Observation]:
        seen = usual(*given)
        failed = next((each for each in seen.values() if each.phase is Phase.FAILED), None)
        return {id: failed or each for id, each in seen.items()}

    monkeypatch.setattr(engine, "observe_all", spread)
    assert _first_red("failed_start", _quietly, 20) == "S15"


def test_an_address_that_gets_lost_although_its_model_serves_is_seen() -> None:
    world = _world()
    place, platform = world.places["demo"], world.platforms["fake"]
    platform.create(deployment(lineage=world.store.lineage))
    world.scheduler.time += 60
    (port,) = (thing.port for thing in platform.things.values() if thing.deployment is not None)
    serving = Endpoint(url=f"http://10.9.8.7:{port}/v1/", model_id="ai/smollm2")
    after_write(world, place, {"llm": replace(serving, url="http://10.9.8.7:1/v1/")}, ["llm"])
    after_write(world, place, {"llm": serving}, ["other"])
    assert _broken(world) == [], "it serves nobody there, or nobody asks for it"
    after_write(world, place, {"llm": serving}, ["llm"])
    assert _broken(world) == ["S15"]


def test_without_the_files_in_mind_silence_costs_a_serving_model_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it was: only what answers just now may be what the files name."""

    def there(record: DeploymentRecord) -> bool:
        offered = record.intent is Intent.CREATE and record.ready_at is not None and record.retired_at is None
        return offered and record.phase in (Phase.READY, Phase.DEGRADED)

    monkeypatch.setattr(case, "was_offered", there)
    assert _first_red("add", _BusyAndSilent) == "S15"


# -- L4 -----------------------------------------------------------------------------------------------------------


def test_an_orphan_that_nobody_takes_care_of_for_too_long_is_seen() -> None:
    world = _world()
    world.platforms["fake"].create(deployment(lineage=world.store.lineage))
    after_effect(world)
    world.scheduler.time += ORPHAN_S + 1
    look_for_orphans(world, quiet_since=world.scheduler.time - 10)
    assert _broken(world) == [], "until just now there were faults"
    look_for_orphans(world)
    assert _broken(world) == ["L4"]


def test_without_the_sweeper_what_arrives_after_everybody_forgot_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(sweeps: Any, needed: Any, every: Any, *given: Any) -> list[str]:
        return [] if sweeps.tried_s else sorted(every)

    monkeypatch.setattr(inventory, "due", once)
    assert _first_red("revived", _quietly, 20) == "L4"


# -- L6 -----------------------------------------------------------------------------------------------------------


def test_attempts_without_end_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = intents.one_more_attempt

    def uncounted(*given: Any) -> Any:
        return replace(usual(*given), attempts=0)

    monkeypatch.setattr(intents, "one_more_attempt", uncounted)
    assert _first_red("given_up", _quietly, 20) == "L6"


def test_one_deployment_more_than_anybody_asked_for_is_seen() -> None:
    world = _world()
    for _ in range(3):
        before_create(world, deployment(1))
    assert _broken(world) == [], "the same one may be asked for again and again"
    world.commit("demo", OTHER, want(spec=B))
    before_create(world, deployment(2))
    world.excuse(deployment(2))
    before_create(world, deployment(3))
    assert _broken(world) == [], "two specs, and one was taken away"
    before_create(world, deployment(4))
    assert _broken(world) == ["L6"]


# -- what the rules are looked at with -----------------------------------------------------------------------------


def test_calls_that_arrive_late_take_effect_on_every_kind_of_platform() -> None:
    """Chance alone does not get there: what timed out is asked for again, and the retry is quicker."""
    missing = {f"{verb} on {flavour.__name__}" for verb in ("create", "delete") for flavour in FLAVOURS.values()}
    for seed in range(200):
        missing -= set(run("late_echo", seed, Recording()).late)
        if not missing:
            return
    assert not missing
