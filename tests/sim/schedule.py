"""Virtual time and interleaving: reconcilers are greenlets that stop before each effect; one of them goes on.

The production code stays plain and synchronous: a port's method calls `Task.effect`, which hands control to the
scheduler and performs the effect when it is this task's turn again.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from greenlet import greenlet

T = TypeVar("T")


class Killed(BaseException):
    """The process ends here, as by kill -9: nothing may catch this, and whatever it tries afterwards has no effect."""


class Process:
    """What lives and dies, is stopped and goes on, together: a reconciler's passes and the ticker of its lease."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stopped_until = 0.0

    def concerns(self, place: str) -> bool:
        """Whether it works on this project."""
        return False

    def between(self, part: str) -> None:
        """It is about to make, or take away, the next part of something."""

    def die(self) -> None:
        """kill -9."""
        self.dead = True


@dataclass
class Task:
    """One thread of a process."""

    process: Process
    name: str
    wake_at: float
    began_at: float = 0.0
    """When it began its present effect, in virtual seconds."""
    strand: Any = None


@dataclass
class Scheduler:
    """Time, what will happen at which time, and whose turn it is."""

    rng: random.Random
    time: float = 1000.0
    tasks: list[Task] = field(default_factory=list)
    _later: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)
    _main: Any = field(default_factory=greenlet.getcurrent)
    current: Task | None = None
    _died: bool = False
    """Whether somebody died who is not buried yet."""

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Something that happens in the world by itself."""
        heapq.heappush(self._later, (time, next(self._numbers), act))

    def start(self, process: Process, name: str, run: Callable[[], None], delay_s: float = 0.0) -> None:
        def strand() -> None:
            try:
                run()
            except Killed:
                return

        task = Task(process, name, self.time + delay_s)
        task.strand = greenlet(strand)
        self.tasks.append(task)

    def yield_for(self, seconds: float) -> None:
        """Called by the running task: let others go on, and this one not before so many seconds."""
        task = self.current
        assert task is not None
        if task.process.dead:
            raise Killed
        task.wake_at = self.time + seconds
        self._main.switch()
        if task.process.dead:
            raise Killed

    def kill(self, process: Process) -> None:
        process.dead = self._died = True

    def last_echo(self) -> float:
        """When the last one that is stopped now goes on, or the last late call arrives."""
        stopped = (task.process.stopped_until for task in self.tasks if not task.process.dead)
        return max((self.time, *stopped, *(time for time, _, _ in self._later)))

    def run_until(self, end: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Let things happen until `end` (virtual seconds), or until `stop` says so between two effects."""
        while not stop():
            if self._died:
                self.bury()
            soonest, ready = self._next()
            later = self._later[0][0] if self._later else math.inf
            if max(min(soonest, later), self.time) > end:
                self.time = end
                return
            self.time = max(self.time, min(soonest, later))
            if later <= self.time:
                heapq.heappop(self._later)[2]()
                continue
            self._go_on(self.rng.choice(ready) if len(ready) > 1 else ready[0])

    def _next(self) -> tuple[float, list[Task]]:
        """When somebody may go on, and who: the soonest, and all who could by now."""
        soonest, ready, now = math.inf, [], self.time
        for task in self.tasks:
            due = task.wake_at
            if due < task.process.stopped_until:
                due = task.process.stopped_until
            if due < now:  # whoever could go on by now may go on now
                due = now
            if due < soonest:
                soonest, ready = due, [task]
            elif due == soonest:
                ready.append(task)
        return soonest, ready

    def _go_on(self, task: Task) -> None:
        self.current = task
        task.strand.switch()
        self.current = None

    def bury(self) -> None:
        """Unwind the strands of dead processes; nothing that they try on the way has an effect."""
        self._died = False
        for task in [task for task in self.tasks if task.strand.dead or task.process.dead]:
            self.tasks.remove(task)
            if task.strand and not task.strand.dead:
                self.current = task
                task.strand.throw(Killed)
                self.current = None
