"""A reconciler as a process in the simulated world: the production engine, ports that yield, a ticker for its lease."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from drivers.base import Deployment, Endpoint, Finding, ModelSpec, Observation, Phase
from drivers.errors import Ambiguous, Denied, Exhausted, Rejected, Unavailable
from drivers.fake import FakeDriver
from reconciler.desired import DesiredModel
from reconciler.engine import Engine
from reconciler.errors import ReconcilerError, SourceError
from reconciler.manner import Manner
from reconciler.ports import Ports
from reconciler.reading import Reading
from reconciler.result import HEALTH_INTERVAL_S
from reconciler.stamp import Stamp
from reconciler.write import NotWritten
from state.record import Change, DeploymentRecord, DropDeployment, OutputRecord, PutDeployment, PutModel, Recorded
from state.store import Fenced, Held, Lease, StateBusy, StateError, StateFull
from tests.sim import ledger
from tests.sim.faults import Fault
from tests.sim.invariants import after_commit, after_effect, after_resolving, after_write, before_call
from tests.sim.mishaps import keep_copy, rewind, take_name
from tests.sim.schedule import Killed, Process
from tests.sim.world import DRIVERS, Place, World

T = TypeVar("T")
_KEEP_EVERY_S = 7.0
LATEST_S = 300.0
"""After so many seconds, a call that was sent has reached its platform or never will."""
_STAND_BY_S, _TROUBLE_S = 20.0, 10.0
_QUIET_STAND_BY_S = 60.0
"""When nobody dies any more, another look changes nothing."""
_CHANGING = frozenset({"commit", "create", "update", "delete", "part", "claim", "roll_out", "acquire", "release"})
"""Effects after which the world is another one; that of a `publish` knows itself whether it is."""


class SimProcess(Process):
    """One reconciler of one project, from its start to its death; its next life begins a while later."""

    def __init__(self, world: World, place: str, name: str, life: int = 1) -> None:
        super().__init__(f"{name}.{life}")
        self.world, self.place_name, self.base, self.life = world, place, name, life
        self.epoch = 0
        """Of the lease that it believes to hold."""
        self.read_at = 0.0
        """When it read the source last, in virtual seconds."""
        self.held_up_s = 0.0
        """For how long the present effect was held up, so that nothing could be checked in between."""
        self.understood = False
        """Whether it ever read the source in a good state."""
        self.said: dict[str, Phase] = {}
        """What it was told last of each deployment, by id; UNKNOWN where it asked in vain."""
        self.read: dict[str, Phase] = {}
        """How each deployment was recorded when it read the record last, or wrote it since, by id."""
        self.without: dict[str, int] = {}
        """Good readings in a row, by anybody, that did not have a model: up to its own last one, or to when it read the
        record last, which counts them."""
        self.wanted: Mapping[str, DesiredModel] = {}
        """What its last good reading asks for. What is protected there, and acted upon, is protected for good."""
        self.engine = self._engine()

    def begin(self, delay_s: float) -> None:
        self.world.scheduler.start(self, "passes", self._work, delay_s)
        self.world.scheduler.start(self, "keeper", self._keep, delay_s + _KEEP_EVERY_S)

    def die(self) -> None:
        """kill -9. The store notices at once, or when the lease runs out; somebody starts it again."""
        world = self.world
        world.scheduler.kill(self)
        if world.died_frees:
            world.store.died(self.name)
        SimProcess(world, self.place_name, self.base, self.life + 1).begin(world.rng.uniform(0.5, 20.0))

    def effect(self, kind: str, label: str, act: Callable[[], T], faulted: Callable[[Fault], T] | None = None) -> T:
        """One effect on the world: wait for the turn, let happen what the run has in store, check every invariant."""
        world, scheduler = self.world, self.world.scheduler
        assert scheduler.current is not None
        scheduler.current.began_at = scheduler.time
        scheduler.yield_for(world.rng.uniform(0.001, 0.1))
        number, world.effects = world.effects, world.effects + 1
        fault = world.chooser.choose(number, kind, self.name) if world.faulty else None
        if world.trace is not None:
            world.note(f"{number:5d} {self.name:8s} {kind:9s} {label}{f'  [{fault.value}]' if fault else ''}")
        if fault is None:
            return self._done(kind, act)
        world.faults += 1
        return self._with(kind, fault, act, faulted)

    def _with(self, kind: str, fault: Fault, act: Callable[[], T], faulted: Callable[[Fault], T] | None) -> T:
        world = self.world
        if fault is Fault.CRASH_BEFORE:
            self.die()
            raise Killed
        if fault in (Fault.CRASH_AFTER, Fault.CRASH_SENT):
            try:
                self._done(kind, act if faulted is None or fault is Fault.CRASH_AFTER else lambda: faulted(fault))
            except Exception as error:  # noqa: BLE001 - the answer dies with the process
                world.note(f"      (its answer would have been {error})")
            self.die()
            raise Killed
        if fault in (Fault.PAUSE_BEFORE, Fault.PAUSE_AFTER):
            return self._stopped(kind, fault, act)
        if fault is Fault.CLOCK_JUMP:
            world.jump(world.rng.choice((-20.0, -5.0, 5.0, 20.0)))
            return self._done(kind, act)
        if fault is Fault.REWOUND:
            rewind(world)
            return self._done(kind, act)
        assert faulted is not None
        return self._done(kind, lambda: faulted(fault))

    def _stopped(self, kind: str, fault: Fault, act: Callable[[], T]) -> T:
        # One that is stopped just before a call is a call that arrives late, and no later than any other; one that is
        # stopped anywhere else may sleep for as long as it likes.
        world = self.world
        longest_s = LATEST_S if fault is Fault.PAUSE_BEFORE else 3 * LATEST_S
        seconds = 5.0 + (longest_s - 5.0) * world.rng.random() ** 3  # mostly short, or the story passes without us
        self.stopped_until = world.scheduler.time + seconds
        if fault is Fault.PAUSE_BEFORE:
            world.scheduler.yield_for(seconds)
            self.held_up_s = seconds
            try:
                return self._done(kind, act)
            finally:
                self.held_up_s = 0.0
        try:
            return self._done(kind, act)
        finally:
            world.scheduler.yield_for(seconds)

    def _done(self, kind: str, act: Callable[[], T]) -> T:
        if kind not in _CHANGING:
            return act()
        self.world.look()
        try:
            done = act()
        except Held:
            raise  # who has not got the lease has changed nothing
        except BaseException:
            after_effect(self.world)
            raise
        after_effect(self.world)
        return done

    def concerns(self, place: str) -> bool:
        return place == self.place_name

    def between(self, part: str) -> None:
        def lost(fault: Fault) -> None:
            raise Ambiguous("timed out half way")

        self.effect("part", part, lambda: None, lost)

    # -- the two threads ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """What the service's worker does with one project, pass by pass."""
        while True:
            self.world.scheduler.yield_for(max(self._pass(), 0.05))

    def _pass(self) -> float:
        engine = self.engine
        try:
            look_again_s = engine.run_once().look_again_s
            return look_again_s if look_again_s < HEALTH_INTERVAL_S else self.world.idle_s
        except Held:
            return _STAND_BY_S if self.world.faulty else _QUIET_STAND_BY_S
        except Fenced:
            try:
                engine.close()
            except StateError:
                engine.lose_lease()
            return _STAND_BY_S
        except (StateError, ReconcilerError) as error:
            self.world.note(f"      {self.name} pass ended: {error}")
            return _TROUBLE_S
        except Exception as error:  # noqa: BLE001 - the service would log it and go on; here it is a mistake of ours
            self.world.violated("L5", f"a pass ended with {error!r}")
            return _TROUBLE_S

    def _keep(self) -> None:
        while True:
            tenure = self.engine.tenure
            if tenure is not None:
                try:
                    tenure.keep()
                except StateError as error:
                    self.world.note(f"      {self.name} lease not renewed: {error}")
            self.world.scheduler.yield_for(_KEEP_EVERY_S)

    def _engine(self) -> Engine:
        world, place = self.world, self.world.places[self.place_name]
        drivers = {name: SimDriver(self, name) for name in DRIVERS}
        ports = Ports(
            drivers=lambda name: drivers[name],
            outputs=lambda project: SimOutputs(self, place),
            services=lambda project: SimServices(self, place),
            clock=SimClock(self),
            pool=SimPool(),
            random_bytes=world.rng.randbytes,
        )
        manner = Manner(rules=world.rules, holder=self.name, roll_out=world.roll_out)
        return Engine(SimReader(self, place), SimStore(self), ports, manner)


