"""The platforms in memory keep the same contract as the real ones, so that what is proved on them means something."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from drivers.base import Deployment, Driver, ModelSpec, Observation, Phase
from drivers.errors import Ambiguous, Rejected, Taken, Unavailable
from drivers.fake import (
    FLAVOURS,
    REFUSED_FLAG,
    FakeDriver,
    FakePlatform,
    NamedPlatform,
    OperationPlatform,
    PartsPlatform,
    Thing,
    TokenPlatform,
)
from tests import builders
from tests.drivers.contract import DriverContract


@dataclass
class _Harness:
    flavour: type[FakePlatform]
    now: datetime = builders.NOON
    platform: FakePlatform = field(init=False)
    driver: Driver = field(init=False)

    def __post_init__(self) -> None:
        self.platform = self.flavour(clock=lambda: self.now)
        self.driver = FakeDriver(self.platform, capabilities=self.platform.capabilities)

    def deployment(self, number: int = 1) -> Deployment:
        return builders.deployment(number)

    def refused_spec(self) -> ModelSpec:
        return builders.model_spec(runtime_flags=(REFUSED_FLAG,))

    def after_a_crash(self) -> Driver:
        self.now += timedelta(seconds=5)  # a restart takes longer than reads lag behind writes
        return FakeDriver(self.platform, capabilities=self.platform.capabilities)

    def things(self, deployment: Deployment) -> int:
        self.platform.tidy()
        owners = [thing.deployment for thing in self.platform.things.values()]
        return sum(owner is not None and owner.id == deployment.id for owner in owners)

    def occupy(self, deployment: Deployment) -> Callable[[], bool]:
        if isinstance(self.platform, TokenPlatform):  # names mean nothing there; the token is what can be taken
            self.platform.tokens[deployment.id] = ("another digest", "i-stranger")
        stranger = self.platform.things[deployment.name] = Thing(None, self.now)
        return lambda: self.platform.things.get(deployment.name) is stranger and stranger.gone_at is None

    def until(self, ask: Callable[[Deployment], Observation], deployment: Deployment, *phases: Phase) -> Observation:
        for _ in range(100):
            try:
                seen = ask(deployment)
            except Unavailable:
                seen = Observation(phase=Phase.UNKNOWN)  # not now, as platforms say of what is being created
            if seen.phase in phases:
                return seen
            self.now += timedelta(seconds=1)
        raise AssertionError(f"none of {phases} within 100 s")


@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS.keys())
class TestFakeDriver(DriverContract):
    @pytest.fixture
    def harness(self, flavour: type[FakePlatform]) -> _Harness:
        return _Harness(flavour)


def _ready(flavour: type[FakePlatform]) -> tuple[_Harness, Deployment]:
    harness = _Harness(flavour)
    deployment = harness.deployment()
    harness.driver.create(deployment)
    harness.until(harness.driver.observe, deployment, Phase.READY)
    return harness, deployment


def test_names_what_is_being_created_cannot_be_deleted() -> None:
    harness = _Harness(NamedPlatform)
    harness.driver.create(harness.deployment())
    with pytest.raises(Unavailable):
        harness.driver.delete(harness.deployment())


def test_names_a_delete_during_an_update_says_yes_and_does_nothing() -> None:
    harness, deployment = _ready(NamedPlatform)
    harness.driver.update(deployment)
    harness.driver.delete(deployment)
    harness.now += timedelta(minutes=1)
    assert harness.driver.observe(deployment).phase is Phase.READY


def test_tokens_the_same_one_with_other_parameters_is_refused_and_makes_nothing() -> None:
    harness, deployment = _ready(TokenPlatform)
    with pytest.raises(Rejected, match="request token"):
        harness.driver.create(replace(deployment, spec=builders.model_spec(context_size=9999)))
    assert harness.things(deployment) == 1


def test_tokens_what_was_made_is_listed_a_little_later_only() -> None:
    harness = _Harness(TokenPlatform)
    deployment = harness.deployment()
    assert harness.driver.create(deployment).phase is Phase.CREATING
    assert harness.driver.observe(deployment).phase is Phase.ABSENT
    harness.now += timedelta(seconds=5)
    assert harness.driver.observe(deployment).phase is Phase.CREATING


def test_tokens_a_spent_one_makes_nothing_new_and_says_so() -> None:
    """Who is told yes each time waits for ever."""
    harness, deployment = _ready(TokenPlatform)
    harness.until(harness.driver.delete, deployment, Phase.ABSENT)
    with pytest.raises(Taken, match="which is gone"):
        harness.driver.create(deployment)
    assert harness.things(deployment) == 0


@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS.keys())
def test_what_lost_its_tags_is_absent_and_foreign_and_its_create_is_refused(flavour: type[FakePlatform]) -> None:
    harness, deployment = _ready(flavour)
    ((id, thing),) = harness.platform.things.items()
    thing.deployment = None
    seen = harness.driver.observe(deployment)
    assert (seen.phase, seen.foreign, seen.detail) == (Phase.ABSENT, True, f"{id} is there without our tags")
    with pytest.raises(Taken):
        harness.driver.create(deployment)
    assert harness.driver.delete(deployment) == seen
    assert harness.platform.things == {id: thing}
    assert thing.gone_at is None


def test_operations_one_delete_undeploys_and_the_next_one_takes_the_endpoint() -> None:
    harness, deployment = _ready(OperationPlatform)
    harness.driver.delete(deployment)
    harness.now += timedelta(minutes=10)
    assert harness.driver.observe(deployment).phase is Phase.DELETING
    assert harness.things(deployment) == 1
    harness.driver.delete(deployment)
    harness.now += timedelta(minutes=1)
    assert harness.things(deployment) == 0


@pytest.mark.parametrize("part", ["model", "config", "endpoint"])
def test_parts_a_create_that_was_cut_off_is_completed_and_costs_meanwhile(part: str) -> None:
    harness = _Harness(PartsPlatform)
    platform, deployment = harness.platform, harness.deployment()
    assert isinstance(platform, PartsPlatform)

    def cut_off(here: str) -> None:
        if here == part:
            raise Ambiguous("timed out")

    platform.between = cut_off
    with pytest.raises(Ambiguous):
        harness.driver.create(deployment)
    harness.now += timedelta(hours=1)
    assert platform.cost_usd() == (0.0 if part == "model" else pytest.approx(1.0))
    assert harness.driver.observe(deployment).phase is (Phase.ABSENT if part == "model" else Phase.FAILED)
    platform.between = lambda here: None
    harness.driver.create(deployment)
    harness.until(harness.driver.observe, deployment, Phase.READY)
    assert harness.things(deployment) == 1


def test_parts_two_things_never_answer_at_one_address() -> None:
    """Not even where a create was cut off after its first part (a seed of the simulator)."""
    harness = _Harness(PartsPlatform)
    platform = harness.platform
    assert isinstance(platform, PartsPlatform)

    def cut_off(here: str) -> None:
        if here == "config":
            raise Ambiguous("timed out")

    for number, between in ((1, cut_off), (2, lambda here: None), (1, lambda here: None)):
        platform.between = between
        with suppress(Ambiguous):
            harness.driver.create(harness.deployment(number))
    endpoints = {
        harness.until(harness.driver.observe, harness.deployment(number), Phase.READY).endpoint for number in (1, 2)
    }
    assert len(endpoints) == 2


def test_parts_a_delete_that_was_cut_off_is_not_absent() -> None:
    harness, deployment = _ready(PartsPlatform)
    assert isinstance(harness.platform, PartsPlatform)

    def cut_off(here: str) -> None:
        if here == "config":
            raise Ambiguous("timed out")

    harness.platform.between = cut_off
    with pytest.raises(Ambiguous):
        harness.driver.delete(deployment)
    assert harness.driver.observe(deployment).phase is Phase.FAILED


def test_the_meter_runs_from_the_create_until_it_is_gone() -> None:
    harness = _Harness(FakePlatform)
    harness.driver.create(harness.deployment())
    harness.now += timedelta(minutes=30)
    harness.driver.delete(harness.deployment())
    harness.now += timedelta(hours=5)
    assert harness.platform.cost_usd() == pytest.approx(0.5, abs=0.01)
