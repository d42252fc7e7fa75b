"""Every named point of every change, killed in both ways of running and started again: `python -m tests.faults`.

Prints a line for each, and ends with 1 where anything was not as it should be. Some minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra.bench.measure import percentile
from infra.cloud.crashes import CHANGES, CrashLab, Way
from infra.lab import NotInTime
from reconciler.crashpoints import CRASHED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--change", choices=tuple(CHANGES), action="append")
    arguments = parser.parse_args()
    wrong: list[str] = []
    for change in arguments.change or CHANGES:
        for killed, started in ((Way.ONCE, Way.ONCE), (Way.SERVICE, Way.SERVICE), (Way.SERVICE, Way.ONCE)):
            with (
                tempfile.TemporaryDirectory(prefix="reconcile-faults-") as folder,
                CrashLab(Path(folder), os.environ, change) as lab,
            ):
                kills = list(_kill_everywhere(lab, killed, started))
            found = [f"{change}: {killed.value}, then {started.value}: {text}" for _, text in kills if text]
            times = [seconds for seconds, _ in kills]
            print(
                f"{change:8} {killed.value}, then {started.value}: {len(kills)} kills, {len(found)} wrong, "
                f"done again after {percentile(times, 0.5):.2f} s (p50), {max(times):.2f} s (slowest)",
                flush=True,
            )
            wrong += found
    print("\n".join(wrong) or "nothing wrong")
    return 1 if wrong else 0


def _kill_everywhere(lab: CrashLab, killed: Way, started: Way) -> Iterator[tuple[float, str]]:
    """Seconds until all was well again, and what was not."""
    for point in lab.trace(killed):
        lab.begin()
        ended = lab.run(killed, CMR_CRASH_AT=point)
        if killed is Way.SERVICE and ended.status == 0:
            continue  # a look at the health of what is done: the service was stopped before it came
        if ended.status != CRASHED:
            yield 0.0, f"{point}: ended with {ended.status}: {ended.said}"
            continue
        try:
            seconds = lab.recover(started)
        except (NotInTime, RuntimeError) as error:
            yield 30.0, f"{point}: {error}; {lab.faults()}"
            continue
        yield seconds, "; ".join(lab.faults())


if __name__ == "__main__":
    sys.exit(main())
