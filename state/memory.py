"""A store in memory with the semantics of the durable ones: fencing, leases, all or nothing. For tests and simulation.

Several reconcilers share one object, as several processes share one file. Time comes from the clock handed in.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from state.changes import Net, check_unique, net_of
from state.clock import Clock, system_clock
from state.record import Change, Event, Recorded
from state.store import KEPT_EVENTS, Fenced, Held, Lease

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who may write, and until when (seconds since boot)."""

    holder: str
    epoch: int
    expires: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a store held at one moment; all values in it are immutable."""

    serial: int
    recorded: Mapping[str, Recorded]
    events: Mapping[str, tuple[tuple[int, Event], ...]]
    claims: Mapping[str, _Claim]


@dataclass(slots=True)
class MemoryStore:
    """`Store` without a file. `died` and `rewind` play the faults that a file has by nature."""

    lineage: str = "00000000-0000-4000-8000-000000000000"
    clock: Clock = field(default_factory=system_clock)
    short_of_space: bool = False
    _serial: int = 0
    _sequence: int = 0
    _recorded: dict[str, Recorded] = field(default_factory=dict)
    _claims: dict[str, _Claim] = field(default_factory=dict)
    _events: dict[str, tuple[tuple[int, Event], ...]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def projects(self) -> tuple[str, ...]:
        return tuple(sorted(self._recorded))

    def load(self, project: str) -> Recorded:
        with self._lock:
            known = self._recorded.get(project) or Recorded(project=project, lineage=self.lineage, serial=0, epoch=0)
            return known if known.serial == self._serial else replace(known, serial=self._serial)

    def acquire(self, project: str, holder: str, ttl_s: float, *, floor: int = 0) -> Lease:
        with self._lock:
            asked = self.clock.monotonic()
            self._refuse_if_held(project)
            known = self.load(project)
            epoch = max(known.epoch, floor) + 1
            self._recorded[project] = replace(known, epoch=epoch)
            self._claims[project] = _Claim(holder, epoch, self.clock.since_boot() + ttl_s)
            return Lease(
                project=project,
                holder=holder,
                epoch=epoch,
                ttl_s=ttl_s,
                acquired_monotonic=asked,
                succeeds=known.epoch,
            )

    def renew(self, lease: Lease) -> Lease:
        with self._lock:
            asked = self.clock.monotonic()
            claim = self._fence(lease)
            self._claims[lease.project] = replace(claim, expires=self.clock.since_boot() + lease.ttl_s)
            return replace(lease, acquired_monotonic=asked)

    def release(self, lease: Lease) -> None:
        with self._lock:
            if self._is_current(lease):
                del self._claims[lease.project]

    def commit(self, lease: Lease, changes: Sequence[Change]) -> int:
        with self._lock:
            net = net_of(changes, project=lease.project, lineage=self.lineage)
            self._fence(lease)
            after = _after(self.load(lease.project), net)
            others = (r for name, r in self._recorded.items() if name != lease.project)
            check_unique(d for recorded in (after, *others) for d in recorded.deployments.values())
            self._serial += 1
            self._recorded[lease.project] = replace(after, serial=self._serial)
            self._append(lease.project, net.events)
            return self._serial

    def events(self, project: str, *, limit: int = 100, after: int = 0) -> tuple[tuple[int, Event], ...]:
        with self._lock:
            newer = [entry for entry in self._events.get(project, ()) if entry[0] > after]
            return tuple(newer[max(0, len(newer) - limit) :])

    def close(self) -> None:
        """Nothing to release; what was recorded stays, for a later self that is handed this object."""

    def died(self, holder: str) -> None:
        """The holder's process was killed: the kernel frees its locks at once. A holder that merely stopped is not."""
        with self._lock:
            self._claims = {project: claim for project, claim in self._claims.items() if claim.holder != holder}

    def snapshot(self) -> Snapshot:
        """A backup, as cheap as two shallow copies."""
        with self._lock:
            return Snapshot(self._serial, dict(self._recorded), dict(self._events), dict(self._claims))

    def rewind(self, snapshot: Snapshot, *, leases: bool = False) -> None:
        """Restore an old backup under running reconcilers. No lease survives it, but with `leases` those of the copy:
        they are rows of the database like all others."""
        with self._lock:
            self._serial = snapshot.serial
            self._recorded, self._events = dict(snapshot.recorded), dict(snapshot.events)
            self._claims = dict(snapshot.claims) if leases else {}

    def _refuse_if_held(self, project: str) -> None:
        claim = self._claims.get(project)
        if claim is not None and self.clock.since_boot() < claim.expires:
            raise Held(f"project {project!r} is being reconciled by {claim.holder} (epoch {claim.epoch})")

    def _fence(self, lease: Lease) -> _Claim:
        if not self._is_current(lease):
            raise Fenced(f"the lease of {lease.holder} on {lease.project!r} (epoch {lease.epoch}) is no longer current")
        return self._claims[lease.project]

    def _is_current(self, lease: Lease) -> bool:
        claim = self._claims.get(lease.project)
        return claim is not None and (claim.epoch, claim.holder) == (lease.epoch, lease.holder)

    def _append(self, project: str, events: Sequence[Event]) -> None:
        if not events:
            return
        numbered = enumerate(events, self._sequence + 1)
        self._sequence += len(events)
        self._events[project] = (*self._events.get(project, ()), *numbered)[-KEPT_EVENTS:]


def _after(before: Recorded, net: Net) -> Recorded:
    ids = [id for id, record in net.deployments.items() if record is not None]
    return replace(
        before,
        deployments=_merge(before.deployments, net.deployments),
        models=_merge(before.models, net.models),
        outputs=_merge(before.outputs, net.outputs),
        source=net.source or before.source,
        newest_id=max([before.newest_id, *ids]),
    )


def _merge(before: Mapping[str, _Record], net: Mapping[str, _Record | None]) -> Mapping[str, _Record]:
    merged: dict[str, _Record | None] = {**before, **net}
    return MappingProxyType({key: record for key, record in sorted(merged.items()) if record is not None})
