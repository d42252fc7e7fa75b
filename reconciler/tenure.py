"""Holding a project's lease: acquired when first needed, renewed in time, and checked before every mutating call."""

from __future__ import annotations

from collections.abc import Callable

from state.record import Change, Recorded
from state.store import Fenced, Lease, Store

KEEP_EVERY_S = 3.0
"""So often `keep` is to be called: with the shortest lease that can be set, a call may then begin at any time."""
MAX_CALL_S = 30.0
"""Seconds that one call to a platform may take; the lease must outlive it."""


class Tenure:
    """Our right to change one project. Not for use by two threads at once, but for `renew`."""

    def __init__(
        self,
        store: Store,
        project: str,
        holder: str,
        monotonic: Callable[[], float],
        *,
        ttl_s: float = 60.0,
        floor: int = 0,
        began: float | None = None,
    ) -> None:
        """`began`: when the pass that needs it began, on the same clock. One that was stopped before it got the lease,
        for longer than a lease lasts, has read what is old by now."""
        self._store, self._monotonic = store, monotonic
        self._lease = store.acquire(project, holder, ttl_s, floor=floor)
        self._interrupted = began is not None and monotonic() > began + ttl_s
        self._serial, self._newest_id = 0, ""
        self._refused = False
        self.went_back = False
        """Whether the record was found to be an older copy than what we knew."""

    @property
    def lease(self) -> Lease:
        return self._lease

    @property
    def serial(self) -> int:
        """Of the record as we know it: what we read last, or wrote since."""
        return self._serial

    def begin(self) -> bool:
        """A pass begins: whether it may do so under this lease. One that was slept through may have been somebody
        else's and come back with an older copy of the record, so it is good for nothing more, although it can be
        renewed."""
        self._notice_interruption()
        return not self._interrupted

    def keep(self) -> None:
        """Renew when a quarter of the time to live is over; call it often. Raises Fenced when somebody took over."""
        self._notice_interruption()
        if self._monotonic() > self._lease.acquired_monotonic + self._lease.ttl_s / 4:
            try:
                renewed = self._store.renew(self._lease)
            except Fenced:
                self._refused = True
                raise
            self._notice_interruption()  # before the new time hides it: asking may be where we were stopped
            self._lease = renewed

    def check(self) -> None:
        """To be called right before each mutating call: raises Fenced when the lease may end while it runs.

        The local monotonic clock decides, because a process that was stopped wakes up believing it is still the one.
        A lease that ran out is over, although it could be renewed: see `begin`. One that was refused is over, whatever
        the clock says: an older copy of the record may have given it to somebody else.
        """
        self._refuse_interrupted()
        if self._refused:
            raise Fenced(
                f"the lease on project '{self._lease.project}' is somebody else's by now: stopped before a call"
            )
        if self._monotonic() > self._lease.acquired_monotonic + self._lease.ttl_s - MAX_CALL_S:
            raise Fenced(f"the lease on project '{self._lease.project}' may run out during the call: stopped before it")

    def load(self) -> Recorded:
        """What is recorded of the project. Raises Fenced where it is older than what we know: see `commit`; so it is
        where it knows nothing of our lease. Where it has a later one, somebody took over."""
        recorded = self._store.load(self._lease.project)
        self._refuse_another_lease(recorded.epoch)
        self._refuse_the_past(recorded.serial, recorded.newest_id)
        self._serial, self._newest_id = recorded.serial, recorded.newest_id
        return recorded

    def commit(self, *changes: Change) -> None:
        """Write under our lease. Raises Fenced when it is not ours any more, or when the record went back to an older
        copy which still has it: what was read before is not what is recorded now. Under a new lease everything is
        looked at anew, what the platforms have of ours first. A pass that was stopped for too long decides nothing."""
        self._refuse_interrupted()
        try:
            serial = self._store.commit(self._lease, changes)
        except ValueError:
            self.load()  # what contradicts the record may only contradict an older copy of it
            raise
        self._refuse_the_past(serial - 1, self._newest_id)
        self._serial = serial

    def _notice_interruption(self) -> None:
        """Whoever wakes up first notices: the thread that renews, or the pass itself."""
        self._interrupted |= self._monotonic() > self._lease.acquired_monotonic + self._lease.ttl_s

    def _refuse_interrupted(self) -> None:
        self._notice_interruption()
        if self._interrupted:
            raise Fenced(f"the pass over project '{self._lease.project}' was stopped for too long: what it read is old")

    def _refuse_another_lease(self, epoch: int) -> None:
        if epoch != self._lease.epoch:
            self.went_back |= epoch < self._lease.epoch
            raise Fenced(
                f"the record of project '{self._lease.project}' has lease {epoch}, ours is {self._lease.epoch}: "
                + ("an older copy took its place" if epoch < self._lease.epoch else "we were replaced")
            )

    def _refuse_the_past(self, serial: int, newest_id: str) -> None:
        if serial < self._serial or newest_id < self._newest_id:
            self.went_back = True
            raise Fenced(
                f"the record of project '{self._lease.project}' went back from {self._serial} to {serial}: an older "
                "copy took its place; what runs is taken over again"
            )

    def release(self) -> None:
        self._store.release(self._lease)
