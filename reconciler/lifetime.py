"""`cloud.ttl`: when a model's time is up. Pure.

Time counts from the birth of what the file says: from when its first deployment was minted, through every later attempt
at the same. The book of the model remembers that (`born_at`), because a deployment that failed and was forgotten must
not begin the time anew, and because the model stays away once its time is up. Where the book does not know, the ids
do: they hold the time at which they were minted, and survive the loss of the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from drivers.naming import minted_at
from drivers.values import duration
from reconciler.desired import DesiredModel
from state.record import DeploymentRecord, Intent, ModelRecord, Recorded

TTL = "cloud.ttl"
OFF = "off"


def model_ends_at(want: DesiredModel, book: ModelRecord) -> datetime | None:
    """When the time of a wanted model is up; None where it has all the time, or is not born yet."""
    option = want.options.get(TTL)
    born = book.born_at if book.born_digest == want.spec.digest else None
    if option is None or not isinstance(option.value, int) or born is None:
        return None
    return born + timedelta(seconds=option.value)


def deployment_ends_at(record: DeploymentRecord, book: ModelRecord, usual: str = OFF) -> datetime | None:
    """When the time of a deployment is up by the words it was made for, whatever the file says now; where they are
    silent, by what is `usual`."""
    spec = record.deployment.spec
    seconds = written_s(record, TTL, usual)
    if seconds is None:
        return None
    born = book.born_at if book.born_digest == spec.digest else None
    return (born or _minted_at(record)) + timedelta(seconds=seconds)


def newborn(book: ModelRecord, want: DesiredModel, now: datetime) -> ModelRecord:
    """The book of a model of which a deployment is about to be minted."""
    if TTL not in want.options or book.born_digest == want.spec.digest:
        return book
    return replace(book, born_at=now, born_digest=want.spec.digest)


def grown(book: ModelRecord, record: DeploymentRecord, want: DesiredModel) -> ModelRecord:
    """The book of a model whose deployment is about to be changed in place: it is as old as before."""
    if TTL not in want.options and not book.born_digest:
        return book
    born = book.born_at if book.born_digest == record.deployment.spec.digest else _minted_at(record)
    return replace(book, born_at=born, born_digest=want.spec.digest)


def renewed(book: ModelRecord, own: Iterable[DeploymentRecord]) -> ModelRecord:
    """The book of a model that a person gives its time once more, for what is made next. What still stands keeps its
    time: some platforms end it by themselves, and go by its id."""
    standing = any(record.intent is Intent.CREATE for record in own)
    return book if standing else replace(book, born_at=None, born_digest="")


def note_births(known: Recorded, wanted: Mapping[str, DesiredModel]) -> Recorded:
    """The record with the births that only ids still know of, and without those of specs of which nothing stands any
    more and that the file does not ask for: should they come back one day, their time begins anew."""
    standing: dict[str, list[DeploymentRecord]] = {}
    for record in known.deployments.values():
        if record.intent is Intent.CREATE:
            standing.setdefault(record.deployment.model, []).append(record)
    changed = {}
    for key, want in wanted.items():
        book = known.models.get(key, ModelRecord(key=key))
        if TTL in want.options or book.born_digest:
            noted = _noted(book, want.spec.digest, standing.get(key, ()))
            if noted != book:
                changed[key] = noted
    return replace(known, models={**known.models, **changed}) if changed else known


def _noted(book: ModelRecord, wanted: str, standing: Sequence[DeploymentRecord]) -> ModelRecord:
    if book.born_digest == wanted:
        return book
    same = [record for record in standing if record.deployment.spec.digest == wanted]
    if same:
        return replace(book, born_at=min(map(_minted_at, same)), born_digest=wanted)
    if any(record.deployment.spec.digest == book.born_digest for record in standing):
        return book
    return replace(book, born_at=None, born_digest="")


def written_s(record: DeploymentRecord, key: str, usual: str = OFF) -> int | None:
    """The duration that a deployment was made with, else the `usual` one, in seconds; None for `off` and nonsense."""
    try:
        return duration(record.deployment.spec.options.get(key, usual))
    except ValueError:  # found by its tags, which anybody in the account can write
        return None


def _minted_at(record: DeploymentRecord) -> datetime:
    try:
        return minted_at(record.deployment.id)
    except ValueError:  # found by its tags as well
        return record.created_at
