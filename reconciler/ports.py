"""The effects that a pass has, each behind a small interface: production and the simulator bring their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from drivers.base import Driver, Endpoint
from reconciler.compose.project import Project
from reconciler.stamp import Stamp
from state.record import OutputRecord

T = TypeVar("T")


class Clock(Protocol):
    """Time, as the only module that may ask for it sees it."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC: for the record and for people."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: for deadlines."""
        ...

    def sleep(self, seconds: float) -> None: ...


class Pool(Protocol):
    """Runs calls side by side where that is worth it."""

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """The results in order. An exception of any call is raised after all have ended."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What writing the services' environments came to."""

    outputs: tuple[OutputRecord, ...] = ()
    """The files that are ours now, written in this pass or still right."""
    changed_services: tuple[str, ...] = ()
    """Active services whose values differ from what they were given before."""
    incomplete: tuple[str, ...] = ()
    """Services that still miss the values of a model which is not ready."""
    cautions: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    """Files that somebody had edited; their bytes were kept beside them."""


class Outputs(Protocol):
    """The override file and the env files of one project."""

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
        """Write what differs, atomically, refusing a lower epoch than the one on disk."""
        ...

    def highest_epoch(self) -> int:
        """The highest epoch in the headers on disk; 0 without any."""
        ...

    def highest_serial(self, *, lineage: str, project: str) -> int:
        """The highest serial of this project's record in the headers on disk; 0 without any."""
        ...

    def check(self, *, lineage: str, project: str) -> None:
        """Before anything is begun: raises Refused where what is to be written stands there as somebody else's."""
        ...

    def claim(self, stamp: Stamp) -> None:
        """Put our epoch on the files that are there: whoever held the lease before is refused from now on."""
        ...

    def mentions(self, endpoint: Endpoint) -> bool:
        """Whether any file on disk, read now, still points at this endpoint."""
        ...

    def says(self, output: OutputRecord) -> bool:
        """Whether the file on disk, read now, says what was recorded of it. One that cannot be read does not."""
        ...


class Services(Protocol):
    """The running services of a project."""

    def users(self, project: str, endpoints: Mapping[str, Endpoint]) -> Mapping[str, str]:
        """Deployment id to why it is still in use, for those of `endpoints` (by deployment id) that a running
        container names in its environment. Where the engine cannot be asked, all of them, with that as the reason."""
        ...

    def roll_out(self, project: Project, services: Sequence[str]) -> tuple[str, ...]:
        """Restart exactly these services where they run; what went wrong comes back as sentences."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything a pass touches, handed in by `wiring.py` or by the simulator."""

    drivers: Callable[[str], Driver]
    outputs: Callable[[Project], Outputs]
    """Where a project's files go depends on its name and its Compose files."""
    services: Callable[[Project], Services]
    clock: Clock
    pool: Pool
    random_bytes: Callable[[int], bytes]
