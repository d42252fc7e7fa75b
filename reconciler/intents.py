"""What is written before a call, and what is learnt from its answer. Pure: records in, records out.

Every mutating call is bracketed: the intent is durable before the call, the answer after it. A crash in between
leaves `request_open`, and the next pass looks before it acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from drivers.base import NOTHING, Deployment, ModelSpec, Observation, Phase
from drivers.errors import Ambiguous, DriverError, Rejected, Taken
from drivers.naming import NAMING_VERSION, external_name, mint_id
from reconciler.backoff import before_asking_again_s, before_next_attempt_s
from reconciler.desired import DesiredModel
from reconciler.lifetime import newborn
from state.record import DeploymentRecord, Intent, ModelRecord


def new_deployment(
    *,
    lineage: str,
    project: str,
    model: str,
    driver: str,
    spec: ModelSpec,
    now: datetime,
    random_bytes: Callable[[int], bytes],
    handle: Mapping[str, str] = NOTHING,
) -> DeploymentRecord:
    """A record for one more attempt: its id is minted here and its name derived, once and for all. `handle` is what its
    driver says before anything is asked of the platform: where it goes."""
    id = mint_id(now, random_bytes)
    return DeploymentRecord(
        deployment=Deployment(
            id=id,
            lineage=lineage,
            project=project,
            model=model,
            name=external_name(lineage, model, id),
            spec=spec,
            handle=dict(handle),
        ),
        driver=driver,
        naming_version=NAMING_VERSION,
        intent=Intent.CREATE,
        created_at=now,
        phase_since=now,
        issued_at=now,
        request_open=True,
    )


def one_more_attempt(book: ModelRecord, want: DesiredModel, now: datetime) -> ModelRecord:
    """The book of a model for which a new deployment is about to be made."""
    digest = want.spec.digest
    attempts = book.attempts + 1 if book.attempts_digest == digest else 1
    return replace(
        newborn(book, want, now),
        attempts=attempts,
        attempts_digest=digest,
        next_try_at=now + timedelta(seconds=before_next_attempt_s(attempts)),
        halted="",
        last_failure=book.last_failure if book.attempts_digest == digest else "",
    )


def tried_anew(book: ModelRecord) -> ModelRecord:
    """The book of a model that a person asks for: what failed before is not held against it."""
    return replace(book, attempts=0, attempts_digest="", next_try_at=None, halted="", last_failure="")


def before_create(record: DeploymentRecord, now: datetime) -> DeploymentRecord:
    """The same request once more: id, name and token stay, only the time at which it was sent moves."""
    return replace(record, issued_at=now, request_open=True)


UNCONFIRMED = "unconfirmed"
"""No digest at all: from here on, the platform may have the old spec or the new one, also when the file goes back."""


def before_update(record: DeploymentRecord, spec: ModelSpec, now: datetime) -> DeploymentRecord:
    return replace(
        record,
        deployment=replace(record.deployment, spec=spec),
        issued_at=now,
        request_open=True,
        failure="",
        applied_digest=UNCONFIRMED,
    )


def before_delete(record: DeploymentRecord, now: datetime) -> DeploymentRecord:
    return replace(record, intent=Intent.DELETE, active=False, issued_at=now, request_open=True)


def book_before_delete(book: ModelRecord, record: DeploymentRecord, *, alone: bool) -> ModelRecord:
    """The book of a model one of which is about to be deleted. What works, and goes without a successor (`alone`), did
    not fail: that the same is made again some day, as its schedule may ask for, is not held against it."""
    if record.phase is Phase.FAILED:
        return replace(book, last_failure=record.detail)
    if alone and record.phase is Phase.READY and record.deployment.spec.digest == book.attempts_digest:
        return replace(book, attempts=0, next_try_at=None)
    return book


def after_answer(record: DeploymentRecord, seen: Observation, now: datetime) -> DeploymentRecord:
    """The call was answered: it is closed, and what the driver saw is taken over."""
    return replace(
        record,
        deployment=record.deployment if seen.handle is None else replace(record.deployment, handle=dict(seen.handle)),
        phase=seen.phase,
        detail=seen.detail,
        phase_since=record.phase_since if seen.phase is record.phase else now,
        endpoint=seen.endpoint or record.endpoint,
        foreign=seen.foreign,
        ready_at=record.ready_at or (now if seen.phase is Phase.READY else None),
        failure="",
        request_open=False,
        applied_digest=record.deployment.spec.digest,
        failed_calls=0,
        next_call_at=None,
    )


def after_error(record: DeploymentRecord, error: DriverError, now: datetime, *, local: bool) -> DeploymentRecord:
    """The call failed. Only an `Ambiguous` one stays open; a `Rejected` create can never become ready. One whose name
    is `Taken` was never made either, and never will be: it is given up, so that another one can be tried. A change in
    place that was refused says nothing of what serves: it goes on as it was, until a look says otherwise."""
    failed_calls = record.failed_calls + 1
    failed = replace(
        record,
        failure=str(error),
        request_open=isinstance(error, Ambiguous),
        failed_calls=failed_calls,
        next_call_at=now + timedelta(seconds=before_asking_again_s(failed_calls, error, local=local)),
    )
    if record.applied_digest == UNCONFIRMED:
        return failed
    if isinstance(error, Taken) and record.intent is Intent.CREATE:
        return replace(failed, intent=Intent.DELETE, active=False, next_call_at=None)
    if isinstance(error, Rejected) and record.intent is Intent.CREATE:
        return replace(failed, phase=Phase.FAILED, detail=str(error), phase_since=now)
    return failed


def book_after_error(book: ModelRecord, error: DriverError) -> ModelRecord:
    """What was rejected is not tried again before the file changes."""
    return replace(book, halted=f"{error}; nothing more is tried until the file changes") if _final(error) else book


def _final(error: DriverError) -> bool:
    return isinstance(error, Rejected) and not isinstance(error, Taken)


def was_offered(record: DeploymentRecord) -> bool:
    """Whether somebody may have been pointed at it without the record saying so: it was ready once, or nobody knows
    whether it was, and since then nobody was pointed elsewhere."""
    open_ended = record.intent is Intent.CREATE and record.retired_at is None
    return open_ended and (record.ready_at is not None or is_doubted(record))


def is_doubted(record: DeploymentRecord) -> bool:
    """Whether more may have become of it than the record knows."""
    return record.adopted or record.doubted_at is not None


def switched(record: DeploymentRecord, *, serves: bool, now: datetime) -> DeploymentRecord:
    """The record after services were pointed at it, or away from it. Whoever was stopped before writing it down may
    have pointed them at anything that was ready, so that counts as well."""
    if serves:
        return record if record.active else replace(record, active=True, retired_at=None, adopted=False)
    if record.active or was_offered(record):
        return replace(record, active=False, retired_at=now)
    return record
