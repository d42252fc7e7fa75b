"""What all platforms in memory share: things under unique names, time, scripted faults, a journal and a price meter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from drivers.base import Capabilities, Deployment, Endpoint, Observation, Phase
from drivers.errors import DriverError, Exhausted, Taken, Unavailable

REFUSED_FLAG = "--never"
"""A runtime flag that every platform in memory refuses."""


@dataclass(slots=True)
class Thing:
    """One object on the platform, whoever owns it."""

    deployment: Deployment | None
    """Whose it is by its tags; None for a stranger's."""
    ready_at: datetime
    fails: str = ""
    """Why it will be FAILED instead of READY."""
    gone_at: datetime | None = None
    port: int = 0
    answering: int = 0
    """Requests in flight."""
    made_at: datetime | None = None
    """Since when it costs money."""
    busy_until: datetime | None = None
    """Until when an update is under way."""
    parts: tuple[str, ...] = ()
    """What it consists of, where it has parts; without all of them it does not answer."""


@dataclass(slots=True)
class FakePlatform:
    """The world behind the driver. Several drivers on it see the same things; times come from `clock`.

    The plain one: names are unique and a stranger's is refused, creating and deleting take time.
    """

    clock: Callable[[], datetime]
    create_s: float = 10.0
    delete_s: float = 5.0
    things: dict[str, Thing] = field(default_factory=dict)
    """By the platform's own id, which is the name where names are unique."""
    journal: list[tuple[str, str]] = field(default_factory=list)
    """Every mutating call that took effect: what and which name."""
    failing: dict[str, str] = field(default_factory=dict)
    """Model key to why the next deployments of it will fail."""
    port: int | None = None
    """At which the next things answer; None for one of their own each."""
    next_port: int = 20000
    silent: bool = False
    """The platform does not answer at all."""
    faults: list[tuple[Literal["before", "after"], DriverError]] = field(default_factory=list)
    """Each is used up by one mutating call: raised before, or after, the call took effect."""
    strangers: set[str] = field(default_factory=set)
    """Ids of things that are somebody else's."""
    capacity: int | None = None
    """How many things there is room for; None for any number. What is beyond is refused as `Exhausted`."""
    usd_per_hour: float = 1.0
    """What each thing costs from its creation until it is gone, ready or not."""
    spent_usd: float = 0.0
    """For things that are gone."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(settle_s=30.0, startup_timeout_s=300.0, degraded_grace_s=20.0)

    def tidy(self) -> None:
        """Let deletions end whose time has come."""
        going = [(id, thing.gone_at) for id, thing in self.things.items() if thing.gone_at is not None]
        for id, gone_at in going:
            if gone_at <= self.clock():
                self.spent_usd += self._cost(self.things.pop(id))

    def cost_usd(self) -> float:
        """What everything of ours has cost so far."""
        self.tidy()
        return self.spent_usd + sum(self._cost(thing) for thing in self.things.values())

    def find(self, deployment: Deployment) -> Thing | None:
        """What the platform shows of a deployment; None for nothing, and for what is somebody else's."""
        self.tidy()
        thing = self.things.get(deployment.name)
        return thing if thing is not None and owns(deployment, thing) else None

    def in_its_place(self, deployment: Deployment) -> str | None:
        """The platform's id of what is there instead of it and is not ours by its tags; None for nothing."""
        thing = self.things.get(deployment.name)
        return deployment.name if thing is not None and not owns(deployment, thing) else None

    def create(self, deployment: Deployment) -> None:
        self.tidy()
        if deployment.name not in self.things:
            self._make(deployment.name, deployment)
        elif self.find(deployment) is None:
            raise Taken(f"creating {deployment.name}: the name belongs to somebody else; left alone")

    def update(self, deployment: Deployment) -> None:
        thing = self.find(deployment)
        if thing is None:
            raise Unavailable(f"updating {deployment.name}: it is not there")
        thing.deployment = replace(deployment, handle={})

    def delete(self, deployment: Deployment) -> None:
        thing = self.find(deployment)
        if thing is not None and thing.gone_at is None:
            thing.gone_at = self.clock() + timedelta(seconds=self.delete_s)

    def by_hand(self, id: str) -> None:
        """Somebody deletes a thing in the console."""
        del self.things[id]

    def owned(self) -> Iterable[Deployment]:
        """By their tags."""
        self.tidy()
        return [thing.deployment for thing in self.things.values() if thing.deployment is not None]

    def seen(self, thing: Thing) -> Observation:
        if thing.gone_at is not None:
            return Observation(phase=Phase.DELETING, detail="being deleted")
        if self.clock() < thing.ready_at:
            return Observation(phase=Phase.CREATING, detail="starting")
        if thing.fails:
            return Observation(phase=Phase.FAILED, detail=thing.fails)
        assert thing.deployment is not None
        spec = thing.deployment.spec
        endpoint = Endpoint(url=f"http://10.9.8.7:{thing.port}/v1/", model_id=spec.model)
        return Observation(phase=Phase.READY, endpoint=endpoint, spec_digest=spec.digest)

    def _make(self, id: str, deployment: Deployment) -> Thing:
        if self.capacity is not None and len(self.things) >= self.capacity:
            raise Exhausted(f"creating {deployment.name}: no capacity at the moment")
        now = self.clock()
        ready_at = now + timedelta(seconds=self.create_s)
        fails, port = self.failing.get(deployment.model, ""), self.port or self.next_port
        thing = Thing(replace(deployment, handle={}), ready_at, fails, port=port, made_at=now)
        self.things[id] = thing
        self.next_port += 1  # never a second time, also when the call that made this one is cut off
        return thing

    def _cost(self, thing: Thing) -> float:
        if thing.made_at is None:
            return 0.0
        until = min(thing.gone_at or self.clock(), self.clock())
        return (until - thing.made_at).total_seconds() / 3600 * self.usd_per_hour


def owns(deployment: Deployment, thing: Thing) -> bool:
    """Whether the thing carries this deployment's tags."""
    owner = thing.deployment
    return owner is not None and (owner.id, owner.lineage) == (deployment.id, deployment.lineage)
