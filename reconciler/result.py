"""What one pass came to, and when the next one is due. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from drivers.base import Observation, Phase
from drivers.errors import Denied
from reconciler.apply import Applied
from reconciler.errors import InputError
from reconciler.plan import Plan
from reconciler.ports import Published
from state.record import Recorded

HEALTH_INTERVAL_S = 10.0
"""How often a READY deployment is looked at when nothing else happens."""
MOVING_INTERVAL_S = 1.0
"""How often one that is on its way is looked at in the beginning, unless its driver says otherwise. What takes long, or
is silent for long, is looked at after a tenth of that time, and at least as often as what is READY."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """What one pass came to."""

    plan: Plan | None
    known: Recorded | None
    trouble: str = ""
    """Why the source gave no (new) answer, so that what was desired before still holds; or why the files could not be
    written, so that nobody was pointed elsewhere."""
    applied: tuple[Applied, ...] = ()
    published: Published = field(default_factory=Published)
    switched: bool = False
    """Services were pointed elsewhere; what served before is dealt with in a later pass."""
    problems: tuple[InputError, ...] = ()
    look_again_s: float = HEALTH_INTERVAL_S
    denied: str = ""
    """Why a platform does not say how something is, where that stays so until a person acts."""

    @property
    def pending(self) -> bool:
        """Something was done just now, is on its way, or will change by time alone."""
        if self.plan is None or self.known is None or self.applied or self.switched:
            return True
        return self.moving or any(step.not_before is not None for step in self.plan.steps)

    @property
    def moving(self) -> bool:
        """Something is on its way on a platform, or it is not known whether it is."""
        records = self.known.deployments.values() if self.known is not None else ()
        return any(record.phase in (Phase.CREATING, Phase.DELETING, Phase.UNKNOWN) for record in records)

    @property
    def stuck(self) -> str:
        """Why nothing more will happen before a person acts; empty while something may."""
        if self.known is not None and any(
            record.phase in (Phase.CREATING, Phase.DELETING) for record in self.known.deployments.values()
        ):
            return ""
        denied = (str(done.error) for done in self.applied if isinstance(done.error, Denied))
        got_on = self.switched or any(done.error is None for done in self.applied)
        return self.trouble or next(denied, "" if got_on else self.denied)


def look_again_s(
    plan: Plan, applied: Sequence[Applied], seen: Mapping[str, Observation], known: Recorded, now: datetime
) -> float:
    """Seconds until something may have changed by itself."""
    waits = [HEALTH_INTERVAL_S]
    waits += [done.look_again_s if done.look_again_s is not None else MOVING_INTERVAL_S for done in applied]
    # What is overdue waits for something else than time: a source that can be read again, say.
    until = ((step.not_before - now).total_seconds() for step in plan.steps if step.not_before is not None)
    waits += [seconds if seconds > 0 else _after(-seconds) for seconds in until]
    for id, record in known.deployments.items():
        hint = seen[id].look_again_s if id in seen else None
        if hint is not None:
            waits.append(hint)
        elif record.phase in (Phase.CREATING, Phase.DELETING, Phase.UNKNOWN, Phase.DEGRADED):
            waits.append(_after((now - record.phase_since).total_seconds()))
    return min(waits)


def _after(seconds: float) -> float:
    """The next look at what has been as it is for so long."""
    return min(max(seconds / 10, MOVING_INTERVAL_S), HEALTH_INTERVAL_S)
