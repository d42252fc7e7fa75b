"""Points at which this process ends, or stops, on purpose: for tests of what a crash leaves behind. There are none
without these variables, and what passes the points knows nothing of them: `wiring.py` puts them around the ports.

    CMR_CRASH_AT=after-create-call     end there, as `kill -9` would: no handler runs, nothing is flushed or given back
    CMR_CRASH_AT=before-rename:3       at the third time
    CMR_STOP_AT=before-switch          SIGSTOP there, once; SIGCONT goes on
    CMR_POINTS=FILE                    write down each point that is passed, a line each
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple, cast

from drivers.base import Driver
from reconciler.compose.project import Project
from reconciler.errors import ReconcilerError
from reconciler.intents import UNCONFIRMED
from reconciler.ports import Outputs, Ports, Services
from state.record import Append, Change, DropDeployment, DropOutput, Intent, PutDeployment, PutOutput
from state.store import Lease, Store

VARIABLES = ("CMR_CRASH_AT", "CMR_STOP_AT", "CMR_POINTS")
"""The environment's words for it. `wiring.py` looks here as soon as a variable of ours is set at all."""
CRASHED = 137
"""The exit status, as a shell reports one that was killed."""

EFFECTS = (
    *("acquire", "renew", "release", "claim", "evidence"),
    *(f"{verb}-{part}" for verb in ("create", "update", "delete") for part in ("intent", "call", "answer")),
    *("publish", "rename", "remove", "roll-out", "switch", "forget"),
)
"""`evidence` is a commit of what was read or seen; `rename` and `remove` are those of single files, whoever does it."""
POINTS = tuple(f"{side}-{effect}" for effect in EFFECTS for side in ("before", "after"))


class Mark(NamedTuple):
    """A point, the n-th time it is passed."""

    point: str
    nth: int


def around(environment: Mapping[str, str], store: Store, ports: Ports) -> tuple[Store, Ports]:
    """The store and the ports with the points that the environment asks for around them; as they are where it asks for
    none. Raises Misnamed."""
    asked = [environment.get(name, "") for name in VARIABLES]
    if not any(asked):
        return store, ports
    points = _points(*asked)
    between: dict[str, _Effect] = {
        "acquire": "acquire",
        "renew": "renew",
        "release": "release",
        "commit": points.purpose,
    }
    calls = {verb: f"{verb}-call" for verb in ("create", "update", "delete")}
    files = {"claim": "claim", "publish": "publish"}

    def driver(name: str) -> Driver:
        return cast(Driver, _Around(ports.drivers(name), points, calls))

    def outputs(project: Project) -> Outputs:
        return cast(Outputs, _Around(ports.outputs(project), points, files))

    def services(project: Project) -> Services:
        return cast(Services, _Around(ports.services(project), points, {"roll_out": "roll-out"}))

    wrapped = replace(ports, drivers=driver, outputs=outputs, services=services)
    return cast(Store, _Around(store, points, between)), wrapped


class Misnamed(ReconcilerError):
    """A variable names a point that does not exist."""


class _Points:
    """Counts what this process passes, and acts where it was told to."""

    def __init__(self, crash: Mark | None, stop: Mark | None, file: str) -> None:
        self._crash, self._stop, self._file = crash, stop, file
        self._passed: Counter[str] = Counter()
        self._called = ""
        self._lock = Lock()

    def passing(self, side: str, effect: str) -> None:
        with self._lock:
            point = f"{side}-{effect}"
            self._passed[point] += 1
            here = Mark(point, self._passed[point])
            if effect.endswith("-call"):
                self._called = effect.removesuffix("-call")
            if self._file:
                with open(self._file, "a", encoding="ascii") as file:
                    file.write(f"{here.point}:{here.nth}\n")
        if here == self._crash:
            os._exit(CRASHED)
        if here == self._stop:
            os.kill(os.getpid(), signal.SIGSTOP)

    def purpose(self, lease: Lease, changes: Sequence[Change]) -> str:
        """What a commit is for: the first one after a call holds its answer."""
        called, self._called = self._called, ""
        return f"{called}-answer" if called else _purpose(changes)

    def watch_files(self) -> None:
        """Whoever renames or removes a file in this process passes a point before and after."""
        for name in ("rename", "replace", "unlink", "remove"):
            effect = "rename" if name in ("rename", "replace") else "remove"
            setattr(os, name, _passing(self, effect, getattr(os, name)))


_Effect = str | Callable[..., str]
"""What a method does: a name, or found out from its arguments."""


class _Around:
    """Something of which the named methods pass a point before and one after; all else is as it was."""

    def __init__(self, inner: object, points: _Points, named: Mapping[str, _Effect]) -> None:
        self._inner, self._points, self._named = inner, points, named

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return _passing(self._points, self._named[name], found) if name in self._named else found


def _passing(points: _Points, effect: _Effect, act: Callable[..., Any]) -> Callable[..., Any]:
    def acting(*arguments: Any, **named: Any) -> Any:
        what = effect if isinstance(effect, str) else effect(*arguments)
        points.passing("before", what)
        result = act(*arguments, **named)
        points.passing("after", what)
        return result

    return acting


@lru_cache(maxsize=1)
def _points(crash: str, stop: str, file: str) -> _Points:
    """One for the whole process, however many projects it has."""
    points = _Points(_mark(crash), _mark(stop), file)
    points.watch_files()
    return points


def _mark(text: str) -> Mark | None:
    point, _, nth = text.partition(":")
    if point and (point not in POINTS or not (nth or "1").isdigit()):
        raise Misnamed(f"there is no point '{text}' to end or stop at; write POINT or POINT:N with {', '.join(POINTS)}")
    return Mark(point, int(nth or 1)) if point else None


def _purpose(changes: Sequence[Change]) -> str:
    if any(isinstance(change, DropDeployment) for change in changes):
        return "forget"
    if any(isinstance(change, PutOutput | DropOutput) or _is_switch(change) for change in changes):
        return "switch"
    opened = [change.record for change in changes if isinstance(change, PutDeployment) and change.record.request_open]
    if not opened:
        return "evidence"
    if opened[0].intent is Intent.DELETE:
        return "delete-intent"
    return "update-intent" if opened[0].applied_digest == UNCONFIRMED else "create-intent"


def _is_switch(change: Change) -> bool:
    return isinstance(change, Append) and change.event.kind == "switched"
