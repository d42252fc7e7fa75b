"""What is remembered, as values. A pass loads a `Recorded`, decides, and commits `Change`s; nothing else writes.

Times are aware UTC datetimes of the reconciler that wrote them. Nothing here holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from drivers.base import Deployment, Endpoint, Phase


class Intent(Enum):
    """What we last resolved to do with a deployment. Durable before the call that does it."""

    CREATE = "create"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRecord:
    """One deployment: the intent, and the evidence seen since."""

    deployment: Deployment
    driver: str
    naming_version: int
    intent: Intent
    phase: Phase = Phase.UNKNOWN
    """As last observed."""
    detail: str = ""
    endpoint: Endpoint | None = None
    active: bool = False
    """Services are pointed at it. At most one per model."""
    adopted: bool = False
    """Known only by its tags: found on the platform, not minted by this state. Deleted on explicit prune only."""
    created_at: datetime
    phase_since: datetime
    issued_at: datetime | None = None
    """When a mutating call was last sent; settle time counts from here."""
    ready_at: datetime | None = None
    """First seen READY; None until then."""
    retired_at: datetime | None = None
    """When another deployment of the model became active; bake time counts from here."""
    failure: str = ""
    """The last error a driver raised for it, for people."""
    request_open: bool = False
    """A mutating call was begun and its outcome was never written down: it may have been applied."""
    foreign: bool = False
    """It is absent, and something was seen in its place that is not ours by its tags. What we made may still be there
    without them, so this absence proves nothing later."""
    applied_digest: str = ""
    """Digest of the spec that the platform last accepted, empty before the first create was answered. Differs from
    `deployment.spec.digest` while an update in place is resolved and not yet confirmed."""
    next_call_at: datetime | None = None
    """Back-off of this deployment: no mutating call before this. (`ModelRecord.next_try_at` holds back new ones.)"""
    failed_calls: int = 0
    """Mutating calls that failed in a row; the next success makes it 0."""
    doubted_at: datetime | None = None
    """When it was found by its tags, or noticed that the record went back to an older copy: more may have become of it
    before then than is recorded. Somebody may be pointed at it, and others may have been asked for beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """Bookkeeping for one key under `models:`; outlives its deployments."""

    key: str
    protected: bool = False
    """Never deleted, also when the file that said so is gone."""
    attempts: int = 0
    """Creates of the spec `attempts_digest` that ended in failure."""
    attempts_digest: str = ""
    next_try_at: datetime | None = None
    """Back-off: no create before this."""
    halted: str = ""
    """Why nothing more is tried for `attempts_digest`; a new commit or `reconcile resume` clears it."""
    last_failure: str = ""
    """What the last attempt of `attempts_digest` that failed said, in the platform's words."""
    missing_since: datetime | None = None
    """Tombstone: first good read that did not have the model."""
    missing_reads: int = 0
    """Good reads since then that did not have it."""
    born_at: datetime | None = None
    """When the first deployment of what the file says was minted; `cloud.ttl` counts from here, through all attempts
    and changes in place. A change that needs a new deployment begins anew, `reconcile resume` once it is gone."""
    born_digest: str = ""
    """Digest of the spec that `born_at` is of."""
    removal_confirmed_at: datetime | None = None
    """Somebody said yes to its removal (`--yes`, the prompt, `destroy`); cleared when the model is desired again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """The last good reading of the source."""

    revision: str
    """A commit id, or `worktree:` and a digest."""
    digest: str
    """SHA-256 over what was desired."""
    read_at: datetime
    models: tuple[str, ...] = ()
    """The keys that were desired then; the mass-delete guard compares against them."""
    origin: str = ""
    """The checkout or folder it was read from: two of them must not take turns with one record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecord:
    """A file we wrote, so that a foreign edit is noticed."""

    path: str
    checksum: str
    """SHA-256 of what it says, without our header: a new epoch alone changes nobody's values."""
    written_at: datetime
    applied: str = ""
    """Checksum of the version that the services were last restarted for."""
    service: str = ""
    """The service whose values these are; empty for a file that concerns several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, for `history` and `events`."""

    at: datetime
    kind: str
    """`created`, `ready`, `switched`, `deleted`, `failed`, `refused`, `source-error` …"""
    model: str = ""
    deployment: str = ""
    text: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """All that is remembered of one project, at one serial."""

    project: str
    lineage: str
    serial: int
    """Rises by one in every commit of the store."""
    epoch: int
    """The fencing token of the last lease."""
    deployments: Mapping[str, DeploymentRecord] = field(default_factory=dict)
    models: Mapping[str, ModelRecord] = field(default_factory=dict)
    source: SourceRecord | None = None
    outputs: Mapping[str, OutputRecord] = field(default_factory=dict)
    newest_id: str = ""
    """The highest deployment id ever recorded here, kept by the store. Lower than somebody has seen it, it proves that
    the state was rewound. That it is higher than the id of something unknown proves nothing after that."""


class PutDeployment(NamedTuple):
    record: DeploymentRecord


class DropDeployment(NamedTuple):
    """Forget a deployment that was verified absent."""

    id: str


class PutModel(NamedTuple):
    record: ModelRecord


class DropModel(NamedTuple):
    key: str


class PutSource(NamedTuple):
    record: SourceRecord


class PutOutput(NamedTuple):
    record: OutputRecord


class DropOutput(NamedTuple):
    """Forget a file that is no longer ours to write."""

    path: str


class Append(NamedTuple):
    event: Event


Change = PutDeployment | DropDeployment | PutModel | DropModel | PutSource | PutOutput | DropOutput | Append