@dataclass(frozen=True, slots=True)
class SimClock:
    process: SimProcess

    def now(self) -> datetime:
        return self.process.world.now()

    def monotonic(self) -> float:
        return self.process.world.monotonic()

    def sleep(self, seconds: float) -> None:
        self.process.world.scheduler.yield_for(seconds)


class SimPool:
    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return [call() for call in calls]


@dataclass(frozen=True, slots=True)
class SimReader:
    process: SimProcess
    place: Place

    def read(self) -> Reading:
        def unreadable(fault: Fault) -> Reading:
            raise SourceError("compose.yaml is empty")

        return self.process.effect("read", self.place.name, self._understood, unreadable)

    def _understood(self) -> Reading:
        reading = self.place.read()
        self.process.understood, self.process.read_at = True, self.process.world.scheduler.time
        self.process.without = dict(self.place.readings_without)
        self.process.wanted = reading.desired.judged
        return reading

    def recall(self) -> Reading | None:
        return None

    def committed(self, path: str) -> bytes | None:
        return None


class SimStore:
    """A reconciler's connection to the one store."""

    def __init__(self, process: SimProcess) -> None:
        self._process, self._store = process, process.world.store

    @property
    def lineage(self) -> str:
        return self._store.lineage

    @property
    def short_of_space(self) -> bool:
        return False

    def projects(self) -> tuple[str, ...]:
        return self._store.projects()

    def load(self, project: str) -> Recorded:
        recorded = self._asked("load", project, lambda: self._store.load(project))
        if project == self._process.place_name:
            known = self._process.without
            news = self._process.world.places[project].readings_without.items()
            self._process.without = known | {key: max(count, known.get(key, 0)) for key, count in news}
            self._process.read = {id: record.phase for id, record in recorded.deployments.items()}
        return recorded

    def acquire(self, project: str, holder: str, ttl_s: float, *, floor: int = 0) -> Lease:
        lease = self._asked("acquire", project, lambda: self._acquired(project, holder, ttl_s, floor))
        self._process.epoch = lease.epoch
        return lease

    def renew(self, lease: Lease) -> Lease:
        return self._asked("renew", str(lease.epoch), lambda: self._store.renew(lease))

    def release(self, lease: Lease) -> None:
        self._asked("release", str(lease.epoch), lambda: self._store.release(lease))

    def commit(self, lease: Lease, changes: Sequence[Change]) -> int:
        label = ", ".join(_words(change) for change in changes) if self._process.world.trace is not None else ""
        return self._asked("commit", label, lambda: self._committed(lease, changes))

    def events(self, project: str, *, limit: int = 100, after: int = 0) -> Any:
        return self._store.events(project, limit=limit, after=after)

    def close(self) -> None:
        self._store.close()

    def _asked(self, kind: str, label: str, ask: Callable[[], T]) -> T:
        """The store's answer; that it answered, be it by refusing, is noted."""
        process = self._process

        def answered() -> T:
            process.world.heard[process.name] = process.world.scheduler.time
            return ask()

        return process.effect(kind, label, answered, _store_fault)

    def _acquired(self, project: str, holder: str, ttl_s: float, floor: int) -> Lease:
        lease = self._store.acquire(project, holder, ttl_s, floor=floor)
        world = self._process.world
        world.leases[project], world.given_at[project] = (lease.epoch, lease.holder), world.scheduler.time
        return lease

    def _committed(self, lease: Lease, changes: Sequence[Change]) -> int:
        serial = self._store.commit(lease, changes)
        after_commit(self._process.world, lease)
        ledger.after_commit(self._process.world, self._process.said, changes, self._process.read)
        put = [change.record for change in changes if isinstance(change, PutDeployment)]
        self._process.read |= {record.deployment.id: record.phase for record in put}
        keep_copy(self._process.world)
        for change in changes:
            if isinstance(change, PutDeployment):
                self._remember(change.record)
                self._process.world.recorded[change.record.deployment.id] = change.record.deployment.name
            elif isinstance(change, DropDeployment):
                self._process.world.recorded.pop(change.id, None)
            elif isinstance(change, PutModel) and change.record.protected:
                world = self._process.world
                world.places[lease.project].protected[change.record.key] = world.scheduler.time
        return serial

    def _remember(self, record: DeploymentRecord) -> None:
        process, world = self._process, self._process.world
        if world.remember(record):
            read_at = max(process.read_at, world.scheduler.time - 60.0 - process.held_up_s)
            after_resolving(world, record, process.wanted, read_at, process.without)


