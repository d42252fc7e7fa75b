"""Many runs, in several processes, and the figures they come to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from tests.sim.cases import crash_pairs, single_faults
from tests.sim.faults import Effect, Exactly, Fault, Recording
from tests.sim.run import Outcome, by_seed, exactly, in_its_world
from tests.sim.scenarios import SCENARIOS

_CHUNK = 20
TELL_EVERY_S = 5.0
Telling = Callable[[str], None]
"""Called now and then with how far it is."""


def silently(line: str) -> None:
    """Tells nobody."""


Work = TypeVar("Work")


@dataclass(slots=True)
class Figures:
    """Sums over runs. The first few bad ones are kept whole."""

    schedules: int = 0
    effects: int = 0
    faults: int = 0
    slowest_s: float = 0.0
    orphans_usd: float = 0.0
    orphan_s: float = 0.0
    late: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    """Runs in which a rule was broken, by rule."""
    pardons: Counter[str] = field(default_factory=Counter)
    """How often a rule was not kept in the way that it excepts, by rule and reason."""
    bad: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.schedules += 1
        self.effects += outcome.effects
        self.faults += outcome.faults
        self.slowest_s = max(self.slowest_s, outcome.took_s)
        self.orphans_usd += outcome.orphans_usd
        self.orphan_s = max(self.orphan_s, outcome.orphan_s)
        self.late += len(outcome.late)
        self.broken.update({text.partition(":")[0] for text in outcome.violations})
        leaked = any("leak:" in text for text in outcome.violations)
        self.broken["leak"] += leaked
        self.pardons.update(outcome.pardons)
        if outcome.violations and len(self.bad) < 20:
            self.bad.append(outcome)

    def lines(self) -> Iterator[str]:
        yield f"schedules         {self.schedules:>12,}"
        yield f"effects           {self.effects:>12,}"
        yield f"faults            {self.faults:>12,}"
        yield f"leaks             {self.broken['leak']:>12,}"
        yield f"double creates    {self.broken['S1'] + self.broken['S2']:>12,}"
        yield f"deletes in use    {self.broken['S4']:>12,}"
        yield f"foreign deletes   {self.broken['S3']:>12,}"
        yield f"not converged     {self.broken['L1'] + self.broken['L2']:>12,}"
        yield f"$ of orphans      {self.orphans_usd:>12,.2f} (at $1 an hour each)"
        yield f"longest orphan    {self.orphan_s:>10,.0f} s (virtual, faults included)"
        yield f"late calls        {self.late:>12,} (took effect a minute or more after they were sent)"
        yield f"slowest recovery  {self.slowest_s:>10,.0f} s (virtual, from the last fault)"
        for rule, count in sorted(self.broken.items()):
            if count and rule != "leak":
                yield f"  {rule} broken in {count:,} schedules"
        for what, count in sorted(self.pardons.items()):
            yield f"  excepted: {what}: {count:,} times"


def seeds(first: int, count: int, profile: str, jobs: int, told: Telling = silently) -> Figures:
    """Runs of consecutive seeds."""
    return _gather(partial(by_seed, profile=profile), range(first, first + count), jobs, told)


def exhaustive(
    names: Iterable[str],
    jobs: int,
    *,
    pairs_within: int = 0,
    every: int = 1,
    only: Fault | None = None,
    told: Telling = silently,
) -> Figures:
    """Every single fault at every effect of the undisturbed run of these scenarios, or `only` this one, and pairs of
    crashes at effects that lie at most `pairs_within` apart; of all these, every n-th."""
    work = []
    for name in names:
        effects = trace_of(name)
        cases = [case for case in single_faults(effects) if only in (None, *case.at.values())]
        cases += crash_pairs(effects, pairs_within) if pairs_within else []
        work += [(name, case) for case in cases]
    return _gather(_exactly, work[::every], jobs, told)


def trace_of(name: str) -> list[Effect]:
    """The effects of a run without faults, up to where faults would stop."""
    recording = Recording()
    in_its_world(name, recording)
    return recording.effects


def _exactly(case: tuple[str, Exactly]) -> Outcome:
    name, chooser = case
    return exactly(name, chooser)


def _gather(one: Callable[[Work], Outcome], work: Collection[Work], jobs: int, told: Telling) -> Figures:
    figures, told_at = Figures(), time.monotonic()
    for outcome in _outcomes(one, work, jobs):
        figures.add(outcome)
        if time.monotonic() - told_at >= TELL_EVERY_S:
            told_at = time.monotonic()
            told(f"{figures.schedules:,} of {len(work):,} schedules, {sum(figures.broken.values()):,} rules broken")
    return figures


def _outcomes(one: Callable[[Work], Outcome], work: Iterable[Work], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(one, work)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(one, work, chunksize=_CHUNK)


def timed(what: Callable[[], Figures]) -> tuple[Figures, float]:
    began = time.perf_counter()
    return what(), time.perf_counter() - began


__all__ = ["SCENARIOS", "Figures", "exhaustive", "seeds", "timed", "trace_of"]
