"""A real run of the command, stopped at a named point and let go on again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from infra.cloud.crashes import CrashLab
from infra.lab import command


@contextmanager
def stopped_at(lab: CrashLab, point: str) -> Iterator[subprocess.Popen[str]]:
    """A run that was stopped there and still is; killed at the end if it still runs."""
    with subprocess.Popen(
        [*command(), *lab.command()],
        env=lab.lab.environment | {"CMR_STOP_AT": point},
        cwd=lab.lab.repository,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            until_stopped(process.pid, point)
            yield process
        finally:
            process.kill()


def wake(process: subprocess.Popen[str]) -> str:
    """Let it go on to its end; what it said."""
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=60)
    return said


def until_stopped(pid: int, point: str) -> None:
    """Wait for a child of ours to be stopped."""
    state = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert state is not None
    assert state.si_code == os.CLD_STOPPED, f"it ended before {point}"
