"""What a person asks to have written about a model, judged against the record: now, or when its turn comes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from reconciler.errors import NothingRecorded
from reconciler.lifetime import TTL, renewed
from reconciler.options import nearest
from state.record import (
    Change,
    DeploymentRecord,
    DropDeployment,
    Intent,
    ModelRecord,
    PutDeployment,
    PutModel,
    Recorded,
)

COMMANDS = ("protect", "unprotect", "resume", "forget", "confirm")


class Request(NamedTuple):
    """One thing asked of one model. Where it waits for its turn, `deployment` is named, so that it means one only."""

    command: str
    model: str
    deployment: str | None = None


class Decision(NamedTuple):
    """What is to be written, and the sentence that says so."""

    changes: Sequence[Change]
    text: str


def decide(request: Request, known: Recorded, now: datetime, *, desired: Collection[str] | None = None) -> Decision:
    """What the request comes to. Raises NothingRecorded for what is not there.

    `desired` is what the file asks for at this moment, where somebody has just read it; otherwise the record says it.
    """
    model = request.model
    own = [record for record in known.deployments.values() if record.deployment.model == model]
    there = {*known.models, *(record.deployment.model for record in known.deployments.values())}
    if model not in there:
        hint = nearest(model, there)
        others = f"did you mean '{hint}'?" if hint else f"there are {', '.join(sorted(there)) or 'none'}"
        raise NothingRecorded(f"no model '{model}' is recorded in {known.project} ({others})")
    book = known.models.get(model, ModelRecord(key=model))
    if request.command == "forget":
        one = chosen(own, request.deployment, model)
        return Decision([DropDeployment(one)], f"{model}: forgotten; the platform was not touched")
    if request.command == "resume":
        anew = renewed(book, own)
        fresh = PutModel(replace(anew, halted="", attempts=0, next_try_at=None))
        again = [PutDeployment(replace(record, next_call_at=None, failed_calls=0)) for record in own]
        return Decision([fresh, *again], f"{model}: will be tried again{_time_left(anew)}")
    if request.command == "confirm":
        return _confirm(book, known, now, desired)
    protected = request.command == "protect"
    text = f"{model}: {'never deleted from now on' if protected else 'may be deleted again'}"
    if protected and any(TTL in record.deployment.spec.options for record in own):
        text += f"; its {TTL} is on its platform, which may end it all the same: take that out of the file"
    return Decision([PutModel(replace(book, protected=protected))], text)


def removable(known: Recorded, desired: Collection[str] | None = None) -> tuple[str, ...]:
    """The models with deployments that are gone from the file and whose removal nobody has confirmed yet."""
    standing = (record for record in known.deployments.values() if record.intent is Intent.CREATE)
    deployed = sorted({record.deployment.model for record in standing})
    books = {model: known.models.get(model, ModelRecord(key=model)) for model in deployed}
    return tuple(
        model
        for model, book in books.items()
        if _is_gone(book, desired) and not book.protected and book.removal_confirmed_at is None
    )


def is_done(request: Request, decision: Decision, known: Recorded) -> bool:
    """Whether the record says it already: whoever took it up died before the request was removed."""
    book = known.models.get(request.model, ModelRecord(key=request.model))
    return all(
        (isinstance(change, PutModel) and change.record == book)
        or (isinstance(change, PutDeployment) and change.record == known.deployments.get(change.record.deployment.id))
        for change in decision.changes
    )


def chosen(own: Sequence[DeploymentRecord], deployment: str | None, model: str) -> str:
    """The id of the one deployment that is meant. Raises NothingRecorded where that is none, or not clear."""
    ids = [record.deployment.id for record in own]
    if deployment is not None and deployment in ids:
        return deployment
    if deployment is None and len(ids) == 1:
        return ids[0]
    if not ids:
        raise NothingRecorded(f"{model} has no deployment to forget")
    if deployment is not None:
        raise NothingRecorded(f"{model} has no deployment {deployment} (there is {', '.join(ids)})")
    raise NothingRecorded(f"{model} has {len(ids)} deployments ({', '.join(ids)}); name one with --deployment ID")


def _time_left(book: ModelRecord) -> str:
    return "; its time goes on, ask again when it is gone" if book.born_digest else ""


def _confirm(book: ModelRecord, known: Recorded, now: datetime, desired: Collection[str] | None) -> Decision:
    if not _is_gone(book, desired):
        source = f" (as last read: {known.source.revision[:21]})" if known.source is not None else ""
        raise NothingRecorded(f"{book.key} is not gone from the file{source}: there is no removal to confirm")
    if book.protected:
        raise NothingRecorded(f"{book.key} is protected: first `reconcile unprotect {book.key}`")
    confirmed = replace(book, removal_confirmed_at=book.removal_confirmed_at or now)
    return Decision([PutModel(confirmed)], f"{book.key}: its removal is confirmed")


def _is_gone(book: ModelRecord, desired: Collection[str] | None) -> bool:
    return book.missing_since is not None if desired is None else book.key not in desired
