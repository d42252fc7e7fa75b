"""`python -m tests.sim.mutants`: is the simulator able to see? Takes out each safety mechanism and waits for red."""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat

from tests.sim.faults import PROFILES, ByChance, Often
from tests.sim.removals import MUTANTS, Mutant, blind_to
from tests.sim.run import Outcome, run
from tests.sim.scenarios import SCENARIOS

_CHUNK = 20


@dataclass(slots=True)
class Findings:
    """What the simulator said of one mutant."""

    mutant: Mutant
    schedules: int = 0
    red: int = 0
    red_after: int | None = None
    """Schedules until the first red one, itself included; None while all are green."""
    first: Outcome | None = None
    rules: Counter[str] = field(default_factory=Counter)
    """Red schedules by the rule that was broken first."""
    unproven: int = 0
    """Schedules that are red with the mechanism as well, or because the patch itself broke down (L5): they say nothing
    about the mechanism, and are not counted as red."""

    def add(self, outcome: Outcome, *, red_anyway: bool) -> None:
        self.schedules += 1
        rule = outcome.violations[0].partition(":")[0] if outcome.violations else ""
        if rule == "L5" or red_anyway:
            self.unproven += 1
        elif rule:
            self.red += 1
            self.red_after = self.red_after or self.schedules
            self.first = self.first or outcome
            self.rules[rule] += 1

    def line(self) -> str:
        rules = " ".join(f"{rule}×{count}" for rule, count in self.rules.most_common())
        after = f"{self.red_after:>6,}" if self.red_after else " GREEN"
        share = f"{100 * self.red / max(self.schedules, 1):>6.2f} % of {self.schedules:<6,}"
        anyway = f" ({self.unproven} prove nothing)" if self.unproven else ""
        return f"{self.mutant.mechanism:<22} {self.mutant.instead:<48} {after}  {share} {rules}{anyway}"


def main() -> int:
    arguments = _arguments()
    chosen = [MUTANTS[name] for name in arguments.mutants] or list(MUTANTS.values())
    print(f"{'without':<22} {'instead':<48} red after  share of red         rules")
    green = 0
    for mutant in chosen:
        findings = hunt(mutant, arguments.schedules, arguments.at_most, jobs=arguments.jobs)
        print(findings.line(), flush=True)
        if findings.first is not None and arguments.why:
            print(f"  seed {findings.first.seed}, {findings.first.scenario}: {findings.first.violations[0]}")
        green += not findings.red
    if green:
        print(f"{green} of {len(chosen)} mechanisms can be taken out and the simulator stays green: it is too weak")
    return 1 if green else 0


def hunt(mutant: Mutant, schedules: int, at_most: int, *, jobs: int = 1) -> Findings:
    """So many schedules without the mechanism, and more, up to `at_most`, as long as none of them is red."""
    findings = Findings(mutant)
    for outcome, red_anyway in _outcomes(mutant, at_most, jobs):
        findings.add(outcome, red_anyway=red_anyway)
        if findings.red and findings.schedules >= schedules:
            break
    return findings


def maimed(mechanism: str, seed: int, *, traced: bool = False) -> Outcome:
    """The run of a seed without the mechanism."""
    mutant = MUTANTS[mechanism]
    with mutant.without():
        return _told(mutant, seed, traced)


def _compared(mechanism: str, seed: int) -> tuple[Outcome, bool]:
    """The run of a seed without the mechanism, and whether it is red with it, too: then something else is wrong."""
    outcome = maimed(mechanism, seed)
    return outcome, bool(outcome.violations and _told(MUTANTS[mechanism], seed).violations)


def _told(mutant: Mutant, seed: int, traced: bool = False) -> Outcome:
    names, rng = mutant.scenarios or sorted(SCENARIOS), random.Random(f"{seed}/{mutant.mechanism}")
    chooser = Often(*mutant.often, rng) if mutant.often else ByChance(PROFILES["rough"], rng)
    with blind_to(mutant.unseen):
        return run(names[seed % len(names)], seed, chooser, traced=traced)


def _outcomes(mutant: Mutant, at_most: int, jobs: int) -> Iterator[tuple[Outcome, bool]]:
    if jobs == 1:
        yield from (_compared(mutant.mechanism, seed) for seed in range(at_most))
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_compared, repeat(mutant.mechanism), range(at_most), chunksize=_CHUNK)


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.mutants", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200, help="of each mutant, for the share of red ones")
    parser.add_argument("--at-most", type=int, default=5000, help="schedules until a mutant counts as green")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--why", action="store_true", help="say what the first red schedule broke")
    parser.add_argument("mutants", nargs="*", help="mechanisms, by name; all without any")
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
