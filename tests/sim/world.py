"""Everything outside the reconcilers: platforms, store, files, containers, repositories, and the time they share.

The world also remembers the true story (what was ever durable, what was ever published) that the invariants judge by.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from drivers.base import Capabilities, Deployment, ModelSpec, Observation, Phase
from drivers.fake import FLAVOURS, FakePlatform, PartsPlatform, Thing
from reconciler.desired import DesiredModel
from reconciler.errors import SourceError
from reconciler.moment import Rules
from reconciler.reading import Reading
from state.clock import Clock as StoreClock
from state.memory import MemoryStore, Snapshot
from state.record import DeploymentRecord, Intent
from tests.builders import NOON, binding, project, service
from tests.reconciler.wishes import wishes
from tests.sim.faults import Chooser, Fault
from tests.sim.ledger import Ledger
from tests.sim.places import Containers, Files
from tests.sim.schedule import Scheduler

DRIVERS = ("fake", "other")
BAKE_S, GRACE_S = 60.0, 120.0
CAPABILITIES = Capabilities(
    updatable=frozenset({"runtime_flags"}), settle_s=400.0, startup_timeout_s=300.0, degraded_grace_s=20.0
)
INERT = frozenset({"cloud.suspend", "cloud.ttl"})
"""What the reconciler itself honours: a change of it needs nothing done on a platform that shows no digest of it."""
LOCAL = replace(CAPABILITIES, local=True)


@dataclass
class Place:
    """One project: its source, its files, its containers, and what was asked of it when."""

    name: str
    files: Files
    containers: Containers
    reading: Reading
    trouble: str = ""
    commits: list[tuple[float, Mapping[str, DesiredModel]]] = field(default_factory=list)
    last_mentioned: dict[str, float] = field(default_factory=dict)
    """When a file said so last, by address."""
    highest_written: int = 0
    """The highest lease ever seen on the files."""
    protected: dict[str, float] = field(default_factory=dict)
    """Models that were ever protected, durably or by a reading that somebody acted on, and when last, in virtual
    seconds. A commit that nobody saw protects none."""
    readings_without: dict[str, int] = field(default_factory=dict)
    """Good readings in a row, by anybody, that did not have a model which an earlier one had."""
    highest_ruling: int = 0
    """The highest lease that began to work when the files were there already."""
    hopeless: set[str] = field(default_factory=set)
    """Models that nobody expects to become ready: refused, or failing for good."""

    def read(self) -> Reading:
        if self.trouble:
            raise SourceError(self.trouble)
        for model in {model for _, wanted in self.commits for model in wanted}:
            gone = model not in self.commits[-1][1]
            self.readings_without[model] = self.readings_without.get(model, 0) + 1 if gone else 0
        return self.reading


@dataclass
class World:
    """`died_frees`: the store notices a killed holder at once, as a lock file does; otherwise its lease runs out.
    `roll_out`: the reconciler restarts services; otherwise a person does."""

    seed: int
    chooser: Chooser
    died_frees: bool = True
    roll_out: bool = True
    running: bool = True
    flavours: tuple[str, str] = ("plain", "plain")
    idle_s: float = 10.0
    rng: random.Random = field(init=False)
    scheduler: Scheduler = field(init=False)
    store: MemoryStore = field(init=False)
    platforms: dict[str, FakePlatform] = field(init=False)
    places: dict[str, Place] = field(default_factory=dict)
    trace: list[str] | None = None
    effects: int = 0
    faults: int = 0
    faulty: bool = False
    """Whether faults happen at present."""
    bake_s: float = BAKE_S
    grace_s: float = GRACE_S
    jumped_s: float = 0.0
    slack_s: float = 0.0
    """By how much the wall clock has been moved, all jumps together."""
    issued: dict[str, DeploymentRecord] = field(default_factory=dict)
    """Every deployment whose intent was ever durable, by name."""
    resolved: set[tuple[str, str]] = field(default_factory=set)
    """(verb, name) of every call whose intent was ever durable."""
    sent: dict[tuple[str, str], Deployment] = field(default_factory=dict)
    """What was sent with a create, by driver and id."""
    leases: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The lease given last, by project: its epoch and its holder. After a rewind, the one that the copy has."""
    given_at: dict[str, float] = field(default_factory=dict)
    """When that was, in virtual seconds."""
    ousted: dict[tuple[str, str], float] = field(default_factory=dict)
    """When the store went back under whoever had the lease, by project and holder, in virtual seconds."""
    taken_out: set[str] = field(default_factory=set)
    """Names of all deployments that were recorded, or there, when the store went back to a copy without them."""
    lost: set[str] = field(default_factory=set)
    """Of those, the ones of which no file proved that the copy is one."""
    heard: dict[str, float] = field(default_factory=dict)
    """When the store last answered a reconciler, by its name, in virtual seconds."""
    copies: list[Snapshot] = field(default_factory=list)
    """Of the store, after each of the last commits."""
    rewinds: int = 0
    rewound_at: float = -math.inf
    """When the store went back for the last time, in virtual seconds."""
    boots: int = 0
    """How often the host was started anew."""
    echo_of: float | None = None
    """When the call was sent that arrives just now, if it is a late one."""
    muffled: set[str] = field(default_factory=set)
    """Platforms that answer no call which changes something, and do what it asks minutes later."""
    ledger: Ledger = field(default_factory=Ledger)
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    """Every mutating call that was sent: verb, driver, name."""
    violations: list[str] = field(default_factory=list)
    pardons: Counter[str] = field(default_factory=Counter)
    """What a rule excepts, because nobody could have known better: how often, by rule and reason."""
    seen: dict[str, int] = field(default_factory=dict)
    """How much of each platform's journal was judged."""
    answers: dict[str, list[tuple[float, Mapping[str, Observation]]]] = field(default_factory=dict)
    """What each platform said lately, and when."""
    recorded: dict[str, str] = field(default_factory=dict)
    """Names of all deployments that are in the record, by id."""
    orphans_usd: float = 0.0
    """What ran and was not in the record has cost so far."""
    _pardoned: set[tuple[str, str]] = field(default_factory=set)
    _metered: tuple[float, float] = (0.0, 0.0)
    """When the meter was read last, and what orphans cost since then, per hour."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.scheduler = Scheduler(random.Random(self.seed + 1))
        clock = StoreClock(now=self.now, monotonic=self.monotonic, since_boot=self.monotonic, boot_id="one")
        self.store = MemoryStore(clock=clock)
        self.platforms = {
            name: FLAVOURS[flavour](clock=self.true_time) for name, flavour in zip(DRIVERS, self.flavours, strict=True)
        }
        for number, platform in enumerate(self.platforms.values()):
            if not platform.capabilities.local:
                platform.create_s = 20.0
            if isinstance(platform, PartsPlatform):
                platform.between = self.between
            platform.next_port += number * 1000  # addresses of two platforms never meet
            platform.things[f"stranger-{number}"] = Thing(None, self.true_time())
            platform.strangers.add(f"stranger-{number}")
        self.seen = {name: len(platform.journal) for name, platform in self.platforms.items()}

    @property
    def rules(self) -> Mapping[str, Rules]:
        return {
            name: Rules(
                capabilities=self.capabilities(name), inert=INERT.__contains__, bake_s=BAKE_S, removal_grace_s=GRACE_S
            )
            for name in DRIVERS
        }

    def capabilities(self, driver: str) -> Capabilities:
        """Times as long as late calls need, on every platform: also a process of this host may be stopped before it
        starts another one."""
        return LOCAL if self.platforms[driver].capabilities.local else CAPABILITIES

    def between(self, part: str) -> None:
        """A platform is about to make or take away a part; a call that arrives late is nobody's any more."""
        task = self.scheduler.current
        if task is not None:
            task.process.between(part)

    # -- time ---------------------------------------------------------------------------------------------------------

    def monotonic(self) -> float:
        return self.scheduler.time

    def true_time(self) -> datetime:
        return NOON + timedelta(seconds=self.scheduler.time)

    def now(self) -> datetime:
        return self.true_time() + timedelta(seconds=self.jumped_s)

    def jump(self, seconds: float) -> None:
        self.jumped_s += seconds
        self.slack_s += abs(seconds)

    # -- people -------------------------------------------------------------------------------------------------------

    def commit(self, place: str = "demo", *models: DesiredModel, refused: Mapping[str, str] | None = None) -> None:
        """The file asks for exactly these models from now on."""
        there = self.places.get(place)
        number = len(there.commits) if there is not None else 0
        desired = wishes(*models, refused=refused)
        reading = Reading(
            project=project(service("app", *(binding(key) for key in desired.judged)), name=place),
            desired=desired,
            revision=f"commit-{number}",
            describe=f"commit {number}",
            origin=f"/srv/{place}",
        )
        if there is None:
            files = Files(f"/values/{place}/app.env")
            there = self.places[place] = Place(place, files, Containers(files, self.running), reading)
        there.reading = reading
        self.hint(place)
        self.ledger.asks(place, there.commits[-1][1] if there.commits else {}, desired.judged)
        there.commits.append((self.scheduler.time, dict(desired.judged)))
        self.note(f"-- commit {number} of {place}: {', '.join(sorted(desired.judged)) or 'nothing'}")

    def hint(self, place: str) -> None:
        """The checkout changed: whoever is asleep looks soon, as the watcher of the service makes it."""
        for task in self.scheduler.tasks:
            if task.name == "passes" and task.process.concerns(place):
                task.wake_at = min(task.wake_at, self.scheduler.time + self.rng.uniform(0.0, 3.0))

    def in_the_console(self, model: str) -> None:
        """Somebody deletes the things of a model by hand."""
        for platform in self.platforms.values():
            for name, thing in list(platform.things.items()):
                if thing.deployment is not None and thing.deployment.model == model:
                    self.excuse(thing.deployment)
                    platform.by_hand(name)
                    self.note(f"-- {name} was deleted in the console")

    def somebody_restarts(self, place: str) -> None:
        """Where the reconciler does not restart services, a person does, now and then."""

        def restart() -> None:
            self.places[place].containers.restart()
            self.note(f"-- the services of {place} were restarted")
            self.somebody_restarts(place)

        self.scheduler.at(self.scheduler.time + self.rng.uniform(30.0, 200.0), restart)

    def excuse(self, deployment: Deployment) -> None:
        """What happened to this one is nobody's fault here: another one may be made for it."""
        self.ledger.excused[deployment.project, deployment.model] += 1

    # -- the true story -----------------------------------------------------------------------------------------------

    def live(self) -> Iterable[tuple[str, str, Thing]]:
        """(driver, name, thing) of everything of ours that is not being deleted."""
        for driver, platform in self.platforms.items():
            platform.tidy()
            for thing in platform.things.values():
                if thing.deployment is not None and thing.gone_at is None:
                    yield driver, thing.deployment.name, thing

    @property
    def sent_at(self) -> float:
        """When the effect that happens just now was begun by whoever caused it."""
        task = self.scheduler.current
        return self.echo_of if self.echo_of is not None else task.began_at if task is not None else self.scheduler.time

    def remember(self, record: DeploymentRecord) -> bool:
        """A commit made this durable; whether a deletion was resolved by it."""
        name = record.deployment.name
        news = record.intent is Intent.DELETE and ("delete", name) not in self.resolved
        self.issued.setdefault(name, record)
        self.resolved.add(("delete" if record.intent is Intent.DELETE else "create", name))
        self.resolved.add((f"update {record.deployment.spec.digest}", name))
        return news

    def meter(self) -> None:
        """Read the meter of what runs and is in no record."""
        now, known = self.scheduler.time, set(self.recorded.values())
        since, usd_per_hour = self._metered
        self.orphans_usd += (now - since) / 3600 * usd_per_hour
        orphans = (self.platforms[driver].usd_per_hour for driver, name, _ in self.live() if name not in known)
        self._metered = (now, sum(orphans))

    def note(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.scheduler.time:9.2f}  {text}")

    def violated(self, rule: str, text: str) -> None:
        self.violations.append(f"{rule}: {text}")
        self.note(f"** {rule}: {text}")

    def pardoned(self, rule: str, why: str, text: str) -> None:
        """A rule was not kept, in the one way that it excepts. Each case is counted once, and the trace says so."""
        if (rule, text) not in self._pardoned:
            self._pardoned.add((rule, text))
            self.pardons[f"{rule}, {why}"] += 1
            self.note(f"** {rule} excepted, {why}: {text}")

    def close(self) -> None:
        """Let every strand end."""
        for task in self.scheduler.tasks:
            task.process.dead = True
        self.scheduler.bury()

    def look(self) -> None:
        """Note what the files say at this moment."""
        for place in self.places.values():
            for url in place.files.urls():
                place.last_mentioned[url] = self.scheduler.time

    def answered(self, driver: str, seen: Mapping[str, Observation]) -> None:
        """A platform gave this answer just now."""
        recent = [answer for answer in self.answers.get(driver, ())[-4:] if answer[0] > self.scheduler.time - 60]
        self.answers[driver] = [*recent, (self.scheduler.time, seen)]

    def stale(self, driver: str, now: Mapping[str, Observation]) -> Mapping[str, Observation]:
        """What a platform said up to a minute ago, of all that is asked about; what nobody had asked about then was
        not there yet."""
        answers = self.answers.get(driver, ())
        then = self.rng.choice(answers)[1] if answers else now
        return {id: then.get(id, Observation(phase=Phase.ABSENT)) for id in now}


def describe(spec: ModelSpec) -> str:
    return f"{spec.model}/{spec.context_size}/{','.join(spec.runtime_flags)}"


Later = Callable[[], object]
__all__ = ["BAKE_S", "CAPABILITIES", "DRIVERS", "GRACE_S", "Deployment", "Fault", "Place", "World", "describe"]