class SimDriver:
    """A reconciler's client of one platform: its calls may be lost, late, doubled, refused or lied about."""

    def __init__(self, process: SimProcess, name: str) -> None:
        self.name, self._process, self._world = name, process, process.world
        self.capabilities = process.world.capabilities(name)
        self._driver = FakeDriver(process.world.platforms[name], name=name, capabilities=self.capabilities)

    def check(self, spec: ModelSpec) -> tuple[Finding, ...]:
        return self._driver.check(spec)

    def observe(self, deployment: Deployment) -> Observation:
        return self.observe_many((deployment,))[deployment.id]

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        def asked() -> Mapping[str, Observation]:
            seen = self._driver.observe_many(deployments)
            self._world.answered(self.name, seen)
            return seen

        def faulted(fault: Fault) -> Mapping[str, Observation]:
            if fault is Fault.STALE:
                return self._world.stale(self.name, self._driver.observe_many(deployments))
            if fault is Fault.PARTIAL:
                return {id: seen for id, seen in asked().items() if self._world.rng.random() < 0.5}
            raise Denied("credentials expired") if fault is Fault.EXPIRED else Unavailable("throttled")

        self._process.said.update(dict.fromkeys((one.id for one in deployments), Phase.UNKNOWN))
        seen = self._process.effect("observe", f"{self.name} {len(deployments)}", asked, faulted)
        self._process.said.update({id: each.phase for id, each in seen.items()})
        self._world.ledger.answered(deployments, seen)
        return seen

    def create(self, deployment: Deployment) -> Observation:
        return self._call("create", deployment, self._driver.create)

    def update(self, deployment: Deployment) -> Observation:
        return self._call("update", deployment, self._driver.update)

    def delete(self, deployment: Deployment) -> Observation:
        return self._call("delete", deployment, self._driver.delete)

    def in_flight(self, deployment: Deployment) -> int | None:
        return self._process.effect("in_flight", deployment.name, lambda: self._driver.in_flight(deployment))

    def owned(self, lineage: str) -> Iterable[Deployment]:
        def faulted(fault: Fault) -> Iterable[Deployment]:
            raise Denied("credentials expired") if fault is Fault.EXPIRED else Unavailable("throttled")

        return self._process.effect("owned", self.name, lambda: tuple(self._driver.owned(lineage)), faulted)

    def _call(self, verb: str, deployment: Deployment, call: Callable[[Deployment], Observation]) -> Observation:
        """`deployment` is a value: what is delivered late or twice is exactly what was sent."""

        def send() -> Observation:
            if self.name in self._world.muffled:
                return faulted(Fault.DELAYED)
            self._before(verb, deployment)
            return call(deployment)

        def faulted(fault: Fault) -> Observation:
            self._before(verb, deployment)
            return self._gone_wrong(verb, fault, deployment, call)

        try:
            seen = self._process.effect(verb, deployment.name, send, faulted)
        except Rejected:
            self._process.said[deployment.id] = Phase.FAILED
            raise
        self._process.said[deployment.id] = seen.phase
        self._world.ledger.answered((deployment,), {deployment.id: seen})
        return seen

    def _before(self, verb: str, deployment: Deployment) -> None:
        process = self._process
        protecting = [key for key, model in process.wanted.items() if model.protected]
        process.world.places[process.place_name].protected |= dict.fromkeys(protecting, self._world.scheduler.time)
        before_call(self._world, process.name, process.understood, verb, self.name, deployment)

    def _gone_wrong(
        self, verb: str, fault: Fault, deployment: Deployment, call: Callable[[Deployment], Observation]
    ) -> Observation:
        if fault is Fault.TAKEN:
            take_name(self._world, self.name, deployment.name)
            return call(deployment)
        if fault in (Fault.DELAYED, Fault.CRASH_SENT, Fault.DUPLICATE):
            self._deliver_later(verb, deployment, call)
        if fault in (Fault.APPLIED, Fault.DUPLICATE):
            seen = call(deployment)
            if fault is Fault.DUPLICATE:
                return seen
        if fault is Fault.LYING:
            return Observation(phase=Phase.DELETING, detail="being deleted")
        if fault is Fault.THROTTLE:
            raise Unavailable("throttled")
        if fault is Fault.EXPIRED:
            raise Denied("credentials expired")
        if fault is Fault.EXHAUSTED:
            raise Exhausted("no capacity at the moment")
        raise Ambiguous("timed out")

    def _deliver_later(self, verb: str, deployment: Deployment, call: Callable[[Deployment], Observation]) -> None:
        world, sent_at, platform = self._world, self._world.sent_at, self._world.platforms[self.name]
        boots = world.boots

        def deliver() -> None:
            if self.capabilities.local and world.boots > boots:
                return  # a process that was about to start another one did not outlive the host
            world.note(f"-- a late call reaches {deployment.name}")
            world.echo_of = sent_at
            before = ledger.shape(platform)
            try:
                call(deployment)
            except Exception as error:  # noqa: BLE001 - nobody waits for this answer any more
                world.note(f"   its answer would have been {error}")
            after_effect(world)
            world.echo_of = None
            if ledger.shape(platform) != before and world.scheduler.time > sent_at + 60.0:
                world.ledger.late[f"{verb} on {type(platform).__name__}"] += 1

        world.scheduler.at(world.scheduler.time + world.rng.uniform(5.0, LATEST_S), deliver)


