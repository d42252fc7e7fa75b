"""The service: triggers mark, a queue collects, workers run passes. Nothing that happens here carries information.

    watcher ─► debounce ─┐
    polls, ticker, SIGHUP├─► workqueue ─► worker ─► Engine.run_once
    look_again_s ────────┘

A file system that went away can hold up whoever touches it for ever: a pass, or the poll of one project. The ticker
touches none. It keeps the leases, marks what was not polled in time, and tells the supervisor that we live, as long as
no pass hangs.
A pass that fails in whatever way is logged and tried again; the loop itself never ends but by `stop`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from types import MappingProxyType

from reconciler.engine import Engine
from reconciler.errors import ReconcilerError
from reconciler.inbox import Inbox
from reconciler.ports import Clock
from reconciler.reading import Reader
from reconciler.result import PassResult
from reconciler.tenure import KEEP_EVERY_S
from reconciler.timers import Jobs, Ticker
from reconciler.watch import Watcher
from reconciler.workqueue import Workqueue
from state.store import Fenced, Held, StateError

log = logging.getLogger(__name__)

STAND_BY_S = 5.0
"""Seconds until a project that another reconciler holds is tried again."""
TROUBLE_S = 10.0
"""Seconds until a pass that failed is tried again."""
LONGEST_PASS_S = 900.0
"""Seconds after which a pass hangs and the supervisor no longer hears that we live: restarts of services alone may
take 300 s, each call to a platform has an end of its own."""
DRAIN_S = 20.0
"""Seconds that passes in progress are given when the service stops."""


@dataclass(frozen=True, slots=True)
class Followed:
    """One project that the service follows."""

    reader: Reader
    engine: Engine
    inbox: Inbox | None = None
    """What people ask of it meanwhile; None where nobody can."""


class Daemon:
    """Runs until `stop`. `projects` are by a key that names them in the log. `chores` are by name: how many seconds
    lie between two runs, and what to run; one that fails is logged and stops nothing."""

    def __init__(
        self,
        projects: Mapping[str, Followed],
        clock: Clock,
        *,
        poll_interval_s: float,
        tell: Callable[[str, PassResult], None] = lambda key, result: None,
        alive: Callable[[], None] = lambda: None,
        chores: Mapping[str, tuple[float, Callable[[], object]]] = MappingProxyType({}),
    ) -> None:
        self._projects, self._clock = projects, clock
        self._tell, self._alive = tell, alive
        self._queue = Workqueue(clock.monotonic)
        self._watcher = Watcher(self._queue.mark)
        # Each may hang and keep its worker: as many workers as jobs, and none of the others waits for it.
        self._jobs = Jobs(len(projects) + len(chores) or 1)
        for key in projects:
            self._jobs.every(f"poll of {key}", poll_interval_s, partial(self._poll, key))
        for name, (interval_s, chore) in chores.items():
            self._jobs.every(name, interval_s, chore)
        self._poll_interval_s = poll_interval_s
        self._ticker = Ticker("backstop", min(poll_interval_s, KEEP_EVERY_S), self._tick)
        self._heads: dict[str, str] = {}
        self._said: dict[tuple[str, str], str] = {}
        self._unread: dict[str, int] = {}
        self._overdue = dict.fromkeys(projects, clock.monotonic() + poll_interval_s)
        """When the ticker marks a project because nobody polled it."""
        self._begun: dict[str, float] = {}
        """When each pass in progress began."""
        # Not an Event: a signal handler that sets an Event which this very thread waits for can wait for ever.
        self._ended: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """Everything, until `stop` is called from a signal handler or another thread."""
        self._watcher.start()
        self._jobs.start()
        self._ticker.start()
        for key in self._projects:
            self._queue.add(key)
        workers = [
            threading.Thread(target=self._work, name=f"worker-{index}", daemon=True)
            for index in range(min(4, len(self._projects)) or 1)
        ]
        for worker in workers:
            worker.start()
        self._wait_for_the_end()
        self._shut_down()

    def _wait_for_the_end(self) -> None:
        """Not in one go: a signal that another thread of ours receives wakes this one only to look, and the handler
        that calls `stop` runs nowhere else."""
        while True:
            try:
                self._ended.get(timeout=0.5)
            except Empty:
                continue
            return

    def stop(self) -> None:
        """Finish the passes in progress and return from `run`. Safe in a signal handler."""
        self._ended.put(None)

    def mark_all(self) -> None:
        """Look at every project now."""
        for key in self._projects:
            self._queue.add(key)

    # -- triggers -----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """The backstop, on a thread of its own that touches no source: nothing that hangs keeps it from its work."""
        now = self._clock.monotonic()
        if all(now - begun <= LONGEST_PASS_S for begun in tuple(self._begun.values())):
            self._alive()
        for key, followed in self._projects.items():
            self._keep(key, followed)
            if now >= self._overdue[key]:
                self._overdue[key] = now + self._poll_interval_s
                self._queue.mark(key)

    def _keep(self, key: str, followed: Followed) -> None:
        tenure = followed.engine.tenure
        if tenure is None:
            return
        try:
            tenure.keep()
        except StateError as error:
            self._complain(key, f"the lease could not be renewed: {error}", about="lease")
        else:
            self._complain(key, "", about="lease")

    def _poll(self, key: str) -> None:
        """The truth behind the watcher: mark what changed since the last poll. A source in trouble is always marked."""
        try:
            head = self._projects[key].reader.head()
        except (ReconcilerError, OSError):
            head = ""
        self._overdue[key] = self._clock.monotonic() + 2 * self._poll_interval_s
        if not head or self._heads.get(key) != head:
            self._queue.mark(key)

    # -- passes -------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (key := self._queue.get()) is not None:
            self._begun[key] = self._clock.monotonic()
            try:
                again_s = self._pass(key)
            except Exception:
                log.exception("%s: a pass failed; the next one comes in %g s", key, TROUBLE_S)
                again_s = TROUBLE_S
            finally:
                del self._begun[key]
                self._queue.done(key)
            self._queue.add_at(key, self._clock.monotonic() + again_s)

    def _pass(self, key: str) -> float:
        """One pass; returns the seconds until the next one is due by itself."""
        followed = self._projects[key]
        try:
            self._take_up(followed)
            result = followed.engine.run_once()
            asked = self._take_up(followed)
        except Held as error:
            self._complain(key, str(error))
            return STAND_BY_S
        except Fenced as error:
            self._complain(key, str(error))
            self._let_go(key, followed.engine)
            return STAND_BY_S
        except (StateError, ReconcilerError) as error:
            self._complain(key, str(error))
            return TROUBLE_S
        finally:
            self._look_out(key, followed)
        self._complain(key, result.trouble)
        self._tell(key, result)
        return 0.0 if asked else self._again_s(key, result)

    def _take_up(self, followed: Followed) -> int:
        """Do what people asked for, under our lease: before a pass, so that it sees that, and after it, because the
        first pass is where the lease comes from. How much that was."""
        tenure = followed.engine.tenure
        return followed.inbox.take_up(tenure.lease) if followed.inbox is not None and tenure is not None else 0

    def _again_s(self, key: str, result: PassResult) -> float:
        """What was never read in a good state is looked at less and less often; the poll sees it change."""
        if result.plan is not None:
            self._unread.pop(key, None)
            return result.look_again_s
        tries = self._unread[key] = self._unread.get(key, 0) + 1
        return float(min(result.look_again_s * 2 ** min(tries - 1, 10), max(self._poll_interval_s, TROUBLE_S)))

    def _let_go(self, key: str, engine: Engine) -> None:
        """The lease may still be ours in the record, when only its time ran out: without it the next pass begins."""
        try:
            engine.close()
        except StateError as error:
            log.debug("%s: the lease could not be given back: %s", key, error)
            engine.lose_lease()

    def _look_out(self, key: str, followed: Followed) -> None:
        """Watch what this reading depends on, and remember the head so that the poll does not repeat it."""
        paths = list(followed.reader.watch_paths())
        if followed.inbox is not None and followed.engine.tenure is not None:
            paths.append(followed.inbox.bell(followed.engine.tenure.lease.project))
        self._watcher.set_paths(key, paths)
        self._heads[key] = followed.reader.read_head

    def _complain(self, key: str, text: str, about: str = "") -> None:
        """Say what is wrong once, and once that it is over."""
        before = self._said.get((key, about), "")
        if text == before:
            return
        self._said[key, about] = text
        if text:
            log.warning("%s: %s", key, text)
        else:
            log.info("%s: the trouble is over", key)

    def _shut_down(self) -> None:
        self._queue.close()
        self._jobs.stop()
        self._watcher.stop()
        late = self._queue.drain(DRAIN_S)
        for key in late:
            log.warning("%s: its pass did not end within %g s; the next start goes on where it was", key, DRAIN_S)
        self._ticker.stop()
        for key, followed in self._projects.items():
            if key not in late:
                self._let_go(key, followed.engine)
