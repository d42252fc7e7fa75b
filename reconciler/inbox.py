"""What people ask of a project while a service holds its lease: left as a file, taken up by whoever holds it.

    <state>.d/requests/<project>/<time>-<random>.json    one request, whole or not there, mode 0600
    <state>.d/requests/<project>/bell                    replaced after each request: what the watcher looks at

Each is one commit under the holder's own lease, with an event, and then the file goes. Whoever dies in between leaves
a request that the record answers already.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from reconciler.errors import NothingRecorded
from reconciler.requests import COMMANDS, Decision, Request, decide, is_done
from state.place import Place, sync_folder
from state.record import Append, Event
from state.store import Lease, StateError, Store

log = logging.getLogger(__name__)

BELL = "bell"
LARGEST = 64 * 1024
"""Bytes of a request; ours have some hundred."""


class Inbox:
    """The requests that wait beside one state."""

    def __init__(self, place: Place, store: Store, now: Callable[[], datetime]) -> None:
        self._place, self._store, self._now = place, store, now

    def leave(self, project: str, request: Request) -> Path:
        """Put a request down, durably, and ring. Raises StateError."""
        folder = self._place.requests(project)
        path = folder / f"{self._now().astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{os.urandom(4).hex()}.json"
        try:
            self._place.make_folders()
            for each in (folder.parent, folder):
                each.mkdir(mode=0o700, exist_ok=True)
            _write(path, json.dumps({"v": 1, **request._asdict()}).encode())
            _write(folder / BELL, b"")
            sync_folder(folder)
        except OSError as exc:
            raise StateError(f"the request cannot be left in {folder}: {exc.strerror}") from exc
        return path

    def bell(self, project: str) -> str:
        """The file that changes when a request was left."""
        return str(self._place.requests(project) / BELL)

    def waiting(self, project: str) -> tuple[Path, ...]:
        """The requests, oldest first."""
        folder = self._place.requests(project)
        try:
            return tuple(sorted(path for path in folder.iterdir() if path.suffix == ".json"))
        except FileNotFoundError:
            return ()
        except OSError as exc:
            raise StateError(f"the requests in {folder} cannot be read: {exc.strerror}") from exc

    def take_up(self, lease: Lease) -> int:
        """Carry out what waits, and say how many that were. Raises StateError (Fenced …): the rest waits on."""
        waiting = self.waiting(lease.project)
        for path in waiting:
            request = _read(path)
            if request is not None:
                self._carry_out(request, lease)
            with suppress(OSError):  # done already, so at worst it is found done once more
                path.unlink()
        return len(waiting)

    def _carry_out(self, request: Request, lease: Lease) -> None:
        known = self._store.load(lease.project)
        if request.deployment is not None and request.deployment not in known.deployments:
            return  # what was to be forgotten is
        try:
            decision = decide(request, known, self._now())
        except NothingRecorded as error:
            log.warning("%s: %s %s was asked for: %s", lease.project, request.command, request.model, error)
            decision = Decision((), f"not done: {error}")
        else:
            if is_done(request, decision, known):
                return
            log.info("%s: as asked, %s", lease.project, decision.text)
        event = Event(at=self._now(), kind=request.command, model=request.model, text=decision.text)
        self._store.commit(lease, [*decision.changes, Append(event)])


def _write(path: Path, data: bytes) -> None:
    """The file, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Request | None:
    """The request; None, and a word in the log, for what is none of ours."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            given = json.loads(file.read(LARGEST))
        request = Request(given["command"], given["model"], given["deployment"])
        texts = (request.command, request.model, request.deployment or "")
        if given["v"] != 1 or request.command not in COMMANDS or not all(isinstance(text, str) for text in texts):
            raise ValueError("it was not written by this release")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as exc:
        log.warning("the request %s is dropped: %s", path, exc)
        return None
    return request
