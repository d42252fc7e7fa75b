"""A whole reconciler in memory and in virtual time: the production engine on a fake platform, for tests of passes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from drivers.base import Capabilities, Endpoint, ModelSpec
from drivers.fake import FakeDriver, FakePlatform
from reconciler.compose.project import Project
from reconciler.desired import Desired, DesiredModel
from reconciler.engine import Engine
from reconciler.errors import Refused, SourceError
from reconciler.manner import Manner
from reconciler.moment import Rules
from reconciler.ports import Ports, Published
from reconciler.reading import Reading
from reconciler.result import PassResult
from reconciler.stamp import Stamp
from reconciler.write import NotWritten
from state.clock import Clock as StoreClock
from state.memory import MemoryStore
from state.record import OutputRecord
from tests.builders import NOON, binding, model_spec, project, service
from tests.reconciler.wishes import wish, wishes

T = TypeVar("T")


@dataclass
class VirtualClock:
    """Moves only when somebody sleeps."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - NOON).total_seconds() + 1000.0

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class SerialPool:
    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return [call() for call in calls]


@dataclass
class Repository:
    """Stands where a `Reader` does: what it says is what a test put there last."""

    reading: Reading
    trouble: str = ""
    earlier: Reading | None = None
    """What an earlier process read last."""

    def read(self) -> Reading:
        if self.trouble:
            raise SourceError(self.trouble)
        return self.reading

    def recall(self) -> Reading | None:
        return self.earlier

    def committed(self, path: str) -> None:
        return None


@dataclass
class Environments:
    """Stands where the files do. `written` is what services would read, by model key."""

    written: dict[str, Endpoint] = field(default_factory=dict)
    epoch: int = 0
    serial: int = 0
    trouble: str = ""
    """Why nothing can be written at the moment."""
    dropped: bool = False
    """The service wants no model any more, so it has no values either."""
    foreign: bool = False
    """What stands where the files go is somebody else's."""
    log: list[dict[str, str]] = field(default_factory=list)

    def publish(
        self,
        project: Project,
        endpoints: Mapping[str, Endpoint],
        api_key_vars: Mapping[str, str],
        stamp: Stamp,
        *,
        now: datetime,
        recorded: Mapping[str, OutputRecord],
    ) -> Published:
        assert stamp.epoch >= self.epoch, "a lower epoch wrote"
        if self.trouble:
            raise NotWritten(self.trouble)
        self.epoch = stamp.epoch
        if dict(endpoints) != self.written:
            self.written, self.serial = dict(endpoints), stamp.serial
            self.log.append({key: endpoint.url for key, endpoint in endpoints.items()})
        missing = [one.model for service in project.services.values() for one in service.bindings]
        missing = [key for key in missing if key not in endpoints]
        values = OutputRecord(
            path="app.env",
            checksum=_checksum(endpoints),
            written_at=now,
            applied=recorded["app.env"].applied if "app.env" in recorded else "",
            service="app",
        )
        kept = recorded.get("app.env")
        if kept is not None and kept.checksum == values.checksum:
            values = kept
        outputs = () if self.dropped else (values,)
        return Published(outputs=outputs, incomplete=("app",) if missing else ())

    def highest_epoch(self) -> int:
        return self.epoch

    def highest_serial(self, *, lineage: str, project: str) -> int:
        return self.serial

    def check(self, *, lineage: str, project: str) -> None:
        if self.foreign:
            raise Refused("the override file is somebody else's")

    def claim(self, stamp: Stamp) -> None:
        if self.epoch:  # without files there is nothing to claim
            self.epoch, self.serial = max(self.epoch, stamp.epoch), stamp.serial

    def mentions(self, endpoint: Endpoint) -> bool:
        return endpoint in self.written.values()

    def says(self, output: OutputRecord) -> bool:
        return output.checksum == _checksum(self.written)


def _checksum(endpoints: Mapping[str, Endpoint]) -> str:
    return str(sorted(endpoint.url for endpoint in endpoints.values()))


