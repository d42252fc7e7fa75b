"""Many inputs in several processes, each within bounds of memory; a process that dies leaves its input behind.

The only thing a worker's death leaves is the number it was at, so that number lies in memory which the parent shares. A
worker is replaced, and goes on behind the input that ended it.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import RawArray

from tests.fuzz.inputs import Input
from tests.fuzz.judge import CPU_S, Verdict, judge
from tests.fuzz.path import Subject

MEMORY = 512 * 1024 * 1024
"""Bytes that an input may make a worker grow by."""
STUCK_S = 60.0
"""Wall-clock time at one input after which a worker is killed: code that looks for no signals is stuck in C."""
MOST_FINDINGS = 200

Make = Callable[[int], Input]
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Finding:
    """An input, by its seed, and what must not have happened."""

    seed: int
    name: str
    trace: str = ""


@dataclass(slots=True)
class Figures:
    """What a run came to."""

    inputs: int = 0
    accepted: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    slowest_seed: int = 0
    places: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        yield f"inputs            {self.inputs:>12,}"
        yield f"accepted          {self.accepted:>12,}"
        yield f"places of refusal {len(self.places):>12,}"
        yield f"findings          {len(self.findings):>12,}"
        yield f"slowest           {self.slowest_s:>12.3f} s of processor time (seed {self.slowest_seed})"
        yield f"inputs per second {self.inputs / max(self.seconds, 1e-9):>12,.0f}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one input may take."""

    cpu_s: float = CPU_S
    memory: int = MEMORY
    stuck_s: float = STUCK_S


def run(
    first: int,
    count: int,
    jobs: int,
    make: Make,
    subject: Subject,
    *,
    bounds: Bounds | None = None,
    progress: Callable[[Figures], None] = lambda figures: None,
) -> Figures:
    """Judge the inputs of `count` seeds. `progress` is called about once a second."""
    figures, began = Figures(), time.monotonic()
    share = -(-count // jobs)
    ends = first + count
    crew = [
        _Worker(range(at, min(at + share, ends)), make, subject, bounds or Bounds()) for at in range(first, ends, share)
    ]
    try:
        while any(worker.is_at_work for worker in crew) and len(figures.findings) < MOST_FINDINGS:
            wait([worker.news for worker in crew if worker.is_at_work], timeout=1.0)
            for worker in crew:
                worker.gather(figures)
            figures.seconds = time.monotonic() - began
            progress(figures)
    finally:
        for worker in crew:
            worker.end()
    return figures


# What a worker writes into the shared array.
_AT, _DONE, _ACCEPTED = range(3)


class _Worker:
    """A range of seeds and the process that goes through it, followed by another one when it dies."""

    def __init__(self, seeds: range, make: Make, subject: Subject, bounds: Bounds) -> None:
        self._seeds, self._make, self._subject, self._bounds = seeds, make, subject, bounds
        self._counted = (0, 0)
        self._moved_at = time.monotonic()
        self._is_stuck = False
        self._start()

    @property
    def is_at_work(self) -> bool:
        return self._process is not None

    def gather(self, figures: Figures) -> None:
        """Take in what came, and replace a process that is dead or stuck."""
        if self._process is None:
            return
        dead = not self._process.is_alive()  # asked first: what it sent before is then there to be read
        self._listen(figures)
        self._count(figures)
        if dead:
            self._bury(figures, self._process)
        elif time.monotonic() - self._moved_at > self._bounds.stuck_s:
            self._is_stuck = True
            self._process.kill()

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._close()

    def _start(self) -> None:
        self.news, theirs = _FORK.Pipe(duplex=False)
        self._shared = RawArray("q", 3)
        self._shared[_AT] = self._seeds.start
        self._counted = (0, 0)
        self._process: ForkProcess | None = _FORK.Process(
            target=_work, args=(self._seeds, self._make, self._subject, self._bounds, self._shared, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    def _listen(self, figures: Figures) -> None:
        try:
            while self.news.poll():
                seed, verdict = self.news.recv()
                if verdict.took_s > figures.slowest_s:
                    figures.slowest_s, figures.slowest_seed = verdict.took_s, seed
                if verdict.place:
                    figures.places.add(verdict.place)
                if verdict.finding:
                    figures.findings.append(Finding(seed, verdict.finding, verdict.trace))
        except EOFError:
            return

    def _count(self, figures: Figures) -> None:
        done, accepted = self._shared[_DONE], self._shared[_ACCEPTED]
        if done != self._counted[0]:
            self._moved_at = time.monotonic()
        figures.inputs += done - self._counted[0]
        figures.accepted += accepted - self._counted[1]
        self._counted = (done, accepted)

    def _bury(self, figures: Figures, process: ForkProcess) -> None:
        process.join()
        status, at = process.exitcode or 0, self._shared[_AT]
        self._close()
        if status:
            figures.inputs += 1
            stuck = f"stuck for {self._bounds.stuck_s:g} s"
            figures.findings.append(Finding(at, stuck if self._is_stuck else f"ended with {_ending(status)}"))
            self._is_stuck = False
            self._seeds = range(at + 1, self._seeds.stop)
            self._moved_at = time.monotonic()
            if self._seeds:
                self._start()

    def _close(self) -> None:
        assert self._process is not None
        self._process.close()
        self._process = None
        self.news.close()


def _ending(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def _work(seeds: range, make: Make, subject: Subject, bounds: Bounds, shared: object, news: Connection) -> None:
    """The life of a worker. Only what is new is sent: a finding, a place, a slower input."""
    confine(bounds.memory)
    gc.freeze()
    gc.set_threshold(50_000)
    places: set[str] = set()
    slowest_s = 0.0
    counters: list[int] = shared  # type: ignore[assignment]
    for seed in seeds:
        counters[_AT] = seed
        verdict = judge(make(seed), subject, bounds.cpu_s)
        counters[_DONE] += 1
        counters[_ACCEPTED] += not verdict.place and not verdict.finding
        if verdict.finding or verdict.took_s > slowest_s or (verdict.place and verdict.place not in places):
            places.add(verdict.place)
            slowest_s = max(slowest_s, verdict.took_s)
            news.send((seed, verdict))
    os._exit(0)


def confine(memory: int) -> None:
    """Let this process grow by so many bytes and no more, and leave no core behind."""
    pages = int(open("/proc/self/statm", encoding="ascii").read().split()[0])  # noqa: SIM115
    limit = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def alone(given: Input, subject: Subject, bounds: Bounds | None = None) -> Verdict:
    """One input in a process of its own, so that its death is a verdict too."""
    limits = bounds or Bounds()
    figures = run(0, 1, 1, lambda seed: given, subject, bounds=limits)
    if figures.findings:
        return Verdict(finding=figures.findings[0].name, trace=figures.findings[0].trace)
    return Verdict(place=next(iter(figures.places), ""))
