"""Measuring two things against each other on a machine that is busy with other work: whole processes, taken in turns,
medians. A ratio of one run means something on any machine; a time of its own does not."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the benchmark: a figure, its aim, and what it was made of."""

    name: str
    value: float
    aim: float
    unit: str = "x"
    """`x` for a ratio; a ratio below 1 means that we are faster."""
    detail: Mapping[str, float] = field(default_factory=dict)
    """The measured medians, seconds or whatever the name says."""

    @property
    def met(self) -> bool:
        return self.value <= self.aim

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "aim": self.aim,
            "met": self.met,
            "detail": {name: round(value, 4) for name, value in self.detail.items()},
        }

    def as_line(self) -> str:
        parts = ", ".join(f"{name} {value:.3g}" for name, value in self.detail.items())
        said = "met   " if self.met else "MISSED"
        return f"{said}  {self.name:<58} {self.value:8.2f} {self.unit:<3} aim <= {self.aim:g}   ({parts})"


def in_turns(runs: int, *jobs: Callable[[], float]) -> tuple[float, ...]:
    """The median of each job's seconds; the jobs take turns, so that a slow moment of the machine hits all of them."""
    for job in jobs:
        job()  # warm: files in the page cache, bytecode written
    taken = [[job() for job in jobs] for _ in range(runs)]
    return tuple(statistics.median(row[index] for row in taken) for index in range(len(jobs)))


def process(
    command: Sequence[str | Path], *, environment: Mapping[str, str], cwd: Path, good: Sequence[int] = (0,)
) -> Callable[[], float]:
    """A job: one whole process, from start to end, its output thrown away. Raises where it does not end well."""

    def job() -> float:
        began = time.perf_counter()
        done = subprocess.run(
            [str(part) for part in command],
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        taken = time.perf_counter() - began
        if done.returncode not in good:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
        return taken

    return job


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which the given share of the values lies, taken from the values themselves."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
