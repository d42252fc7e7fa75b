"""One run: a scenario, reconcilers, faults while the story lasts, then quiet, then the question whether all is well."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from zlib import crc32

from drivers.fake import FLAVOURS
from tests.sim.faults import PROFILES, ByChance, Chooser, Exactly
from tests.sim.invariants import unconverged
from tests.sim.ledger import look_for_orphans
from tests.sim.reconcilers import SimProcess
from tests.sim.scenarios import SCENARIOS, TOLD_ON, Story
from tests.sim.world import World

CONVERGE_WITHIN_S = 2 * 3600.0
"""Virtual seconds after the faults: settle times of what is still on its way, back-off for capacity, bake times."""
MIXED = "mixed"
"""The profile of which each seed has another one."""
_MIXTURE = (*["rough"] * 7, "calm", "calm", "storm")
QUIET_S = 60.0
"""How long nothing may happen any more afterwards (L2)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to."""

    scenario: str
    seed: int
    effects: int
    faults: int
    took_s: float
    """Virtual seconds from the end of the faults until all was well."""
    orphans_usd: float
    """What ran without being in the record has cost."""
    orphan_s: float
    """For how long, at most, something ran that nobody took care of, in virtual seconds."""
    late: tuple[str, ...]
    """The calls that took effect a minute or more after they were sent: verb and platform of each."""
    violations: tuple[str, ...] = ()
    pardons: Mapping[str, int] = field(default_factory=dict)
    """How often a rule was not kept in the way that it excepts, by rule and reason."""
    trace: tuple[str, ...] = field(default=())
    how: str = ""
    """The arguments of `python -m tests.sim` that run it again; empty for a seed of a profile."""

    def count(self, *rules: str) -> int:
        return sum(text.partition(":")[0] in rules for text in self.violations)


def run(scenario: str, seed: int, chooser: Chooser, *, traced: bool = False, plainly: bool = False) -> Outcome:
    """The run of a written story. The same arguments give the same run, effect by effect."""
    return tell(scenario, SCENARIOS[scenario], seed, chooser, traced=traced, plainly=plainly)


def tell(
    name: str, told: Story, seed: int, chooser: Chooser, *, traced: bool = False, plainly: bool = False
) -> Outcome:
    """The run of any story; `name` is what its outcome calls it. `plainly`: with two reconcilers, and without a look
    too many where nothing is to be expected."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        return _told(name, told, seed, chooser, traced=traced, plainly=plainly)
    finally:
        logging.disable(before)


def _told(name: str, told: Story, seed: int, chooser: Chooser, *, traced: bool, plainly: bool) -> Outcome:
    rng = random.Random(seed)
    died_frees, roll_out, running = rng.random() < 0.5, rng.random() < 0.7, rng.random() < 0.8
    drawn = rng.choice(sorted(FLAVOURS)), rng.choice(sorted(FLAVOURS))
    flavours = TOLD_ON.get(name, drawn)
    world = World(seed, chooser, died_frees=died_frees, roll_out=roll_out, running=running, flavours=flavours)
    world.idle_s = rng.choice((10.0, 40.0, 40.0)) if not plainly else 40.0
    world.trace = [] if traced else None
    many = rng.choice((2, 2, 3)) if not plainly else 2
    story = told(world)
    world.faulty = True
    started: set[str] = set()
    for pause_s in story:
        for place in sorted(world.places.keys() - started):
            started.add(place)
            for number in range(many):
                SimProcess(world, place, f"{place[0]}{number}").begin(rng.uniform(0, 10))
            if not world.roll_out:
                world.somebody_restarts(place)
        world.scheduler.run_until(
            world.scheduler.time + pause_s * rng.uniform(0.3, 1.5), lambda: bool(world.violations)
        )
    world.faulty = False
    return _conclude(world, name, seed)


def by_seed(seed: int, profile: str, *, traced: bool = False) -> Outcome:
    """The run that a seed stands for: its scenario, and faults by chance."""
    names = sorted(SCENARIOS)
    if profile == MIXED:
        profile = _MIXTURE[seed // len(names) % len(_MIXTURE)]
    rng = random.Random(f"{seed}/{profile}")
    return run(names[seed % len(names)], seed, ByChance(PROFILES[profile], rng), traced=traced)


def exactly(scenario: str, chooser: Exactly, *, traced: bool = False) -> Outcome:
    """A scenario with these faults only."""
    faults = " ".join(f"--fault {number}:{fault.name}" for number, fault in chooser.at.items())
    return replace(in_its_world(scenario, chooser, traced=traced), how=f"{faults} {scenario}")


def in_its_world(scenario: str, chooser: Chooser, *, traced: bool = False) -> Outcome:
    """A scenario, plainly, in a world of its own that stays the same when others are added."""
    return run(scenario, crc32(scenario.encode()), chooser, traced=traced, plainly=True)


def _conclude(world: World, scenario: str, seed: int) -> Outcome:
    ended = world.scheduler.time
    world.note("-- no more faults")
    world.scheduler.run_until(world.scheduler.last_echo() + 40.0, lambda: bool(world.violations))
    quiet_since = world.scheduler.time
    while not world.violations and unconverged(world):
        if world.scheduler.time > ended + CONVERGE_WITHIN_S:
            world.violated("L1", "; ".join(unconverged(world)))
            break
        world.scheduler.run_until(world.scheduler.time + 30.0, lambda: bool(world.violations))
        look_for_orphans(world, quiet_since)
    took_s = world.scheduler.time - ended
    if not world.violations:
        _idle(world)
    world.close()
    return Outcome(
        scenario=scenario,
        seed=seed,
        effects=world.effects,
        faults=world.faults,
        took_s=took_s,
        orphans_usd=world.orphans_usd,
        orphan_s=world.ledger.longest_orphan_s,
        late=tuple(sorted(world.ledger.late.elements())),
        violations=tuple(world.violations),
        pardons=dict(world.pardons),
        trace=tuple(world.trace or ()),
    )


def _idle(world: World) -> None:
    calls = len(world.calls)
    world.scheduler.run_until(world.scheduler.time + QUIET_S, lambda: bool(world.violations))
    for call in world.calls[calls:]:
        world.violated("L2", f"{' '.join(call)} although all was well")
    for text in unconverged(world):
        world.violated("L2", f"all was well, and then: {text}")
