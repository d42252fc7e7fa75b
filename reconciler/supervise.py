"""Programs that we start: in a process group of their own, with an end to every wait, killed with all they started.

`docker compose` ignores SIGTERM where its parser is stuck, and git's helpers outlive git: only SIGKILL to the whole
group is certain.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended. `status` is None when it ran out of time, or could not be started at all."""

    status: int | None
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.status == 0


def run(
    command: Sequence[str], *, environment: Mapping[str, str], timeout_s: float, directory: Path | None = None
) -> Finished:
    """Run a command to its end, or for `timeout_s` seconds. Never raises for what the command does."""
    import subprocess  # 7 ms, which a dry run, `--help` and a run without roll-out need not pay

    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as exc:
        return Finished(None, "", f"{command[0]} could not be started: {exc.strerror}")
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        stop(process)
        return Finished(None, "", f"{command[0]} did not end within {timeout_s:g} s and was killed")
    except BaseException:
        stop(process)
        raise
    return Finished(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all it started, and collect it."""
    kill_group(process)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process group. Only sent while the leader is not collected, so the number is still its own."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
