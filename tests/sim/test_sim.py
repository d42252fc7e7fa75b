"""The bounded part of the simulation: the same few hundred schedules each time. `make sim` runs as many as you like."""

from __future__ import annotations

import pytest

from tests.sim.cases import REPEATS, crash_pairs, single_faults
from tests.sim.faults import PROFILES, Effect, Fault
from tests.sim.mutants import hunt, maimed
from tests.sim.removals import MUTANTS
from tests.sim.run import by_seed
from tests.sim.volume import Figures, exhaustive, seeds

_PARTS = 10


@pytest.mark.parametrize("part", range(_PARTS))
def test_no_seeded_schedule_breaks_a_rule(part: int) -> None:
    figures = Figures()
    for profile in PROFILES:
        more = seeds(part * 17, 17, profile, jobs=1)
        figures.schedules += more.schedules
        figures.faults += more.faults
        figures.bad += more.bad
    assert not figures.bad, f"{figures.bad[0].scenario}, seed {figures.bad[0].seed}: {figures.bad[0].violations}"
    assert figures.schedules * _PARTS >= 500
    assert figures.faults > 100


@pytest.mark.parametrize("scenario", ["add", "edit_with_replacement"])
def test_no_single_fault_breaks_a_rule(scenario: str) -> None:
    figures = exhaustive([scenario], 1, every=40)
    assert figures.faults >= 10
    assert not figures.bad, f"{figures.bad[0].how}: {figures.bad[0].violations}"


def test_of_what_is_one_and_the_same_the_exhaustive_part_tries_one() -> None:
    one_pass = [Effect("read", "d0.1"), Effect("load", "d0.1"), Effect("commit", "d0.1")]
    tried = [next(iter(case.at.items())) for case in single_faults(one_pass)]
    assert (0, Fault.CRASH_AFTER) not in tried  # that is to be killed before the next one
    assert {(0, Fault.CRASH_BEFORE), (1, Fault.CRASH_BEFORE), (2, Fault.CRASH_BEFORE), (2, Fault.CRASH_AFTER)} <= set(
        tried
    )
    assert (1, Fault.PAUSE_BEFORE) not in tried  # and that to be stopped after the one before
    assert {(0, Fault.PAUSE_AFTER), (2, Fault.PAUSE_BEFORE)} <= set(tried)
    between = [one_pass[0], Effect("read", "d1.1"), *one_pass[1:]]
    assert len(single_faults(between * 9)) == len(single_faults(between * REPEATS))
    assert [tuple(case.at) for case in crash_pairs(one_pass * 2, 2)] == [(2, 3), (2, 4)]


def test_a_seed_gives_the_same_run_each_time() -> None:
    once, again = (by_seed(7, "rough", traced=True) for _ in range(2))
    assert once == again
    assert len(once.trace) > 100


@pytest.mark.parametrize("mechanism", MUTANTS)
def test_without_a_safety_mechanism_the_simulator_turns_red(mechanism: str) -> None:
    """A mechanism whose removal no run notices would not be tested."""
    findings = hunt(MUTANTS[mechanism], 1, 400)
    assert findings.red, f"green without it in {findings.schedules} schedules"


def test_a_mutant_leaves_nothing_behind() -> None:
    before = by_seed(7, "rough", traced=True)
    for mechanism in MUTANTS:
        maimed(mechanism, 1)
    assert by_seed(7, "rough", traced=True) == before


def test_what_runs_unrecorded_is_metered() -> None:
    """Without the intent, what was made by a call whose answer got lost costs money and nobody knows."""
    outcomes = [maimed("intent write, unseen", seed) for seed in range(20)]
    assert sum(outcome.orphans_usd for outcome in outcomes) > 0
    assert by_seed(7, "rough").orphans_usd == 0
