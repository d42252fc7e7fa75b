"""What the exhaustive part tries: each fault at each effect of an undisturbed run, but for what is one and the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.sim.faults import POSSIBLE, Effect, Exactly, Fault

REPEATS = 6
"""So many passes of the same kinds of effects are disturbed; more of them, as while a platform is silent, are alike."""
LOOKS = frozenset({"read", "load", "observe", "in_flight", "owned", "epoch", "mentions", "users"})
"""Effects that leave the world as it is."""


def single_faults(effects: Sequence[Effect]) -> list[Exactly]:
    """Every fault at every effect, one at a time. Whoever is killed after a look is killed before the next effect, and
    who is stopped before one is stopped after the last effect: those are tried there."""
    return [Exactly({number: fault}) for number in _unlike(effects) for fault in _unlike_others(effects[number].kind)]


def crash_pairs(effects: Sequence[Effect], within: int) -> list[Exactly]:
    """Two crashes at every pair of effects that are at most `within` apart, the first of which changed something: who
    is killed after a look is killed after the last change."""
    return [
        Exactly({first: Fault.CRASH_AFTER, second: Fault.CRASH_BEFORE})
        for first in _unlike(effects)
        if effects[first].kind not in LOOKS
        for second in range(first + 1, min(first + 1 + within, len(effects)))
    ]


def _unlike_others(kind: str) -> list[Fault]:
    twice = (Fault.CRASH_AFTER, Fault.PAUSE_BEFORE) if kind in LOOKS else ()
    return [fault for fault in POSSIBLE[kind] if fault not in twice]


def _unlike(effects: Sequence[Effect]) -> list[int]:
    """The numbers of all effects but those of passes that came `REPEATS` times before."""
    times: Counter[tuple[str, ...]] = Counter()
    numbers: list[int] = []
    for own in _passes(effects):
        kinds = tuple(effects[number].kind for number in own)
        times[kinds] += 1
        if times[kinds] <= REPEATS:
            numbers.extend(own)
    return sorted(numbers)


def _passes(effects: Sequence[Effect]) -> list[list[int]]:
    """The effects of each pass, by number. It begins with reading; renewals come in between and are for themselves."""
    passes: list[list[int]] = []
    present: dict[str, list[int]] = {}
    for number, (kind, who) in enumerate(effects):
        if kind == "renew":
            passes.append([number])
            continue
        if kind == "read" or who not in present:
            present[who] = []
            passes.append(present[who])
        present[who].append(number)
    return passes
