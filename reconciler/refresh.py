"""Recorded + observed → known: what is believed about each deployment after the platforms were asked.

Pure. The result is again a `Recorded`; what differs from the old one is what a pass commits before it plans.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from drivers.base import Observation, Phase
from reconciler.answers import REMOVAL_READS
from state.record import (
    Append,
    Change,
    DeploymentRecord,
    DropModel,
    Event,
    Intent,
    ModelRecord,
    PutDeployment,
    PutModel,
    Recorded,
)

FORGIVEN_AFTER_S = 600.0
"""Seconds of steady READY after which earlier failed attempts no longer count."""


def refresh(recorded: Recorded, observations: Mapping[str, Observation], now: datetime) -> Recorded:
    """The record with every observation taken in. A deployment that nobody was asked about stays as recorded."""
    deployments = {
        id: _believe(record, observations[id], now) if id in observations else record
        for id, record in recorded.deployments.items()
    }
    models = {key: _forgive(book, deployments.values(), now) for key, book in recorded.models.items()}
    return replace(recorded, deployments=deployments, models=models)


def note_wanted(recorded: Recorded, wanted: Collection[str], now: datetime) -> Recorded:
    """Tombstones: count this good reading of the source for every model that it does not have.

    A removal is only believed after several good readings and a grace time, so only call this when the source was
    read without error. A model that is wanted again has its tombstone lifted; the book of one that is gone, with
    everything of it deleted, is closed.
    """
    there = {record.deployment.model for record in recorded.deployments.values()}
    models = dict(recorded.models)
    for key in there | set(recorded.models):
        book = models.get(key, ModelRecord(key=key))
        if key in wanted:
            models[key] = replace(book, missing_since=None, missing_reads=0, removal_confirmed_at=None)
        elif key in there or book.protected:
            models[key] = _missing(book, now)
        else:
            del models[key]
    return replace(recorded, models=models)


def _missing(book: ModelRecord, now: datetime) -> ModelRecord:
    # Counted no further than it matters: a pass that learns nothing must write nothing.
    reads = min(book.missing_reads + 1, REMOVAL_READS)
    return replace(book, missing_since=book.missing_since or now, missing_reads=reads)


def changes_between(old: Recorded, new: Recorded, now: datetime) -> tuple[Change, ...]:
    """What must be committed to turn `old` into `new`, with an event for every deployment that changed its phase."""
    return (
        *_deployment_changes(old, new, now),
        *(PutModel(book) for key, book in new.models.items() if old.models.get(key, ModelRecord(key=key)) != book),
        *(DropModel(key) for key in old.models.keys() - new.models.keys()),
    )


def _deployment_changes(old: Recorded, new: Recorded, now: datetime) -> Iterator[Change]:
    for id, record in new.deployments.items():
        before = old.deployments.get(id)
        if record == before:
            continue
        yield PutDeployment(record)
        if before is None or before.phase is not record.phase:
            yield Append(
                Event(
                    at=now,
                    kind=record.phase.value,
                    model=record.deployment.model,
                    deployment=id,
                    text=record.detail,
                )
            )


def _believe(record: DeploymentRecord, seen: Observation, now: datetime) -> DeploymentRecord:
    """Ignorance changes the phase and nothing else: endpoint, handle and open requests stay as they were known."""
    moved = replace(
        record,
        phase=seen.phase,
        detail=seen.detail,
        phase_since=record.phase_since if seen.phase is record.phase else now,
    )
    if seen.phase is Phase.UNKNOWN:
        return moved
    return replace(
        moved,
        deployment=record.deployment if seen.handle is None else replace(record.deployment, handle=dict(seen.handle)),
        endpoint=seen.endpoint or record.endpoint,
        foreign=seen.foreign,
        ready_at=record.ready_at or (now if seen.phase is Phase.READY else None),
        applied_digest=seen.spec_digest or record.applied_digest,
        request_open=record.request_open and not _settles_request(record.intent, seen.phase),
    )


def _settles_request(intent: Intent, phase: Phase) -> bool:
    """Whether what is seen tells how an unanswered call ended. A create that is not visible may still be on its way."""
    if intent is Intent.CREATE:
        return phase is not Phase.ABSENT
    return phase in (Phase.ABSENT, Phase.DELETING)


def _forgive(book: ModelRecord, records: Collection[DeploymentRecord], now: datetime) -> ModelRecord:
    steady = any(
        record.deployment.model == book.key
        and record.phase is Phase.READY
        and (now - record.phase_since).total_seconds() >= FORGIVEN_AFTER_S
        for record in records
    )
    return replace(book, attempts=0, next_try_at=None) if steady and book.attempts else book
