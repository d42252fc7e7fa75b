"""The platform in memory keeps the same contract as the real ones, so that what is proved on it means something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from drivers.base import Deployment, Driver, ModelSpec, Observation, Phase
from drivers.fake import REFUSED_FLAG, FakeDriver, FakePlatform, Thing
from tests import builders
from tests.drivers.contract import DriverContract


@dataclass
class _Harness:
    now: datetime = builders.NOON
    platform: FakePlatform = field(init=False)
    driver: Driver = field(init=False)

    def __post_init__(self) -> None:
        self.platform = FakePlatform(clock=lambda: self.now)
        self.driver = FakeDriver(self.platform)

    def deployment(self, number: int = 1) -> Deployment:
        return builders.deployment(number)

    def refused_spec(self) -> ModelSpec:
        return builders.model_spec(runtime_flags=(REFUSED_FLAG,))

    def after_a_crash(self) -> Driver:
        return FakeDriver(self.platform)

    def things(self, deployment: Deployment) -> int:
        self.platform.tidy()
        owners = [thing.deployment for thing in self.platform.things.values()]
        return sum(owner is not None and owner.id == deployment.id for owner in owners)

    def occupy(self, deployment: Deployment) -> Callable[[], bool]:
        stranger = Thing(None, self.now)
        self.platform.things[deployment.name] = stranger
        return lambda: self.platform.things.get(deployment.name) is stranger and stranger.gone_at is None

    def until(self, ask: Callable[[Deployment], Observation], deployment: Deployment, *phases: Phase) -> Observation:
        for _ in range(100):
            seen = ask(deployment)
            if seen.phase in phases:
                return seen
            self.now += timedelta(seconds=1)
        raise AssertionError(f"none of {phases} within 100 s")


class TestFakeDriver(DriverContract):
    @pytest.fixture
    def harness(self) -> _Harness:
        return _Harness()
