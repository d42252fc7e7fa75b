"""Recorded + observed → known: what is believed about each deployment after the platforms were asked.

Pure. The result is again a `Recorded`; what differs from the old one is what a pass commits before it plans.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from drivers.base import Observation, Phase
from reconciler.leaving import REMOVAL_READS
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
        book = models.get(key) or ModelRecord(key=key)
        if key in wanted:
            models[key] = _wanted(book)
        elif key in there or book.protected:
            models[key] = _missing(book, now)
        else:
            del models[key]
    return replace(recorded, models=models)


def _wanted(book: ModelRecord) -> ModelRecord:
    if (book.missing_since, book.missing_reads, book.removal_confirmed_at) == (None, 0, None):
        return book
    return replace(book, missing_since=None, missing_reads=0, removal_confirmed_at=None)


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
    given: dict[str, Any] = {"phase": seen.phase, "detail": seen.detail}
    if seen.phase is not record.phase:
        given["phase_since"] = now
    if seen.phase is Phase.UNKNOWN:
        return _with(record, given)
    deployment = record.deployment
    if seen.handle is not None and seen.handle != deployment.handle:
        given["deployment"] = replace(deployment, handle=dict(seen.handle))
    if seen.phase is Phase.READY and record.ready_at is None:
        given["ready_at"] = now
    given["endpoint"] = seen.endpoint or record.endpoint
    given["foreign"] = seen.foreign
    given["applied_digest"] = seen.spec_digest or record.applied_digest
    given["request_open"] = record.request_open and not _settles_request(record.intent, seen.phase)
    return _with(record, given)


def _with(record: DeploymentRecord, given: Mapping[str, Any]) -> DeploymentRecord:
    """The record itself where nothing differs: a pass that learns nothing is the usual one."""
    return record if all(getattr(record, name) == value for name, value in given.items()) else replace(record, **given)


def _settles_request(intent: Intent, phase: Phase) -> bool:
    """Whether what is seen tells how an unanswered call ended. A create that is not visible may still be on its way;
    and what is half made is ABSENT as well, so only its own answer tells that a deletion left nothing of it."""
    return phase is not Phase.ABSENT if intent is Intent.CREATE else phase is Phase.DELETING


def _forgive(book: ModelRecord, records: Collection[DeploymentRecord], now: datetime) -> ModelRecord:
    steady = any(
        record.deployment.model == book.key
        and record.phase is Phase.READY
        and (now - record.phase_since).total_seconds() >= FORGIVEN_AFTER_S
        for record in records
    )
    return replace(book, attempts=0, next_try_at=None) if steady and book.attempts else book
