"""When a platform is asked again what it has of ours, and what may not be done before it answered. Pure.

The first pass under a lease asks every platform that the file or the record names, after a loss all; later ones ask all
that there are, now and then: a call that was sent before may arrive after everybody has forgotten it, and a record that
was put back may lack a platform altogether. Times are monotonic, in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from drivers.errors import Denied, DriverError, Rejected
from reconciler.moment import Unlisted
from state.record import DeploymentRecord

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


def due(
    sweeps: Sweeps,
    needed: Collection[str],
    every: Collection[str],
    now_s: float,
    interval_s: float,
    settled_s: Mapping[str, float] = MappingProxyType({}),
) -> list[str]:
    """The platforms to be asked now. `needed` are those that the file or the record names. `settled_s`: see
    `settled`."""
    names = sorted({*needed, *every})
    return [name for name in names if now_s >= _due_s(sweeps, name, name in needed, interval_s, settled_s.get(name))]


def _due_s(sweeps: Sweeps, name: str, is_needed: bool, interval_s: float, settled_s: float | None) -> float:
    tried_s, again_s = sweeps.tried_s.get(name), min(AGAIN_S, interval_s)
    if is_needed and name not in sweeps.listed_s:
        return sweeps.began_s if tried_s is None else tried_s + again_s
    due_s = (sweeps.began_s if tried_s is None else tried_s) + interval_s
    if settled_s is None or tried_s is None or sweeps.listed_s.get(name, settled_s) >= settled_s:
        return due_s
    return min(due_s, max(settled_s, tried_s + again_s))


def settled(
    records: Iterable[DeploymentRecord], settle_s: Mapping[str, float], now: datetime, now_s: float
) -> Mapping[str, float]:
    """From when on a listing of each platform tells all, on the clock of the listings: calls that are in no record may
    have been on their way when a record was found to be incomplete, and have arrived once its doubts have settled.
    Nothing for a record that is doubted nowhere. `settle_s` is by platform."""
    doubted = [record.doubted_at for record in records if record.doubted_at is not None]
    if not doubted:
        return {}
    ago_s = (now - max(doubted)).total_seconds()
    return {name: now_s - ago_s + seconds for name, seconds in settle_s.items()}


def noted(sweeps: Sweeps, asked: Collection[str], failures: Mapping[str, DriverError], now_s: float) -> Sweeps:
    """After asking these platforms, of which some failed to tell."""
    return replace(
        sweeps,
        tried_s={**sweeps.tried_s, **dict.fromkeys(asked, now_s)},
        listed_s={**sweeps.listed_s, **{name: now_s for name in asked if name not in failures}},
        failures={**{name: why for name, why in sweeps.failures.items() if name not in asked}, **failures},
    )


def unlisted(
    sweeps: Sweeps,
    needed: Collection[str],
    now: datetime,
    now_s: float = 0.0,
    settled_s: Mapping[str, float] = MappingProxyType({}),
) -> Mapping[str, Unlisted]:
    """The needed platforms that did not tell under this lease all that they have of ours. Whatever the record says,
    there may be more: what is made there now might be there already, or on its way. One without a driver here never
    tells: nobody waits for it. `settled_s`: see `settled`."""
    found = {}
    for name in sorted(needed):
        told_s, failure = sweeps.listed_s.get(name), sweeps.failures.get(name)
        from_s = settled_s.get(name, -math.inf)
        if isinstance(failure, Rejected) or (told_s is not None and told_s >= from_s):
            continue
        if failure is not None and (told_s is None or now_s >= from_s):
            again_at = None if isinstance(failure, Denied) else now + timedelta(seconds=AGAIN_S)
            found[name] = Unlisted(f"{name} does not say what it has of ours: {failure}", again_at)
        elif told_s is not None:
            again_at = now + timedelta(seconds=max(from_s - now_s, 0.0))
            found[name] = Unlisted(f"the record is incomplete: more may have been asked for on {name}", again_at)
    return found
