"""Which project is due when: marks, timers and work in progress as one small state machine, with the time passed in.

Events and timers meet in one number per project, the time at which its next pass starts. Nothing is queued twice and
nothing is forgotten: a mark that arrives during a pass makes another one due after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Debounce:
    """When to act on events that come in bursts. All times are monotonic seconds.

    A burst is answered `quiet_s` after its last event, `max_wait_s` after its first at the latest: a commit is some
    twenty events, of which the few that matter come within a millisecond, and should be acted on within a tenth of a
    second. One that is cut in two costs a second pass and nothing else. In a storm, after `burst` answers in short
    order, there is one answer every `spacing_s`.
    """

    quiet_s: float = 0.01
    max_wait_s: float = 0.08
    burst: int = 3
    spacing_s: float = 1.0
    _first: float | None = None
    _last: float = 0.0
    _full_at: float = field(default=float("-inf"))
    """When the allowance of quick answers is whole again."""

    def mark(self, now: float) -> None:
        """Something happened."""
        if self._first is None:
            self._first = now
        self._last = now

    @property
    def due(self) -> float | None:
        """When to act; None while nothing happened."""
        if self._first is None:
            return None
        settled = min(self._last + self.quiet_s, self._first + self.max_wait_s)
        return max(settled, self._full_at - (self.burst - 1) * self.spacing_s)

    def answered(self, now: float) -> None:
        """Whatever happened until now is being acted on."""
        if self._first is not None:
            self._full_at = max(self._full_at, now) + self.spacing_s
        self._first = None


@dataclass(slots=True)
class _Item:
    events: Debounce
    timer: float | None = None
    in_work: bool = False

    @property
    def due(self) -> float | None:
        return min((when for when in (self.timer, self.events.due) if when is not None), default=None)


class Agenda:
    """What is due, by key. Not for several threads: `workqueue.py` puts a lock around it."""

    def __init__(self, debounce: Callable[[], Debounce] = Debounce) -> None:
        self._debounce = debounce
        self._items: dict[str, _Item] = {}

    def add(self, key: str, when: float) -> None:
        """Due at `when`, or earlier if it already is."""
        item = self._item(key)
        item.timer = when if item.timer is None else min(item.timer, when)

    def mark(self, key: str, now: float) -> None:
        """An event: due as soon as the burst it belongs to is over."""
        self._item(key).events.mark(now)

    def take(self, now: float) -> str | None:
        """The key that has been due longest and is not in work; it is in work from now on."""
        ready = [(due, key) for key, item in self._items.items() if (due := _ready_at(item)) is not None and due <= now]
        if not ready:
            return None
        _, key = min(ready)
        item = self._items[key]
        item.in_work, item.timer = True, None
        item.events.answered(now)
        return key

    def done(self, key: str) -> None:
        """The work on a key has ended; what came in meanwhile is due in its turn."""
        item = self._items.get(key)
        if item is not None:
            item.in_work = False

    def forget(self, key: str) -> None:
        """Drop what is due for a key. Work in progress goes on and may bring it back."""
        item = self._items.get(key)
        if item is None:
            return
        if item.in_work:
            item.timer, item.events = None, self._debounce()
        else:
            del self._items[key]

    @property
    def next_due(self) -> float | None:
        """When there will be something to take; None when only a new mark can bring that about."""
        return min((due for item in self._items.values() if (due := _ready_at(item)) is not None), default=None)

    @property
    def in_work(self) -> frozenset[str]:
        return frozenset(key for key, item in self._items.items() if item.in_work)

    def _item(self, key: str) -> _Item:
        return self._items.setdefault(key, _Item(self._debounce()))


def _ready_at(item: _Item) -> float | None:
    return None if item.in_work else item.due
