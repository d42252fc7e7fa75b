"""What is there at one moment, as values: servers, processes, the record, what services are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.soak.wishes import Wish
from state.record import DeploymentRecord, Recorded


@dataclass(frozen=True, slots=True)
class Server:
    """A living model server."""

    pid: int
    deployment: str
    model: str
    stopped: bool = False
    """By SIGSTOP: alive, and of no use to anybody."""


@dataclass(frozen=True, slots=True)
class Process:
    """One of the two services, as the kernel counts it."""

    slot: str
    pid: int
    resident_bytes: int
    descriptors: int
    threads: int
    leads: bool
    """It holds the project's lease."""
    stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at everything. Its parts are not of one and the same instant: what looks wrong is looked at twice."""

    at_s: float
    wish: Wish
    revision: str
    """Of the last commit."""
    servers: tuple[Server, ...] = ()
    processes: tuple[Process, ...] = ()
    recorded: Recorded | None = None
    """None where it cannot be read just now."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """By model, as a service is given them."""
    override_intact: bool = False
    """The override file is as it was written, and holds an address for every model that is wished for."""

    def records_of(self, model: str) -> tuple[DeploymentRecord, ...]:
        records = self.recorded.deployments.values() if self.recorded is not None else ()
        return tuple(record for record in records if record.deployment.model == model)

    @property
    def leader(self) -> Process | None:
        return next((process for process in self.processes if process.leads), None)


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the client."""

    at_s: float
    model: str
    took_s: float
    error: str = ""
    """Empty where it was answered."""


@dataclass(slots=True)
class Window:
    """A fault or a commit, from its beginning until everything was well again."""

    name: str
    is_fault: bool
    began_s: float
    mended_s: float | None = None
    """When everything that we had done for it was undone, and the rest is the reconciler's."""
    ended_s: float | None = None
    """None where it was never well again, or not yet."""

    @property
    def recovery_s(self) -> float | None:
        return None if self.ended_s is None or self.mended_s is None else self.ended_s - self.mended_s

    def overlaps(self, from_s: float, to_s: float) -> bool:
        return from_s <= (self.ended_s if self.ended_s is not None else float("inf")) and to_s >= self.began_s
