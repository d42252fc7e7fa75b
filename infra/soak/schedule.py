"""When what happens: the faults and the commits of a run, drawn from a seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

WARM_UP_S = 15.0
"""Seconds before the first fault: every model serves by then, and what a process takes at rest has been seen."""


class Fault(Enum):
    """What goes wrong. The value is what people read."""

    KILL_LEADER = "kill -9 of the leader"
    KILL_STAND_BY = "kill -9 of the stand-by"
    END_LEADER = "SIGTERM to the leader"
    FREEZE_LEADER = "SIGSTOP of the leader beyond its lease"
    KILL_SERVER = "kill -9 of a llama-server"
    HANG_SERVER = "SIGSTOP of a llama-server"
    TAKE_PORT = "a llama-server dies, its port is taken"
    EDIT_OVERRIDE = "the override file edited by hand"
    DELETE_OVERRIDE = "the override file deleted"
    REWIND = "the state put back from a copy"
    WORK_TREE = "the work tree amid a checkout"
    BREAK_COMPOSE = "a broken compose.yaml committed"
    FILL_DISK = "the state's disk is full"


class Moment(NamedTuple):
    """Something that is due; a commit where there is no fault."""

    at_s: float
    fault: Fault | None


def schedule(seed: int, seconds: float, faults: Sequence[Fault], *, every_s: float = 60.0) -> tuple[Moment, ...]:
    """What happens in a run of so many seconds: a fault every `every_s`, a commit or two between two faults.

    Every kind of fault comes once before any comes twice. The last fault leaves half an interval to recover in.
    Raises ValueError where there is no fault to choose from.
    """
    if not faults:
        raise ValueError("there is no fault to choose from")
    chance = random.Random(seed)
    dealt = _deal(faults, chance)
    moments = []
    at_s = min(WARM_UP_S, every_s / 2)
    while at_s + every_s / 2 <= seconds:
        moments.append(Moment(at_s, next(dealt)))
        commits = chance.randint(1, 2)
        moments += (Moment(at_s + chance.uniform(0.0, every_s * 0.75), None) for _ in range(commits))
        at_s += every_s
    return tuple(sorted((moment for moment in moments if moment.at_s < seconds), key=lambda moment: moment.at_s))


def _deal(faults: Sequence[Fault], chance: random.Random) -> Iterator[Fault]:
    while True:
        yield from chance.sample(faults, len(faults))
