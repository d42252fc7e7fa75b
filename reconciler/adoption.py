"""Taking over what the platforms say is ours and the record does not know: after a lost state, one that was put back,
or a call that arrived late. Pure.

State is a cache of intent and evidence. Whatever carries our lineage and project in its tags was made by us, so it is
taken into the record and treated like everything else there, except that it is never deleted only because no file
wants it. One thing alone goes again: what our own history proves to have been deleted and verified absent before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from drivers.base import Deployment, Phase
from drivers.naming import NAMING_VERSION
from reconciler.backoff import MAX_ATTEMPTS
from reconciler.intents import is_doubted
from reconciler.sweep import GRACE_S
from state.record import (
    Append,
    Change,
    DeploymentRecord,
    DropOutput,
    Event,
    Intent,
    ModelRecord,
    PutDeployment,
    Recorded,
)
from state.store import Lease

Owned = Mapping[str, tuple[Deployment, ...]]
"""What platforms have of ours, by driver."""
FORGOTTEN = "forgotten"
"""The kind of event that a deployment leaves when it was deleted and verified absent."""
LET_GO = "let-go"
"""The kind of event that one leaves of which something is still there that is not ours any more by its tags."""


def unknown(recorded: Recorded, owned: Owned) -> Mapping[str, tuple[str, Deployment]]:
    """The driver and the deployment of everything of this project that was found and is not recorded, by id."""
    return {
        deployment.id: (driver, deployment)
        for driver, deployments in owned.items()
        for deployment in deployments
        if (deployment.lineage, deployment.project) == (recorded.lineage, recorded.project)
        and deployment.id not in recorded.deployments
    }


def forgotten(events: Iterable[tuple[int, Event]]) -> frozenset[str]:
    """The deployments that a project's history proves to have been deleted by us and seen absent afterwards.

    That a record has no row for an id proves nothing: the row may be lost. A state that was put back lost the event as
    well, and what only a person took out of the record left another kind of event.
    """
    return frozenset(event.deployment for _, event in events if event.kind == FORGOTTEN)


def adopt(
    recorded: Recorded, owned: Owned, now: datetime, gone: Collection[str] = (), *, grace_s: float = GRACE_S
) -> Recorded:
    """The record with everything of this project in it that was found and is not there yet. `gone` are ids that
    were deleted and forgotten before: those are to be deleted again, after the grace (seconds)."""
    found = {
        id: _returned(driver, deployment, now, grace_s) if id in gone else _adopted(driver, deployment, now)
        for id, (driver, deployment) in unknown(recorded, owned).items()
    }
    return replace(recorded, deployments={**recorded.deployments, **found}) if found else recorded


def adoption_changes(before: Recorded, after: Recorded, now: datetime) -> Iterable[Change]:
    """What must be committed for it, each with an event."""
    for id in sorted(after.deployments.keys() - before.deployments.keys()):
        record = after.deployments[id]
        why = ", and not in the record" if record.adopted else f" again: {record.failure}"
        text, kind = f"found on {record.driver} by its tags{why}", "adopted" if record.adopted else "returned"
        yield PutDeployment(record)
        yield Append(Event(at=now, kind=kind, model=record.deployment.model, deployment=id, text=text))


def is_behind(recorded: Recorded, lease: Lease, *, files_epoch: int, files_serial: int) -> bool:
    """Whether the record, under our new lease, is older than the files, whose headers have this highest epoch, as it
    was when we asked for the lease, and this serial. Nobody writes a file before the record has the lease and the
    serial that the header names."""
    return lease.succeeds < files_epoch or recorded.serial < files_serial


def doubted(recorded: Recorded, now: datetime) -> Iterator[Change]:
    """What must be committed once it is noticed that the record went back to an older copy: all that it knows of may
    have come further than it says. One that knows of no deployment at all does not know either what the files name."""
    for record in recorded.deployments.values():
        yield PutDeployment(replace(record, doubted_at=now))
    for path in recorded.outputs if not recorded.deployments else ():
        yield DropOutput(path)


def files_should_stay(
    known: Recorded, unlisted: Collection[str], *, files_epoch: int, without_address: Collection[str]
) -> str:
    """Why what the files say is better knowledge than ours, so that they are left as they are; empty where it is not.

    After a loss the files may name something that serves and that we know too little of: its platform has not yet said
    where it answers, or says how it was a while ago. Where the record knows of no file at all, that concerns everything
    in it, also what a platform calls absent or starting that was just found there; and while one has not told all
    that it has, no model that is wanted loses its address (`without_address`: those that would; what was given up has
    none to lose).
    """
    is_lost = bool(files_epoch) and not known.outputs
    waiting = {key for key in without_address if not _is_given_up(known.models.get(key))}
    for record in known.deployments.values():
        is_mute = (is_doubted(record) or is_lost) and record.phase is Phase.UNKNOWN and record.endpoint is None
        is_unsure = (is_lost and record.adopted) or (is_doubted(record) and record.driver in unlisted)
        may_be_named = record.endpoint is None and record.deployment.model in waiting and _may_answer(record)
        if is_mute or (is_unsure and may_be_named):
            return f"the files stay as they are: {record.driver} does not say where {record.deployment.name} answers"
    if is_lost and unlisted and waiting:
        return f"the files stay as they are: the record does not know them, and {', '.join(unlisted)} may have more"
    return ""


def _may_answer(record: DeploymentRecord) -> bool:
    return record.phase not in (Phase.FAILED, Phase.DELETING)


def _is_given_up(book: ModelRecord | None) -> bool:
    return book is not None and (bool(book.halted) or book.attempts >= MAX_ATTEMPTS)


def _adopted(driver: str, deployment: Deployment, now: datetime) -> DeploymentRecord:
    """Services may be pointed at it, so it is not retired before they are pointed elsewhere."""
    return DeploymentRecord(
        deployment=deployment,
        driver=driver,
        naming_version=NAMING_VERSION,
        intent=Intent.CREATE,
        adopted=True,
        created_at=now,
        phase_since=now,
        issued_at=now,
        applied_digest=deployment.spec.digest,
        doubted_at=now,
    )


def _returned(driver: str, deployment: Deployment, now: datetime, grace_s: float) -> DeploymentRecord:
    return replace(
        _adopted(driver, deployment, now),
        intent=Intent.DELETE,
        adopted=False,
        doubted_at=None,
        failure="it was deleted and forgotten before; a call that was sent earlier arrived late",
        next_call_at=now + timedelta(seconds=grace_s),
    )
