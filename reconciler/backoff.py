"""How long to leave a model alone after another attempt, as a pure function: the record holds the result, so a
restart forgets nothing and `status` can show it."""

from __future__ import annotations

from drivers.errors import Denied, DriverError, Exhausted, Rejected

MAX_ATTEMPTS = 5
"""Creates of one spec that ended in failure before we stop and wait for a new commit or `reconcile resume`."""

_FIRST_S, _MOST_S = 1.0, 60.0
_CAPACITY_FIRST_S, _CAPACITY_MOST_S = 60.0, 1800.0
_DENIED_S = 60.0
_MOST_ASKED_FOR_S = 3600.0
"""Seconds that a platform may ask us to stay away: its clock or its unit may be wrong."""


def before_next_attempt_s(attempts: int) -> float:
    """Seconds from one new deployment of a spec to the next, after `attempts` of them: 1, 2, 4 … 60."""
    return min(_FIRST_S * 2.0 ** min(max(attempts - 1, 0), 16), _MOST_S)


def before_asking_again_s(failed_calls: int, error: DriverError, *, local: bool) -> float:
    """Seconds until the same request is sent again, after `failed_calls` of them in a row, the last ended in `error`.

    Capacity and quota come back slowly on a platform and quickly on this host; for credentials a person must act, so
    once a minute will do.
    """
    doublings = min(max(failed_calls - 1, 0), 16)
    if isinstance(error, Exhausted) and not local:
        pause = min(_CAPACITY_FIRST_S * 2.0**doublings, _CAPACITY_MOST_S)
    elif isinstance(error, Denied | Rejected):
        pause = _DENIED_S
    else:
        pause = min(_FIRST_S * 2.0**doublings, _MOST_S)
    return max(pause, min(error.retry_after_s or 0.0, _MOST_ASKED_FOR_S))
