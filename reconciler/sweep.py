"""When a platform is asked again what it has of ours, and what may not be done before it answered. Pure.

The first pass under a lease asks every platform that the file or the record names, after a loss all; later ones ask all
that there are, now and then: a call that was sent before may arrive after everybody has forgotten it, and a record that
was put back may lack a platform altogether. Times are monotonic, in seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from drivers.errors import Denied, DriverError, Rejected
from reconciler.moment import Unlisted

EVERY_S = 600.0
"""Between two listings of one platform. They are a few cheap calls; what they find costs money by the minute, and with
`GRACE_S` this is how long at most it does so unseen."""
AGAIN_S = 10.0
"""After a listing that failed of a platform that is needed."""
GRACE_S = 60.0
"""For which something that came back is left alone: listings lag, and it may be gone already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeps:
    """What was asked under one lease."""

    began_s: float
    listed_s: Mapping[str, float] = field(default_factory=dict)
    """By platform, when it last told all it has."""
    tried_s: Mapping[str, float] = field(default_factory=dict)
    """By platform, when it was last asked."""
    failures: Mapping[str, DriverError] = field(default_factory=dict)
    """Why it did not tell, where it did not."""


def due(sweeps: Sweeps, needed: Collection[str], every: Collection[str], now_s: float, interval_s: float) -> list[str]:
    """The platforms to be asked now. `needed` are those that the file or the record names."""
    return [name for name in sorted({*needed, *every}) if now_s >= _due_s(sweeps, name, name in needed, interval_s)]


def _due_s(sweeps: Sweeps, name: str, is_needed: bool, interval_s: float) -> float:
    tried_s = sweeps.tried_s.get(name)
    if is_needed and name not in sweeps.listed_s:
        return sweeps.began_s if tried_s is None else tried_s + min(AGAIN_S, interval_s)
    return (sweeps.began_s if tried_s is None else tried_s) + interval_s


def noted(sweeps: Sweeps, asked: Collection[str], failures: Mapping[str, DriverError], now_s: float) -> Sweeps:
    """After asking these platforms, of which some failed to tell."""
    return replace(
        sweeps,
        tried_s={**sweeps.tried_s, **dict.fromkeys(asked, now_s)},
        listed_s={**sweeps.listed_s, **{name: now_s for name in asked if name not in failures}},
        failures={**{name: why for name, why in sweeps.failures.items() if name not in asked}, **failures},
    )


def unlisted(sweeps: Sweeps, needed: Collection[str], now: datetime) -> Mapping[str, Unlisted]:
    """The needed platforms that never told under this lease what they have of ours. Whatever the record says, there may
    be more: what is made there now might be there already. One without a driver here never tells: nobody waits for it.
    """
    return {
        name: Unlisted(
            f"{name} does not say what it has of ours: {sweeps.failures[name]}",
            None if isinstance(sweeps.failures[name], Denied) else now + timedelta(seconds=AGAIN_S),
        )
        for name in sorted(needed)
        if name not in sweeps.listed_s and not isinstance(sweeps.failures.get(name), Rejected | None)
    }
