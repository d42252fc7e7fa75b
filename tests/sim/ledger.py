"""What the world remembers of every deployment and every thing, and the rules that need a memory: S6, S15, L4, L6."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from drivers.base import Deployment, Endpoint, Observation, Phase
from drivers.fake import FakePlatform, Thing
from reconciler.adoption import LET_GO
from reconciler.backoff import MAX_ATTEMPTS
from reconciler.desired import DesiredModel
from reconciler.sweep import EVERY_S, GRACE_S
from state.record import Append, Change, DropDeployment, Intent, PutDeployment
from tests.sim import lifetimes

if TYPE_CHECKING:
    from tests.sim.world import Place, World

Key = tuple[str, str]
"""A project and a model in it."""
LISTED_AFTER = timedelta(seconds=60)
"""A platform may be slow to list what was made."""
ORPHAN_S = EVERY_S + GRACE_S + 120.0
"""How long something of ours may run that nobody takes care of: until the next listing, the grace of what came back,
and as long as its deletion takes. The reliability rules ask for a quarter of an hour."""


@dataclass(slots=True)
class Ledger:
    """Ids are those of deployments."""

    asked: Counter[Key] = field(default_factory=Counter)
    """Commits that ask for a model that was not there, or for another spec or platform of it."""
    excused: Counter[Key] = field(default_factory=Counter)
    """Deployments that were taken away from us."""
    uncounted: Counter[Key] = field(default_factory=Counter)
    """Attempts that a record which went back does not count any more."""
    failed: set[str] = field(default_factory=set)
    """Deployments of which the platform said that they failed."""
    put_back: int = 0
    """How often the record went back: what it lost may be made once more."""
    made: dict[Key, dict[str, float]] = field(default_factory=dict)
    """When a create was sent first, by deployment, in virtual seconds."""
    ready: set[str] = field(default_factory=set)
    """Deployments that were ever recorded as ready and wanted."""
    phases: dict[str, Phase] = field(default_factory=dict)
    """As recorded last."""
    stripped: dict[tuple[str, str], Deployment] = field(default_factory=dict)
    """Things that lost our tags, by driver and the platform's id, with what the tags said."""
    let_go: set[str] = field(default_factory=set)
    """Deployments of which the history says that something of them was left behind."""
    revived: set[str] = field(default_factory=set)
    """Names of what was made by a call that came after everybody forgot it."""
    late: Counter[str] = field(default_factory=Counter)
    """Calls that took effect a minute or more after they were sent, by verb and platform."""
    orphans: dict[str, float] = field(default_factory=dict)
    """Since when (virtual seconds) something runs that nobody takes care of."""
    longest_orphan_s: float = 0.0

    # -- L6 -----------------------------------------------------------------------------------------------------------

    def asks(self, project: str, before: Mapping[str, DesiredModel], wanted: Mapping[str, DesiredModel]) -> None:
        """A commit turned what was wanted into something else."""
        for key, model in wanted.items():
            old = before.get(key)
            if old is None or (old.driver, old.spec.digest) != (model.driver, model.spec.digest):
                self.asked[project, key] += 1

    def answered(self, deployments: Iterable[Deployment], seen: Mapping[str, Observation]) -> None:
        """A platform said how these are. One that failed on it may be followed by another one."""
        for deployment in deployments:
            if deployment.id in seen and seen[deployment.id].phase is Phase.FAILED:
                self.failed.add(deployment.id)

    def may_make(self, key: Key, overdue: float) -> int:
        """How many deployments of a model there may have been by now: one for each time that another one was asked
        for, one for each that was taken away, by people or with the record, and a few attempts for what fails, or does
        not start in time: it was sent before `overdue`, in virtual seconds."""
        slow = (id for id, sent in self.made[key].items() if sent < overdue and id not in self.ready)
        vain = len({*slow, *(self.failed & self.made[key].keys())})
        return self.asked[key] + self.excused[key] + self.put_back + min(vain, (MAX_ATTEMPTS - 1) * self.asked[key])


def shape(platform: FakePlatform) -> Sequence[object]:
    """What there is, in what form; another one after a call that took effect."""
    return [(id, thing.deployment, thing.gone_at, thing.parts) for id, thing in platform.things.items()]


def before_create(world: World, deployment: Deployment) -> None:
    """L6: whatever the file goes through, only so many deployments are made."""
    key = deployment.project, deployment.model
    made = world.ledger.made.setdefault(key, {})
    made.setdefault(deployment.id, world.scheduler.time)
    patience_s = world.capabilities("fake").startup_timeout_s - world.slack_s
    most = world.ledger.may_make(key, overdue=world.scheduler.time - patience_s)
    most += lifetimes.comings(world, world.places[deployment.project], deployment.model)
    text = f"{deployment.name} is the deployment number {len(made)} of {key[1]}: {most} would do"
    if most < len(made) <= most + world.ledger.uncounted[key]:
        world.pardoned("L6", "the record went back behind attempts that it would have counted", text)
    elif len(made) > most:
        world.violated("L6", text)


# -- S15 --------------------------------------------------------------------------------------------------------------


