"""`cloud.schedule`: when a model comes up and goes down, as cron expressions. Checked for shape, without a calendar."""

from __future__ import annotations

import re
from typing import NamedTuple

_CRON_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_PART = r"(\*|[0-9]{1,2}(?:-[0-9]{1,2})?)(?:/([0-9]{1,2}))?"
_TIMEZONE = r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z][A-Za-z0-9_+-]*){0,2}"


class Schedule(NamedTuple):
    """When a model comes up and goes down: five-field cron expressions, and the time zone they are meant in."""

    up: str
    down: str
    timezone: str = "UTC"


def schedule(text: str) -> Schedule:
    """`up@0 8 * * 1-5; down@0 20 * * 1-5; Europe/Berlin`. Checked for shape; a zone may not exist."""
    wrong = ValueError(f"{text!r} is not a schedule: write up@0 8 * * 1-5; down@0 20 * * 1-5; Europe/Berlin, or off")
    parts = [part.strip() for part in text.split(";")]
    if not 2 <= len(parts) <= 3 or not parts[0].startswith("up@") or not parts[1].startswith("down@"):
        raise wrong
    timezone = parts[2] if len(parts) == 3 else "UTC"
    if re.fullmatch(_TIMEZONE, timezone) is None:
        raise wrong
    return Schedule(cron(parts[0].removeprefix("up@")), cron(parts[1].removeprefix("down@")), timezone)


def cron(text: str) -> str:
    """A five-field cron expression in numbers, in canonical spacing."""
    fields = text.split()
    good = len(fields) == 5 and all(
        _is_cron_field(field, low, high) for field, (low, high) in zip(fields, _CRON_BOUNDS, strict=True)
    )
    if not good:
        raise ValueError(f"{text!r} is not a cron expression: minute hour day month weekday, in numbers")
    return " ".join(fields)


def _is_cron_field(field: str, low: int, high: int) -> bool:
    for part in field.split(","):
        match = re.fullmatch(_CRON_PART, part)
        if match is None or match[2] in ("0", "00"):
            return False
        ends = [] if match[1] == "*" else [int(end) for end in match[1].split("-")]
        if ends != sorted(ends) or any(not low <= end <= high for end in ends):
            return False
    return True
