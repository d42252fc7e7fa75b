"""`cloud.schedule`: whether a model is down at a moment, since when and until when. Pure.

Cron expressions are read as Debian's cron reads them, summer time included: what falls into the hour that is left out
comes right after it, and what comes twice counts once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from drivers.schedules import Schedule, schedule

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class Down(NamedTuple):
    """A time in which a model is to be away. Both ends bear the zone of the schedule."""

    since: datetime
    until: datetime


def down(text: str, now: datetime) -> Down | None:
    """The time that `now` falls into; None while the model is up. Where both ends come at once, it is up."""
    from cronsim import CronSim

    given = schedule(text)
    here = now.astimezone(_zone(given))
    # A second later, because what comes at this very moment has come.
    just_after = here + timedelta(seconds=1)
    last_up, last_down = (next(CronSim(each, just_after, reverse=True)) for each in (given.up, given.down))
    return Down(last_down, next(CronSim(given.up, here))) if last_down > last_up else None


def wrong(text: str) -> str:
    """What keeps a well-formed schedule from being followed; empty where nothing does."""
    from zoneinfo import ZoneInfoNotFoundError

    from cronsim import CronSim, CronSimError

    given = schedule(text)
    try:
        _zone(given)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"there is no time zone '{given.timezone}'; write one like Europe/Berlin, or UTC"
    for name, each in (("up", given.up), ("down", given.down)):
        try:
            CronSim(each, _ANY_TIME)
        except CronSimError:
            return f"'{name}@{each}' never comes"
    return ""


def _zone(given: Schedule) -> tzinfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(given.timezone)