def after_commit(
    world: World, said: Mapping[str, Phase], changes: Sequence[Change], read: Mapping[str, Phase] = MappingProxyType({})
) -> None:
    """S15: a deployment is recorded in another phase only when its platform said so, of this one, to whoever commits.
    `said`: what that one was told last, by id. `read`: what it read and wrote of them itself, should the store have
    gone back since."""
    phases = world.ledger.phases
    for change in changes:
        if isinstance(change, PutDeployment):
            deployment, phase = change.record.deployment, change.record.phase
            before = phases.get(deployment.id, Phase.UNKNOWN)
            if phase not in (before, said.get(deployment.id, Phase.UNKNOWN), read.get(deployment.id, before)):
                world.violated("S15", f"{deployment.name} is recorded as {phase.value}, which nobody said of it")
            phases[deployment.id] = phase
            if phase is Phase.READY and change.record.intent is Intent.CREATE:
                world.ledger.ready.add(deployment.id)
        elif isinstance(change, DropDeployment):
            phases.pop(change.id, None)
        elif isinstance(change, Append) and change.event.kind == LET_GO:
            world.ledger.let_go.add(change.event.deployment)


def after_write(
    world: World, place: Place, before: Mapping[str, Endpoint], wanted: Iterable[str], writer: str = ""
) -> None:
    """S15: whatever else goes wrong, a model that serves and that the file asks for keeps an address in the files.
    `wanted`: what the one that wrote them knows to be asked for.

    Excepted is a `writer` that was stopped over its write when the store went back under its lease: where no file
    carried that epoch yet, it was given once more, and nothing tells the two apart. The next pass writes it again.
    """
    ousted = world.heard.get(writer, math.inf) < world.ousted.get((place.name, writer), -math.inf)
    for key in before.keys() & set(wanted) - place.files.says.keys():
        text = f"the files of {place.name} lost the address of {key}, which serves"
        if lifetimes.model_may_be_up(world, place, key) or lifetimes.goes_first(place, key):
            continue
        if ousted and _serves(world, place, key, before[key]):
            world.pardoned("S15", "written by one that could not hear that the store went back", text)
        elif _serves(world, place, key, before[key]):
            world.violated("S15", text)


def _serves(world: World, place: Place, key: str, endpoint: Endpoint) -> bool:
    """Whether something that was made for the model answers there; without our tags it counts while the record knows
    that, because nothing else could tell."""
    known = world.store.load(place.name).deployments
    for driver, platform in world.platforms.items():
        platform.tidy()
        for id, thing in platform.things.items():
            owner = thing.deployment or world.ledger.stripped.get((driver, id))
            if owner is None or (owner.project, owner.model) != (place.name, key):
                continue
            record, seen = known.get(owner.id), platform.seen(replace(thing, deployment=owner))
            is_knowable = thing.deployment is not None or (record is not None and record.endpoint == endpoint)
            if is_knowable and seen.phase is Phase.READY and seen.endpoint == endpoint:
                return True
    return False


# -- S6, L4 -----------------------------------------------------------------------------------------------------------


def after_effect(world: World) -> None:
    """S6: everything that we ever made and that is still there can be found again: its record leads to it, or the next
    listing; of what lost its tags, at least the history tells."""
    for driver, platform in world.platforms.items():
        for id, thing in platform.things.items():
            if thing.gone_at is None and thing.made_at is not None:
                _findable(world, driver, id, thing)
    _count_orphans(world)


def _findable(world: World, driver: str, id: str, thing: Thing) -> None:
    owner = thing.deployment
    if owner is None:
        made_for = world.ledger.stripped[driver, id].id
        if made_for not in world.recorded and made_for not in world.ledger.let_go and world.rewound_at == -math.inf:
            world.violated("S6", f"{id} runs without our tags, and nobody was told when {made_for} was forgotten")
    elif owner.id in world.recorded:
        if world.recorded[owner.id] != owner.name:
            world.violated("S6", f"{owner.name} runs, and its record leads to {world.recorded[owner.id]}")
    elif thing.made_at is not None and world.true_time() > thing.made_at + LISTED_AFTER:
        listed = {found.id for found in world.platforms[driver].owned() if found.lineage == world.store.lineage}
        if owner.id not in listed:
            world.violated("S6", f"{owner.name} runs, is in no record, and no listing shows it")


def _count_orphans(world: World) -> None:
    """Nobody takes care of what is in no record, nor of what came back and is not deleted yet."""
    ledger, now = world.ledger, world.scheduler.time
    there = {thing.deployment.id for _, _, thing in world.live() if thing.deployment is not None}
    for id in there - world.recorded.keys():
        ledger.orphans.setdefault(id, now)
    for id in [id for id in ledger.orphans if id not in there or _is_taken_over(world, id)]:
        ledger.longest_orphan_s = max(ledger.longest_orphan_s, now - ledger.orphans.pop(id))


def _is_taken_over(world: World, id: str) -> bool:
    records = (world.store.load(place).deployments.get(id) for place in world.places if id in world.recorded)
    return any(record is not None and record.intent is Intent.CREATE for record in records)


def look_for_orphans(world: World, quiet_since: float = -math.inf) -> None:
    """L4: nothing runs for long that nobody takes care of. It counts from when the faults stopped, because a reconciler
    that cannot work finds nothing."""
    _count_orphans(world)
    for id, since in world.ledger.orphans.items():
        lasted = world.scheduler.time - max(since, quiet_since)
        if lasted > ORPHAN_S:
            world.violated("L4", f"{id} runs since {lasted:.0f} s and nobody takes care of it")
