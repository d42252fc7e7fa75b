"""The store's contract, kept by `sqlite.py`, `postgres.py` and `memory.py` and proved by one suite.

A store is one lineage: an identity made once, that also stands in the tags of everything created through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from state.record import Change, Event, Recorded


class StateError(Exception):
    """The state cannot be used as it is; the text says what to do. Nothing was changed."""


class StateMissing(StateError):
    """There is no state at this place. A missing or zero-length file is not an empty state."""


class StateLost(StateMissing):
    """There was a state here and it is gone. What it made may still run, so nothing starts afresh by itself."""


class StateExists(StateError):
    """There is something already where a new state was to be made."""


class StateDamaged(StateError):
    """The state is there and is not sound, or belongs to another lineage or a newer release."""


class StateBusy(StateError):
    """Somebody holds the database; try again later."""


class StateFull(StateError):
    """The disk is full, and giving up the ballast was not enough."""


class StateReadOnly(StateError):
    """The state can be read and not written."""


class Held(StateError):
    """Another reconciler holds the project's lease."""


class Fenced(StateError):
    """Our lease is no longer the current one: stop at once, write nothing more, call nothing more."""


KEPT_EVENTS = 10_000
"""Events kept per project; older ones go when newer ones are appended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to change one project. `epoch` rises with every acquisition and never falls."""

    project: str
    holder: str
    epoch: int
    ttl_s: float
    acquired_monotonic: float
    """The holder's own monotonic clock, read just *before* it asked (seconds): the base of its local deadline."""
    succeeds: int = 0
    """The epoch that was recorded before. Lower than the `floor` that was asked for, it proves an older copy."""


class Store(Protocol):
    """Remembers, one writer per project at a time. All methods may raise `StateError`."""

    @property
    def lineage(self) -> str:
        """The UUID made when this state was initialised."""
        ...

    @property
    def short_of_space(self) -> bool:
        """The disk is nearly full: what was begun can be finished and things can be deleted; create nothing."""
        ...

    def projects(self) -> tuple[str, ...]:
        """Names of all projects ever recorded, sorted."""
        ...

    def load(self, project: str) -> Recorded:
        """Everything recorded for a project; an unknown project is an empty `Recorded` at epoch 0."""
        ...

    def acquire(self, project: str, holder: str, ttl_s: float, *, floor: int = 0) -> Lease:
        """Take the lease: epoch becomes `max(recorded epoch, floor) + 1`. Raises Held while another holder lives.

        `floor` is the highest epoch seen elsewhere (an override file's header), so that a state restored from an old
        copy is never fenced by its own past.
        """
        ...

    def renew(self, lease: Lease) -> Lease:
        """The same lease with its time starting anew. Raises Fenced when it is no longer ours."""
        ...

    def release(self, lease: Lease) -> None:
        """Give it back; a lease that is no longer ours is left alone silently."""
        ...

    def commit(self, lease: Lease, changes: Sequence[Change]) -> int:
        """Write all changes or none, durably, and return the new serial. Raises Fenced for a stale epoch.

        The changes count as one: only what they leave behind matters, not their order. At most one deployment per
        model may be active and no two deployments share an external name; a commit that would break this, or that
        carries a deployment of another project or lineage, is a programming error (`ValueError`) and changes nothing.
        """
        ...

    def events(self, project: str, *, limit: int = 100, after: int = 0) -> tuple[tuple[int, Event], ...]:
        """The newest `limit` events with a sequence number above `after`, oldest first."""
        ...

    def close(self) -> None:
        """Release files and connections; leases that were not released run out."""
        ...