@dataclass
class Running:
    """Stands where the Docker engine does: which endpoints a container was started with."""

    using: dict[str, str] = field(default_factory=dict)
    """Endpoint URL to the service that uses it."""
    rolled_out: list[str] = field(default_factory=list)
    trouble: str = ""
    """Why services cannot be restarted at the moment."""
    meanwhile: Callable[[], None] = lambda: None
    """What happens while services are restarted."""

    def users(self, project: str, endpoints: Mapping[str, Endpoint]) -> Mapping[str, str]:
        return {
            id: f"service {self.using[endpoint.url]} still runs with its address"
            for id, endpoint in endpoints.items()
            if endpoint.url in self.using
        }

    def roll_out(self, project: Project, services: Sequence[str]) -> tuple[str, ...]:
        if self.trouble:
            return (self.trouble,)
        self.meanwhile()
        self.rolled_out.extend(services)
        return ()


class World:
    """One project, one platform, as many engines as a test starts."""

    def __init__(self, *, clock: VirtualClock | None = None, **wanted: ModelSpec) -> None:
        self.clock = clock or VirtualClock()
        self.platform = FakePlatform(clock=self.clock.now)
        self.elsewhere: dict[str, FakePlatform] = {}
        """By name, the platforms that are not this one."""
        self.store = MemoryStore(
            clock=StoreClock(
                now=self.clock.now, monotonic=self.clock.monotonic, since_boot=self.clock.monotonic, boot_id="one"
            )
        )
        self.files = Environments()
        self.running = Running()
        self.repository = Repository(_reading(wishes(), 0))
        self.commits = 0
        self.engine = self.start()
        if wanted:
            self.commit(**wanted)

    def start(self, **manner: Any) -> Engine:
        """Another reconciler on the same world, as after a crash of the one before."""
        inert = {"cloud.ttl", "cloud.suspend"}.__contains__
        rules = Rules(capabilities=FakeDriver.capabilities, inert=inert, bake_s=60.0, removal_grace_s=120.0)
        given: dict[str, Any] = {"rules": {"fake": rules, "other": rules}, "holder": f"r{random.random()}"}
        ports = Ports(
            drivers=lambda name: FakeDriver(self.elsewhere.get(name, self.platform)),
            outputs=lambda project: self.files,
            services=lambda project: self.running,
            clock=self.clock,
            pool=SerialPool(),
            random_bytes=random.Random(self.clock.monotonic()).randbytes,
        )
        self.engine = Engine(self.repository, self.store, ports, Manner(**(given | manner)))  # type: ignore[arg-type]
        return self.engine

    def commit(self, *more: DesiredModel, refused: Mapping[str, str] | None = None, **wanted: ModelSpec) -> None:
        """The file asks for exactly these models from now on."""
        self.commits += 1
        models = [wish(key, spec, driver="fake") for key, spec in wanted.items()]
        self.repository.reading = _reading(wishes(*models, *more, refused=refused), self.commits)

    def passes(self, limit_s: float = 1000.0) -> PassResult:
        """Passes until nothing is pending, letting time run as the engine asks; the last result."""
        end = self.clock.monotonic() + limit_s
        while True:
            result = self.engine.run_once()
            if not result.pending or self.clock.monotonic() >= end:
                return result
            if self.engine.tenure is not None:
                self.engine.tenure.keep()
            self.clock.sleep(max(result.look_again_s, 0.1))

    def later(self, seconds: float) -> None:
        """Let time pass with the lease kept, as the service's ticker does."""
        for _ in range(int(seconds // 10) + 1):
            self.clock.sleep(min(seconds, 10.0))
            if self.engine.tenure is not None:
                self.engine.tenure.keep()

    def crash(self) -> None:
        """kill -9: the lease is not given back, the next reconciler finds its holder dead."""
        tenure = self.engine.tenure
        if tenure is not None:
            self.store.died(tenure.lease.holder)
        self.start()

    @property
    def live(self) -> list[str]:
        """Model keys of everything on the platform that is not being deleted."""
        self.platform.tidy()
        things = (thing for thing in self.platform.things.values() if thing.gone_at is None)
        return sorted(thing.deployment.model for thing in things if thing.deployment is not None)

    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.platform.journal]


def _reading(desired: Desired, number: int) -> Reading:
    bound = [service("app", *(binding(key) for key in desired.judged))]
    return Reading(
        project=project(*bound),
        desired=desired,
        revision=f"commit-{number}",
        describe=f"commit {number}",
        origin="/srv/demo",
    )


SMALL, LARGE = model_spec(context_size=1024), model_spec(context_size=4096)
QUICK = Capabilities(settle_s=0.0)
__all__ = ["LARGE", "QUICK", "SMALL", "World", "replace"]
