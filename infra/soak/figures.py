"""From what was seen to figures: requests by what went on meanwhile, times, and growth. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from infra.bench.measure import percentile
from infra.soak.looks import Look, Process, Request, Window

SETTLED_AFTER_S = 20.0
"""Seconds that a process has for its start, or for taking over, before its size is what it takes at rest."""
MEASURED_S = 20.0
"""Seconds that a process is looked at, then and at the end, for the two sizes that are compared."""
MOST_GROWTH: Mapping[str, float] = {"resident MB": 16.0, "file descriptors": 16.0, "threads": 8.0}
"""By how much a process may grow in its life."""


class Times(NamedTuple):
    """Seconds; NaN where nothing was measured."""

    median: float
    p99: float
    worst: float


class Growth(NamedTuple):
    """The largest growth of one measure of a process between its beginning, settled, and its end."""

    measure: str
    before: float
    after: float

    @property
    def is_fine(self) -> bool:
        return self.after - self.before <= MOST_GROWTH[self.measure]


def times(seconds: Sequence[float]) -> Times:
    if not seconds:
        return Times(float("nan"), float("nan"), float("nan"))
    return Times(statistics.median(seconds), percentile(seconds, 0.99), max(seconds))


def by_occasion(requests: Sequence[Request], windows: Sequence[Window]) -> Mapping[str, tuple[Request, ...]]:
    """The requests by what went on while they were on their way: `fault`, else `switch`, else `calm`."""
    found: dict[str, list[Request]] = {"calm": [], "switch": [], "fault": []}
    for request in requests:
        around = [window for window in windows if window.overlaps(request.at_s, request.at_s + request.took_s)]
        occasion = "fault" if any(window.is_fault for window in around) else "switch" if around else "calm"
        found[occasion].append(request)
    return {name: tuple(those) for name, those in found.items()}


def growths(looks: Sequence[Look]) -> tuple[Growth, ...]:
    """For each measure the process that grew most; none where no process lived long enough to tell.

    A life ends where the process takes over or is replaced: who leads knows more, and that is no leak.
    """
    found = [growth for life in _lives(looks) for growth in _growth_of(life)]
    worst = (
        max((one for one in found if one.measure == measure), key=lambda one: one.after - one.before, default=None)
        for measure in MOST_GROWTH
    )
    return tuple(one for one in worst if one is not None)


def measures(process: Process) -> Mapping[str, float]:
    return {
        "resident MB": process.resident_bytes / 1e6,
        "file descriptors": float(process.descriptors),
        "threads": float(process.threads),
    }


def _lives(looks: Sequence[Look]) -> Iterator[list[tuple[float, Process]]]:
    lives: defaultdict[tuple[int, int], list[tuple[float, Process]]] = defaultdict(list)
    turns: dict[int, tuple[bool, int]] = {}
    for look in looks:
        for process in look.processes:
            led, turn = turns.get(process.pid, (process.leads, 0))
            turns[process.pid] = (process.leads, turn + (led != process.leads))
            lives[process.pid, turns[process.pid][1]].append((look.at_s, process))
    yield from lives.values()


def _growth_of(life: Sequence[tuple[float, Process]]) -> Iterator[Growth]:
    begin, end = life[0][0] + SETTLED_AFTER_S, life[-1][0]
    if end - begin < 2 * MEASURED_S:
        return
    early = [process for at_s, process in life if begin <= at_s <= begin + MEASURED_S]
    late = [process for at_s, process in life if at_s >= end - MEASURED_S]
    for measure in MOST_GROWTH:
        yield Growth(measure, _median(early, measure), _median(late, measure))


def _median(processes: Sequence[Process], measure: str) -> float:
    return statistics.median(measures(process)[measure] for process in processes)
