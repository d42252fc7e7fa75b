"""The answers of the decision table by which a deployment goes, and what must be true before it does. Pure.

Like the others in `answers.py`, which sends here whatever has to go: steps about one deployment of a case.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from drivers.base import Phase
from reconciler.case import Case, field_changes
from reconciler.intents import is_doubted
from reconciler.moment import Removals
from reconciler.plan import Action, Step
from state.record import DeploymentRecord

GONE = "gone from the file"
"""The cause of a removal: the one kind of delete that the mass-delete guard is about."""
BEGUN = "its deletion was begun"
"""The cause of a delete that is asked for again, until the platform is done with it."""
STRATEGY = "cloud.update-strategy"
REMOVAL_READS = 2
"""Good readings without the model before its removal is believed."""


def remove(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """A model that is gone from the file: deleted only when nobody can object any more. One that seems absent is
    deleted as well before it is forgotten: that is free, and takes along what may be left of it."""
    rules = case.rules(record)
    ripe = (case.book.missing_since or case.moment.now) + timedelta(seconds=rules.removal_grace_s)
    if case.book.protected:
        yield case.hold(record, "gone from the file, and protected: `reconcile unprotect` lets it go")
    elif record.adopted and not case.removal_confirmed():
        yield case.hold(record, "found by its tags and wanted by no file: `reconcile destroy` deletes it")
    elif case.moment.removals is Removals.HELD and not case.removal_confirmed():
        yield case.hold(record, "gone from the file; `--yes` deletes it")
    elif not case.removal_confirmed() and (case.moment.now < ripe or case.book.missing_reads < REMOVAL_READS):
        yield case.hold(record, "gone from the file; deleted when it stays gone", ripe)
    else:
        yield from unless_busy(case, record, GONE)


def lay_down(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """One that is to be away by the file's own word, whoever uses it. It goes a while after that also where the files
    name it on, because they cannot be written."""
    rest = case.rests(record)
    assert rest is not None
    if case.book.protected:
        yield case.hold(record, f"{rest.why}, and it is protected: `reconcile unprotect {case.key}` lets it go")
    else:
        yield from _send_off(case, record, rest.why, rest.since)


def make_way(case: Case, record: DeploymentRecord, cause: str) -> Iterator[Step]:
    """One that goes before its successor is made, because there is no room for two, and the file says so."""
    changes = field_changes(record.deployment.spec, case.want.spec) if case.want is not None else ()
    for step in _send_off(case, record, f"{cause}; it goes first ({STRATEGY}=recreate)", None):
        yield step._replace(makes_way=True, changes=changes)


def _send_off(case: Case, record: DeploymentRecord, why: str, since: datetime | None) -> Iterator[Step]:
    """The files lose its address, whoever uses it gets as long as after a replacement, then it goes."""
    began = max((time for time in (since, record.retired_at) if time is not None), default=case.moment.now)
    patience = began + timedelta(seconds=case.rules(record).bake_s)
    in_use = case.moment.busy.get(record.deployment.id)
    if case.moment.now >= patience:
        yield case.step(Action.DELETE, record, why)._replace(insists=True)
    elif in_use:
        yield case.hold(record, f"{why}; {in_use}", patience)
    else:
        yield from unless_busy(case, record, why)


def retire(case: Case, record: DeploymentRecord, since: datetime) -> Iterator[Step]:
    baked = since + timedelta(seconds=case.rules(record).bake_s)
    if case.moment.now < baked:
        yield case.hold(record, "replaced; kept for a while in case the replacement fails", baked)
    else:
        yield from unless_busy(case, record, "replaced")


def unless_busy(case: Case, record: DeploymentRecord, cause: str) -> Iterator[Step]:
    """Gone unless somebody uses it. Where it answers may not be known, because the record lost that: then nobody can be
    asked, and only what the platform says for long enough is believed."""
    reason = case.moment.busy.get(record.deployment.id)
    certain = case.settled_at(record, since=record.phase_since)
    if reason:
        yield case.hold(record, reason)
    elif record.endpoint is None and is_doubted(record) and case.moment.now < certain:
        yield case.hold(record, "where it answered is not known; waiting until it certainly does not", certain)
    else:
        yield case.step(Action.DELETE, record, cause)


def finish(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    again = (record.issued_at or record.created_at) + timedelta(seconds=case.rules(record).capabilities.delete_again_s)
    if not case.may_call(record):
        yield case.hold(record, record.failure, record.next_call_at)
    elif record.phase is Phase.DELETING and case.moment.now < again:
        yield case.hold(record, "it is being deleted", again)
    else:
        yield case.step(Action.DELETE, record, BEGUN)


def forget(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """Absence is believed once no call that was sent can take effect any more, and a deletion was answered: parts of
    what was only half made are left where it never began, and some cost money."""
    settled = case.settled_at(record)
    if record.request_open or record.failure:
        yield from finish(case, record)
    elif case.moment.now < settled:
        yield case.hold(record, f"{absence(record)}; a late call could still bring it back", settled)
    else:
        yield case.step(Action.FORGET, record, absence(record) if record.foreign else "verified absent")


def absence(record: DeploymentRecord, otherwise: str = "it is absent") -> str:
    """Why something is not there, in words."""
    return f"not ours any more, and left alone: {record.detail}" if record.foreign else otherwise
