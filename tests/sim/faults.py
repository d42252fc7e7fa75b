"""What may go wrong with one effect, how often, and how a run decides: by chance, or exactly one fault at one place."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol


class Fault(Enum):
    """One thing that may happen to one effect. The value is what the trace calls it."""

    CRASH_BEFORE = "killed before it"
    CRASH_AFTER = "killed after it"
    CRASH_SENT = "killed while it was under way, applied minutes later"
    PAUSE_BEFORE = "stopped before it"
    PAUSE_AFTER = "stopped after it"
    THROTTLE = "throttled"
    LOST = "timed out, never applied"
    APPLIED = "timed out, applied"
    DELAYED = "timed out, applied minutes later"
    DUPLICATE = "delivered twice"
    EXPIRED = "credentials expired"
    EXHAUSTED = "no capacity"
    LYING = "said yes, did nothing"
    STALE = "answered from an old copy"
    PARTIAL = "answered in part"
    BUSY = "store busy"
    FULL = "store full"
    REWOUND = "store put back to an earlier copy"
    TAKEN = "somebody else took the name"
    NOT_WRITTEN = "not written"
    UNASKED = "engine did not answer"
    RESTART_FAILED = "restart failed"
    UNREADABLE = "source unreadable"
    CLOCK_JUMP = "wall clock jumped"


CRASHES = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.CRASH_SENT})
_PROCESS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_BEFORE, Fault.PAUSE_AFTER, Fault.CLOCK_JUMP)
_CALL = (Fault.CRASH_SENT, Fault.THROTTLE, Fault.LOST, Fault.APPLIED, Fault.DELAYED, Fault.DUPLICATE, Fault.EXPIRED)
POSSIBLE: Mapping[str, tuple[Fault, ...]] = {
    "read": (*_PROCESS, Fault.UNREADABLE),
    "load": (*_PROCESS, Fault.BUSY, Fault.REWOUND),
    "acquire": (*_PROCESS, Fault.BUSY, Fault.FULL, Fault.REWOUND),
    "renew": (*_PROCESS, Fault.BUSY, Fault.REWOUND),
    "release": (*_PROCESS, Fault.BUSY),
    "commit": (*_PROCESS, Fault.BUSY, Fault.FULL, Fault.REWOUND),
    "observe": (*_PROCESS, Fault.THROTTLE, Fault.EXPIRED, Fault.STALE, Fault.PARTIAL),
    "create": (*_PROCESS, *_CALL, Fault.EXHAUSTED, Fault.TAKEN),
    "update": (*_PROCESS, *_CALL),
    "delete": (*_PROCESS, *_CALL, Fault.LYING),
    "part": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_BEFORE, Fault.LOST),
    "in_flight": _PROCESS,
    "owned": (*_PROCESS, Fault.THROTTLE, Fault.EXPIRED),
    "epoch": _PROCESS,
    "claim": (*_PROCESS, Fault.NOT_WRITTEN),
    "publish": (*_PROCESS, Fault.NOT_WRITTEN),
    "mentions": _PROCESS,
    "says": _PROCESS,
    "users": (*_PROCESS, Fault.UNASKED),
    "roll_out": (*_PROCESS, Fault.RESTART_FAILED),
}
"""Which faults each kind of effect can have."""


class Chance(NamedTuple):
    """A profile: what part of all effects goes wrong, and what part of the wrong ones is a crash."""

    fault: float
    crash: float


PROFILES: Mapping[str, Chance] = {"calm": Chance(0.002, 0.2), "rough": Chance(0.12, 0.1), "storm": Chance(0.4, 0.05)}


class Chooser(Protocol):
    def choose(self, number: int, kind: str, who: str) -> Fault | None:
        """What goes wrong with the effect of this number and kind, which `who` is about to have; None: nothing."""
        ...


@dataclass(slots=True)
class ByChance:
    """Faults by a seeded generator."""

    chance: Chance
    rng: random.Random

    def choose(self, number: int, kind: str, who: str) -> Fault | None:
        if self.rng.random() >= self.chance.fault:
            return None
        if self.rng.random() < self.chance.crash:
            return self.rng.choice([fault for fault in POSSIBLE[kind] if fault in CRASHES])
        return self.rng.choice([fault for fault in POSSIBLE[kind] if fault not in CRASHES])


@dataclass(slots=True)
class Often:
    """One fault at one kind of effect, at every fifth of them, and nothing else."""

    kind: str
    fault: Fault
    rng: random.Random

    def choose(self, number: int, kind: str, who: str) -> Fault | None:
        return self.fault if kind == self.kind and self.rng.random() < 0.2 else None


@dataclass(frozen=True, slots=True)
class Exactly:
    """These faults at these effects and nowhere else; one that the effect cannot have does nothing."""

    at: Mapping[int, Fault]

    def choose(self, number: int, kind: str, who: str) -> Fault | None:
        fault = self.at.get(number)
        return fault if fault in POSSIBLE[kind] else None


class Effect(NamedTuple):
    """One of a run: its kind, and whose it was."""

    kind: str
    who: str


@dataclass(slots=True)
class Recording:
    """No faults; remembers what effects there were, in order."""

    effects: list[Effect] = field(default_factory=list)

    def choose(self, number: int, kind: str, who: str) -> Fault | None:
        self.effects.append(Effect(kind, who))
        return None
