"""How long one method of a driver may go on asking AWS: thirty seconds in all, whatever AWS does.

One request is bounded by the SDK's timeouts, a method makes many, and each may be repeated. So every attempt of every
request, those for credentials included, is begun only where there is time for it to end; the rest is left for the next
time. Only what has to be complete may take longer: `owned` and `owned_at`, which have this time for each place where
that is enough, and `preflight`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from drivers.errors import Unavailable

CONNECT_S, READ_S = 3.0, 8.0
"""One attempt of a request takes eleven seconds at most."""
METHOD_S = 29.0
"""The contract says thirty; what is not asked of AWS takes time as well."""
LEAST_S = 1.0
"""Less than this is no time to ask a model anything."""
METHODS = ("observe", "observe_many", "create", "update", "delete", "in_flight", "logs", "token", "destination")


class OutOfTime(Unavailable):
    """The method's time is up: what it says of what was not asked yet may wait for the next time."""


D = TypeVar("D", bound=type)
A = TypeVar("A")
B = TypeVar("B")


class _End(NamedTuple):
    """When the method that runs at present must be over, by its own monotonic clock."""

    at_s: float
    clock: Callable[[], float]

    def left_s(self) -> float:
        return self.at_s - self.clock()


_end: ContextVar[_End | None] = ContextVar("end", default=None)


@contextmanager
def method(clock: Callable[[], float]) -> Iterator[None]:
    """Around one method. One that is called by another has what is left of that one's time."""
    if _end.get() is not None:
        yield
        return
    token = _end.set(_End(clock() + METHOD_S, clock))
    try:
        yield
    finally:
        _end.reset(token)


def keeps_time(driver: D) -> D:
    """A driver's class whose methods end in time. Its `_clients` have the clock."""
    for name in METHODS:
        if hasattr(driver, name):
            setattr(driver, name, _timed(getattr(driver, name)))
    return driver


def share_s(most_s: float) -> float:
    """Seconds for something else than a request to AWS that takes `most_s` at most: less where less is left. Raises
    OutOfTime where that is next to nothing."""
    end = _end.get()
    left_s = most_s if end is None else min(most_s, end.left_s())
    if left_s < LEAST_S:
        raise OutOfTime("AWS answers slowly: the model is asked the next time")
    return left_s


def carried(function: Callable[[A], B]) -> Callable[[A], B]:
    """The same for other threads, which otherwise would not know how much time is left."""
    context = copy_context()
    return lambda given: context.copy().run(function, given)


def before_send(event_name: str, **_: Any) -> None:
    """The SDK's handler for every attempt of every request. Raises OutOfTime where it might not end in time."""
    end = _end.get()
    if end is not None and end.left_s() < CONNECT_S + READ_S:
        raise OutOfTime(f"AWS answers slowly: {event_name.rpartition('.')[2]} is left for the next time")


def _timed(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def timed(self: Any, *given: Any, **named: Any) -> Any:
        with method(self._clients.clock):
            return function(self, *given, **named)

    return timed
