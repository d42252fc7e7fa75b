"""What one test stands on: an account, a lineage of its own, the journal, and the time it has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from drivers import registry
from drivers.aws.clients import Clients
from drivers.aws.place import Place, known_places
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, Driver, Observation, Phase
from drivers.errors import Ambiguous, Unavailable
from drivers.naming import external_name, mint_id
from reconciler.settings import read_settings
from tests.drivers.remembering import Remembering
from tests.live.census import Census, Thing
from tests.live.consent import Consent
from tests.live.journal import Journal

BEGINNING = "11feca5e-"
"""How the lineages of live tests begin, so that the sweep knows them also where the journal is lost."""
PLATFORMS = ("aws-bedrock", "aws-sagemaker", "aws-ec2")


class TimeIsUp(AssertionError):
    """A test took longer than it said; what it made is removed now."""


@dataclass
class Account:
    """An account, seen with the operator's settings."""

    consent: Consent
    settings: AwsSettings
    clients: Clients

    def driver(self, platform: str) -> Driver:
        """A driver that knows of nothing."""
        return registry.create(platform, settings=self.settings, clients=self.clients, clock=lambda: datetime.now(UTC))

    @property
    def places(self) -> tuple[Place, ...]:
        """Everywhere that the settings lead to."""
        return known_places(self.settings)

    @property
    def region(self) -> str:
        """Where things are made."""
        return self.clients.region(self.places[0])

    def census(self, place: Place | None = None) -> Census:
        return Census(self.clients, place or self.places[0])

    def count(self, platform: str, lineage: str) -> tuple[Thing, ...]:
        """What there is of a lineage, wherever the settings lead."""
        return tuple(thing for place in self.places for thing in self.census(place).count(platform, lineage))


def account_of(consent: Consent, keys: Path) -> Account:
    """Raises ValueError for settings without a section aws, InputError for bad ones. `keys` is a private folder."""
    read = read_settings(consent.settings, consent.settings.read_bytes(), os.environ).aws
    if read is None or not read.account:
        raise ValueError(f"{consent.settings} must have a section aws with the account that is meant: aws.account")
    settings = replace(read, key_root=keys)
    return Account(consent, settings, Clients(settings))


@dataclass
class Ground:
    """Of one test. `until_s` is its deadline, monotonic."""

    account: Account
    journal: Journal
    test: str
    until_s: float
    lineage: str = field(default_factory=lambda: BEGINNING + str(uuid4())[len(BEGINNING) :])
    platform: str | None = None

    def begins(self, platform: str) -> None:
        """Something of this platform, the only one of the test, may be made from now on."""
        if self.platform is None:
            self.platform = platform
            self.journal.begins(self.lineage, platform, self.test)
        assert self.platform == platform

    def deployment(self, spec: Any, model: str = "llm") -> Deployment:
        """A new one, under an id and a name that nothing else has."""
        id = mint_id(datetime.now(UTC), os.urandom)
        name = external_name(self.lineage, model, id)
        return Deployment(id=id, lineage=self.lineage, project="live", model=model, name=name, spec=spec)

    def driver(self, platform: str) -> Watched:
        """A driver that has just started, and writes down what it is asked for."""
        self.begins(platform)
        return Watched(self.account.driver(platform), self)

    def check(self) -> None:
        """Raises TimeIsUp."""
        if time.monotonic() > self.until_s:
            raise TimeIsUp(f"{self.test} took longer than it said")

    def wait(self) -> None:
        """Until something may have changed."""
        self.check()
        time.sleep(self.account.consent.every_s)

    def until(self, ask: Callable[[Deployment], Observation], deployment: Deployment, *phases: Phase) -> Observation:
        """Ask again and again until a phase of these is the answer. What has FAILED will not be another one."""
        while True:
            try:
                seen = ask(deployment)
            except (Unavailable, Ambiguous) as not_now:  # as AWS says to the deletion of what it is still making
                seen = Observation(phase=Phase.UNKNOWN, detail=str(not_now))
            if seen.phase in phases:
                return seen
            if seen.phase is Phase.FAILED and Phase.READY in phases:
                raise AssertionError(f"{deployment.name} failed: {seen.detail}")
            self.wait()

    def eventually(self, what: str, look: Callable[[], Any]) -> Any:
        """The first answer that says yes, for as long as a listing may lag. AssertionError with `what`."""
        began_s = time.monotonic()
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > began_s + self.account.consent.lag_s:
                raise AssertionError(f"{what}: not within {self.account.consent.lag_s:g} s")
            self.wait()

    def finds(self, text: str) -> None:
        """Keep what only an account could tell; it is printed at the end of the run."""
        self.journal.found(self.test, text)


class Watched(Remembering):
    """A driver in the hands of a reconciler, which has every deployment in the journal before it is asked for."""

    def __init__(self, driver: Driver, ground: Ground) -> None:
        super().__init__(driver)
        self._ground, self._asked = ground, set[str]()

    def create(self, deployment: Deployment) -> Observation:
        self._ground.check()
        if deployment.id not in self._asked:
            where = self.driver.destination(deployment.spec)  # type: ignore[attr-defined]
            self._ground.journal.asks(replace(deployment, handle=where))
            self._asked.add(deployment.id)
        return super().create(deployment)


def environment_of(rehearsal: bool, environment: Mapping[str, str]) -> dict[str, str]:
    """What a command needs of ours to reach the same account."""
    names = (name for name in environment if name.startswith("AWS_"))
    return {name: environment[name] for name in names if rehearsal or not name.startswith("AWS_ENDPOINT_URL")}
