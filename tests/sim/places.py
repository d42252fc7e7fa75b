"""Where addresses stand: a project's files, fenced like `write.py` does it, and the containers started with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from drivers.base import Endpoint
from reconciler.compose.project import Project
from reconciler.ports import Published
from reconciler.stamp import Stamp
from reconciler.write import NotWritten, Outranked
from state.record import OutputRecord


@dataclass(slots=True)
class Files:
    """The files of one project as one: what they say, and under which lease they were written last."""

    path: str
    there: bool = False
    epoch: int = 0
    serial: int = 0
    """Of the record that was known then."""
    says: dict[str, Endpoint] = field(default_factory=dict)
    unwritable: bool = False
    """Whether nothing can be written at the moment, as on a full or read-only disk."""

    def publish(
        self,
        project: Project,
        endpoints: Mapping[str, Endpoint],
        api_key_vars: Mapping[str, str],
        stamp: Stamp,
        *,
        now: datetime,
        recorded: Mapping[str, OutputRecord],
    ) -> Published:
        bound = {one.model for one in project.services["app"].bindings}
        endpoints = {key: endpoint for key, endpoint in endpoints.items() if key in bound}
        if not self.there and not endpoints and not recorded:
            return Published()
        self._refuse(stamp.epoch)
        if self.unwritable and self.says != endpoints:
            raise NotWritten("no space left on device")
        if not self.there or self.says != endpoints:  # like the real one: what says it already keeps its stamp
            self.there, self.epoch, self.serial, self.says = True, stamp.epoch, stamp.serial, dict(endpoints)
        checksum = _checksum(endpoints)
        incomplete = ("app",) if bound - endpoints.keys() else ()
        old = recorded.get(self.path)
        if old is not None and old.checksum == checksum:
            return Published(outputs=(old,), incomplete=incomplete)
        applied = old.applied if old is not None else ""
        fresh = OutputRecord(path=self.path, checksum=checksum, written_at=now, applied=applied, service="app")
        return Published(outputs=(fresh,), changed_services=("app",), incomplete=incomplete)

    def highest_epoch(self) -> int:
        return self.epoch if self.there else 0

    def highest_serial(self) -> int:
        return self.serial if self.there else 0

    def check(self, *, lineage: str, project: str) -> None:
        """Nobody else writes here."""

    def claim(self, stamp: Stamp) -> None:
        if self.there:
            self._refuse(stamp.epoch)
            self.epoch, self.serial = stamp.epoch, stamp.serial

    def mentions(self, endpoint: Endpoint) -> bool:
        return any(endpoint.url == there.url for there in self.says.values())

    def says_so(self, output: OutputRecord) -> bool:
        return self.there and output.checksum == _checksum(self.says)

    def urls(self) -> set[str]:
        return {endpoint.url for endpoint in self.says.values()}

    def _refuse(self, epoch: int) -> None:
        if self.epoch > epoch:
            raise Outranked(f"{self.path} was written under lease {self.epoch}, ours is {epoch}: we were replaced")


def _checksum(endpoints: Mapping[str, Endpoint]) -> str:
    words = json.dumps({key: endpoint.url for key, endpoint in sorted(endpoints.items())})
    return hashlib.sha256(words.encode()).hexdigest()


@dataclass(slots=True)
class Containers:
    """The one service `app`: the addresses that it was started with."""

    files: Files
    running: bool = True
    """One that does not run uses nothing; people start it when nobody expects it."""
    environment: dict[str, str] = field(default_factory=dict)

    def restart(self) -> None:
        if self.running:
            self.environment = {key: endpoint.url for key, endpoint in self.files.says.items()}

    def users(self, project: str, endpoints: Mapping[str, Endpoint]) -> Mapping[str, str]:
        used = set(self.environment.values())
        return {id: "service app still runs with its address" for id, one in endpoints.items() if one.url in used}

    def roll_out(self, project: Project, services: Sequence[str]) -> tuple[str, ...]:
        self.restart()
        return ()
