"""A reconciler that is killed at a chosen point of a create, as a program: `python -m tests.drivers.crashing`.

Arguments: the point, the run root, the lineage, and the deployment's number.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from drivers.llamacpp import process, rundir, starter
from drivers.llamacpp.driver import LlamaCppDriver
from tests.drivers.llamas import Llamas

POINTS = ("before the record", "before the start", "after the start", "before the pid is noted", "after the create")


def main(point: str, root: str, lineage: str, number: str) -> None:
    platform = Llamas(Path(root))
    platform.lineage = lineage
    if point == "before the record":
        rundir.RunFolder.write = _die  # type: ignore[method-assign,assignment]
    if point == "before the pid is noted":
        starter.note_process = _die  # type: ignore[assignment]
    start: Callable[[process.Launch], int] = process.start
    if point == "before the start":
        start = _die
    if point == "after the start":
        start = _start_and_die
    LlamaCppDriver(platform.settings, platform.shelf, start=start).create(platform.deployment(int(number)))
    _die()


def _start_and_die(launch: process.Launch) -> int:
    process.start(launch)
    _die()


def _die(*arguments: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


if __name__ == "__main__":
    main(*sys.argv[1:])