@dataclass(frozen=True, slots=True)
class SimOutputs:
    process: SimProcess
    place: Place

    def publish(self, *given: Any, **named: Any) -> Any:
        words = " ".join(f"{key}={endpoint.url}" for key, endpoint in given[1].items())
        return self.process.effect("publish", words, lambda: self._published(*given, **named), _not_written)

    def _published(self, *given: Any, **named: Any) -> Any:
        said = self.place.files.says
        self.process.world.look()
        published = self.place.files.publish(*given, **named)
        if self.place.files.says is not said:
            after_write(self.process.world, self.place, given[3].epoch)
            ledger.after_write(self.process.world, self.place, said, self.process.wanted, self.process.name)
            after_effect(self.process.world)
        return published

    def highest_epoch(self) -> int:
        return self.process.effect("epoch", self.place.name, self.place.files.highest_epoch)

    def highest_serial(self, *, lineage: str, project: str) -> int:
        return self.process.effect("epoch", self.place.name, self.place.files.highest_serial)

    def check(self, **named: Any) -> None:
        self.place.files.check(**named)

    def claim(self, stamp: Stamp) -> None:
        self.process.effect("claim", str(stamp.epoch), lambda: self.place.files.claim(stamp), _not_written)

    def mentions(self, endpoint: Endpoint) -> bool:
        return self.process.effect("mentions", endpoint.url, lambda: self.place.files.mentions(endpoint))

    def says(self, output: OutputRecord) -> bool:
        return self.process.effect("says", output.path, lambda: self.place.files.says_so(output))


@dataclass(frozen=True, slots=True)
class SimServices:
    process: SimProcess
    place: Place

    def users(self, project: str, endpoints: Mapping[str, Endpoint]) -> Mapping[str, str]:
        def unasked(fault: Fault) -> Mapping[str, str]:
            return dict.fromkeys(endpoints, "the engine cannot be asked")

        users = self.place.containers.users
        return self.process.effect("users", self.place.name, lambda: users(project, endpoints), unasked)

    def roll_out(self, project: Any, services: Sequence[str]) -> tuple[str, ...]:
        def failed(fault: Fault) -> tuple[str, ...]:
            return ("service app could not be restarted",)

        return self.process.effect(
            "roll_out", self.place.name, lambda: self.place.containers.roll_out(project, services), failed
        )


def _store_fault(fault: Fault) -> Any:
    raise StateFull("the disk is full") if fault is Fault.FULL else StateBusy("somebody holds the database")


def _not_written(fault: Fault) -> Any:
    raise NotWritten("no space left on device")


def _words(change: Change) -> str:
    if isinstance(change, PutDeployment):
        record = change.record
        return f"{record.deployment.name} {record.intent.value}/{record.phase.value}{' active' * record.active}"
    return type(change).__name__
