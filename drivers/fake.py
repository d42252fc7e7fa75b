"""A platform in memory with the manners of a real one, and its driver: for tests of what stands above drivers.

Names are unique and a stranger's is refused, creating and deleting take time, a thing may fail to become ready, calls
may be lost before or after they take effect, and every mutating call is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from drivers.base import Capabilities, Deployment, Endpoint, Finding, Handling, ModelSpec, Observation, Phase
from drivers.errors import Ambiguous, DriverError, Exhausted, Rejected, Unavailable

REFUSED_FLAG = "--never"
"""A runtime flag that this platform refuses."""


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


@dataclass(slots=True)
class FakePlatform:
    """The world behind the driver. Several drivers on it see the same things; times come from `clock`."""

    clock: Callable[[], datetime]
    create_s: float = 10.0
    delete_s: float = 5.0
    things: dict[str, Thing] = field(default_factory=dict)
    journal: list[tuple[str, str]] = field(default_factory=list)
    """Every mutating call that took effect: what and which name."""
    failing: dict[str, str] = field(default_factory=dict)
    """Model key to why the next deployments of it will fail."""
    port: int | None = None
    """At which the next things answer; None for one of their own each."""
    silent: bool = False
    """The platform does not answer at all."""
    faults: list[tuple[Literal["before", "after"], DriverError]] = field(default_factory=list)
    """Each is used up by one mutating call: raised before, or after, the call took effect."""
    strangers: set[str] = field(default_factory=set)
    """Names of things that are somebody else's."""
    capacity: int | None = None
    """How many things there is room for; None for any number. What is beyond is refused as `Exhausted`."""

    def tidy(self) -> None:
        """Let deletions end whose time has come."""
        now = self.clock()
        gone = [name for name, thing in self.things.items() if thing.gone_at is not None and thing.gone_at <= now]
        for name in gone:
            del self.things[name]


class FakeDriver:
    """`drivers.base.Driver` on a `FakePlatform`."""

    name = "fake"
    capabilities = Capabilities(settle_s=30.0, startup_timeout_s=300.0, degraded_grace_s=20.0)

    def __init__(
        self, platform: FakePlatform, *, name: str = "fake", capabilities: Capabilities = capabilities
    ) -> None:
        self._platform = platform
        self.name, self.capabilities = name, capabilities

    def check(self, spec: ModelSpec) -> tuple[Finding, ...]:
        findings = []
        for key in spec.fields():
            if key != "runtime_flags":
                findings.append(Finding(key, Handling.HONOURED))
                continue
            for index, flag in enumerate(spec.runtime_flags):
                refused = flag == REFUSED_FLAG
                handling = Handling.REJECTED if refused else Handling.HONOURED
                findings.append(Finding(f"runtime_flags[{index}]", handling, "refused by the rule 'never'" * refused))
        return tuple(findings)

    def observe(self, deployment: Deployment) -> Observation:
        self._answerable()
        thing = self._own(deployment)
        if thing is None:
            return Observation(phase=Phase.ABSENT)
        return self._seen(thing)

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        return {deployment.id: self.observe(deployment) for deployment in deployments}

    def create(self, deployment: Deployment) -> Observation:
        if REFUSED_FLAG in deployment.spec.runtime_flags:
            raise Rejected(f"creating {deployment.name}: '{REFUSED_FLAG}' is refused by the rule 'never'")
        return self._call("create", deployment, self._create)

    def update(self, deployment: Deployment) -> Observation:
        return self._call("update", deployment, self._update)

    def delete(self, deployment: Deployment) -> Observation:
        if self._own(deployment) is None:
            self._answerable()
            return Observation(phase=Phase.ABSENT)
        return self._call("delete", deployment, self._delete)

    def in_flight(self, deployment: Deployment) -> int | None:
        thing = self._own(deployment)
        return thing.answering if thing is not None else None

    def owned(self, lineage: str) -> Iterable[Deployment]:
        self._answerable()
        self._platform.tidy()
        theirs = (thing.deployment for thing in self._platform.things.values())
        return tuple(deployment for deployment in theirs if deployment is not None and deployment.lineage == lineage)

    def _call(self, verb: str, deployment: Deployment, act: Callable[[Deployment], None]) -> Observation:
        self._answerable()
        moment, error = self._platform.faults.pop(0) if self._platform.faults else ("", None)
        if error is not None and moment == "before":
            raise error
        act(deployment)
        self._platform.journal.append((verb, deployment.name))
        if error is not None:
            raise error
        return self.observe(deployment)

    def _create(self, deployment: Deployment) -> None:
        world = self._platform
        world.tidy()
        present = world.things.get(deployment.name)
        if present is None:
            if world.capacity is not None and len(world.things) >= world.capacity:
                raise Exhausted(f"creating {deployment.name}: no capacity at the moment")
            ready_at = world.clock() + timedelta(seconds=world.create_s)
            fails, port = world.failing.get(deployment.model, ""), world.port or 20000 + len(world.journal)
            world.things[deployment.name] = Thing(replace(deployment, handle={}), ready_at, fails, port=port)
        elif self._own(deployment) is None:
            raise Rejected(f"creating {deployment.name}: the name belongs to somebody else; left alone")

    def _update(self, deployment: Deployment) -> None:
        thing = self._own(deployment)
        if thing is None:
            raise Unavailable(f"updating {deployment.name}: it is not there")
        thing.deployment = replace(deployment, handle={})

    def _delete(self, deployment: Deployment) -> None:
        thing = self._own(deployment)
        if thing is not None and thing.gone_at is None:
            thing.gone_at = self._platform.clock() + timedelta(seconds=self._platform.delete_s)

    def _own(self, deployment: Deployment) -> Thing | None:
        self._platform.tidy()
        thing = self._platform.things.get(deployment.name)
        owner = thing.deployment if thing is not None else None
        return thing if owner is not None and (owner.id, owner.lineage) == (deployment.id, deployment.lineage) else None

    def _seen(self, thing: Thing) -> Observation:
        if thing.gone_at is not None:
            return Observation(phase=Phase.DELETING, detail="being deleted")
        if self._platform.clock() < thing.ready_at:
            return Observation(phase=Phase.CREATING, detail="starting")
        if thing.fails:
            return Observation(phase=Phase.FAILED, detail=thing.fails)
        assert thing.deployment is not None
        model = thing.deployment.spec.model
        endpoint = Endpoint(url=f"http://10.9.8.7:{thing.port}/v1/", model_id=model)
        return Observation(phase=Phase.READY, endpoint=endpoint, spec_digest=thing.deployment.spec.digest)

    def _answerable(self) -> None:
        if self._platform.silent:
            raise Ambiguous("the platform does not answer")
