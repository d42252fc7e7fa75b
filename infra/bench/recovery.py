"""How long a service that was killed takes, once it is started again, until everything is as the file asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from infra.bench.measure import Result, percentile
from infra.cloud.crashes import CHANGES, CrashLab, Way

LONGEST_S = 5.0


def recovery_after_a_kill(folder: Path) -> Iterator[Result]:
    """From the start of the new process to the desired state: on the platform, in the services' files, in the record.

    Killed once before each effect of every change. The platform takes no time for anything, so all of it is ours.
    """
    prompt = [name for name, change in CHANGES.items() if not change.create_s]
    times = [seconds for change in prompt for seconds in _kills(folder, change)]
    detail = {"kills": float(len(times)), "p50 s": percentile(times, 0.5), "slowest s": max(times)}
    yield Result(
        name="restart to converged after kill -9 at any point, p99",
        value=percentile(times, 0.99),
        aim=LONGEST_S,
        unit="s",
        detail=detail,
    )


def _kills(folder: Path, change: str) -> Iterator[float]:
    with CrashLab(folder, os.environ, change) as lab:
        for point in lab.trace(Way.SERVICE):
            if not point.startswith("before-"):
                continue  # what lies after an effect lies before the next one
            lab.begin()
            lab.run(Way.SERVICE, CMR_CRASH_AT=point)
            yield lab.recover(Way.SERVICE)
