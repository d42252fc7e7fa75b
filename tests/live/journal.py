"""What was made in accounts, one line of JSON each, on the disk before the call that makes it. `sweep` reads it.

A run holds the journal's lock as long as it lives, so that nobody sweeps away what somebody else is testing.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from drivers.base import Deployment, ModelSpec

RUN = "CMR_LIVE_RUN"
"""In the environment of every process that a run starts, with the journal's `mark`: so an orphan is known for one."""


class Busy(Exception):
    """Another run, or a sweep, has the journal."""


class Stranger(NamedTuple):
    """Something that a test made on purpose without our owner tags."""

    kind: str
    """`launch template`, `model` or `profile`."""
    name: str
    region: str


class Open(NamedTuple):
    """What was begun under one lineage and not seen gone."""

    lineage: str
    platform: str
    test: str
    deployments: tuple[Deployment, ...]
    strangers: tuple[Stranger, ...]


class Journal:
    """One file, opened for appending by whoever got its lock. Raises Busy."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._now = path, now
        self._file = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise Busy(f"another run or sweep has {path}: wait until it ends, or end it") from None
        written = path.read_bytes()
        if written and not written.endswith(b"\n"):
            self._file.write("\n")  # a crash cut the last line off: the next one is a line of its own

    @property
    def mark(self) -> str:
        """What marks the processes of a run that has this journal."""
        return str(self.path.resolve())

    def begins(self, lineage: str, platform: str, test: str) -> None:
        """From now on things of this lineage may be made."""
        self._write("begins", lineage, platform=platform, test=test)

    def asks(self, deployment: Deployment) -> None:
        """This one is about to be asked for."""
        spec = deployment.spec
        said = {name: getattr(deployment, name) for name in ("id", "project", "model", "name")}
        said["handle"] = dict(deployment.handle)
        said["spec"] = [spec.model, spec.context_size, list(spec.runtime_flags), dict(spec.options)]
        self._write("asks", deployment.lineage, deployment=said)

    def puts(self, lineage: str, stranger: Stranger) -> None:
        """This one is about to be made."""
        self._write("puts", lineage, stranger=list(stranger))

    def gone(self, lineage: str) -> None:
        """Nothing of it is there any more: everybody was asked."""
        self._write("gone", lineage)

    def found(self, test: str, text: str) -> None:
        """Something that only an account could tell."""
        self._write("found", "", test=test, text=text)

    def close(self) -> None:
        self._file.close()

    def _write(self, event: str, lineage: str, **more: Any) -> None:
        line = {"at": self._now().isoformat(), "event": event, "lineage": lineage, **more}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def opened(path: Path, *, everything: bool = False) -> tuple[Open, ...]:
    """What the journal leaves open; with `everything`, also what was seen gone. A line that a crash cut off is none."""
    begun: dict[str, Open] = {}
    for line in _lines(path):
        lineage = line["lineage"]
        if line["event"] == "begins":
            begun[lineage] = Open(lineage, line["platform"], line["test"], (), ())
        elif line["event"] == "asks":
            known = begun[lineage]
            begun[lineage] = known._replace(deployments=(*known.deployments, _deployment(lineage, line["deployment"])))
        elif line["event"] == "puts":
            known = begun[lineage]
            begun[lineage] = known._replace(strangers=(*known.strangers, Stranger(*line["stranger"])))
        elif line["event"] == "gone" and not everything:
            begun.pop(lineage, None)
    return tuple(begun.values())


def findings(path: Path) -> tuple[tuple[str, str], ...]:
    """Test and text of everything that was found out."""
    return tuple((line["test"], line["text"]) for line in _lines(path) if line["event"] == "found")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(text)
        except ValueError:
            continue


def _deployment(lineage: str, said: dict[str, Any]) -> Deployment:
    model, context_size, flags, options = said.pop("spec")
    spec = ModelSpec(model=model, context_size=context_size, runtime_flags=tuple(flags), options=options)
    return Deployment(lineage=lineage, spec=spec, **said)
