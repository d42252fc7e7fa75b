"""Removing everything of a lineage: at the end of each test, whatever became of it, and in the sweep.

Three ways lead to what is left, because each one has its blind spot: the journal knows what was about to be asked for,
the drivers' `owned` what carries our tags, and the census of listings what has lost them. The first two are deleted by
the drivers; what only the census sees is named, and fails whoever asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from drivers.base import Deployment, Driver, Phase
from drivers.errors import DriverError
from tests.live.census import Thing
from tests.live.ground import Account
from tests.live.journal import Open
from tests.live.strangers import remove_stranger


class Left(AssertionError):
    """Something is still there and may cost money."""


def remove(account: Account, left: Open, *, patience_s: float, say: Callable[[str], None] = lambda text: None) -> int:
    """Delete until two looks in a row find nothing; how many deployments there were. Raises Left after `patience_s`."""
    driver, limit_s = account.driver(left.platform), time.monotonic() + patience_s
    going = {one.id: one for one in left.deployments}
    seen, quiet = set[str](), 0
    for stranger in left.strangers:
        remove_stranger(account, stranger)
    while quiet < 2:
        troubles = _round(driver, left.lineage, going, seen)
        there = account.count(left.platform, left.lineage)
        quiet = 0 if going or there or troubles else quiet + 1
        if quiet < 2:
            if time.monotonic() > limit_s:
                raise Left(_told(left, there, troubles))
            say(f"{left.platform} {left.lineage}: {len(there)} things left")
            time.sleep(account.consent.every_s)
    return len(seen)


def _round(driver: Driver, lineage: str, going: dict[str, Deployment], seen: set[str]) -> list[str]:
    """One step of all deletions; what the drivers could not do. What is ABSENT leaves `going`."""
    troubles: list[str] = []
    try:
        going |= {one.id: one for one in driver.owned(lineage) if one.id not in going}
    except DriverError as trouble:
        troubles.append(str(trouble))
    for deployment in tuple(going.values()):
        try:
            phase = driver.delete(deployment).phase
        except DriverError as trouble:
            troubles.append(str(trouble))
            continue
        if phase is Phase.ABSENT:
            del going[deployment.id]
        else:
            seen.add(deployment.id)
    return troubles


def _told(left: Open, there: tuple[Thing, ...], troubles: list[str]) -> str:
    things = ", ".join(f"{thing.kind} {thing.name}" for thing in there) or "nothing that a listing shows"
    why = f" ({'; '.join(dict.fromkeys(troubles))})" if troubles else ""
    help = "run `make live-sweep`, and look into the console"
    return f"{left.platform}, lineage {left.lineage}: still there: {things}{why}; {help}"
