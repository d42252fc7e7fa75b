"""`python -m tests.sim`: many seeds, or one with its trace, or every single fault of every scenario."""

from __future__ import annotations

import argparse
import sys

from tests.sim.faults import PROFILES, Exactly, Fault
from tests.sim.run import MIXED, Outcome, by_seed, exactly
from tests.sim.volume import SCENARIOS, Figures, exhaustive, seeds, timed


def main() -> int:
    arguments = _arguments()
    if arguments.seed is not None:
        return _replay(by_seed(arguments.seed, arguments.profile, traced=True))
    if arguments.fault:
        at = {int(number): Fault[name] for number, _, name in (each.partition(":") for each in arguments.fault)}
        return _replay(exactly(arguments.scenarios[0], Exactly(at), traced=True))
    bad = 0
    if arguments.seeds:
        told = f"{arguments.seeds:,} seeds, {arguments.profile}"
        bad += _tell(
            told,
            arguments.profile,
            *timed(lambda: seeds(arguments.first, arguments.seeds, arguments.profile, arguments.jobs, _progress)),
        )
    if arguments.exhaustive:
        names = arguments.scenarios or sorted(SCENARIOS)
        pairs, every = arguments.pairs_within, arguments.every
        only = Fault[arguments.only] if arguments.only else None
        jobs = arguments.jobs
        found = timed(lambda: exhaustive(names, jobs, pairs_within=pairs, every=every, only=only, told=_progress))
        bad += _tell(
            f"single faults of {len(names)} scenarios" + f", crash pairs at most {pairs} effects apart" * bool(pairs),
            None,
            *found,
        )
    return 1 if bad else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="how many seeded schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--profile", choices=[*sorted(PROFILES), MIXED], default="rough")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--seed", type=int, help="run this one again and print its trace")
    parser.add_argument("--exhaustive", action="store_true", help="every fault at every effect, one at a time")
    parser.add_argument("--pairs-within", type=int, default=0, help="and crash pairs at most so many effects apart")
    parser.add_argument("--fault", action="append", help="run one scenario with this fault: EFFECT:NAME")
    parser.add_argument("--every", type=int, default=1, help="of the exhaustive part, every n-th run")
    parser.add_argument("--only", choices=[fault.name for fault in Fault], help="of the exhaustive part, this fault")
    parser.add_argument("scenarios", nargs="*", help="for the exhaustive part; all without any")
    return parser.parse_args()


def _progress(line: str) -> None:
    print(f"  … {line}", file=sys.stderr, flush=True)


def _replay(outcome: Outcome) -> int:
    print(f"scenario {outcome.scenario}, seed {outcome.seed}")
    print("\n".join(outcome.trace))
    return 1 if outcome.violations else 0


def _tell(what: str, profile: str | None, figures: Figures, seconds: float) -> int:
    print(f"{what}: {seconds:.1f} s")
    for line in figures.lines():
        print(f"  {line}")
    for outcome in figures.bad:
        again = f"--seed {outcome.seed} --profile {profile}" if profile else outcome.how
        print(f"  {outcome.scenario}: {outcome.violations[0]}\n    python -m tests.sim {again}")
    return len(figures.bad)


if __name__ == "__main__":
    sys.exit(main())
