"""What each answer of the decision table means: how long to wait, and what must be true before something is done. Pure.

One function per answer, with the answer's name: steps about one deployment of a case, none where nothing is to be done.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from drivers.base import Phase
from reconciler.case import Case, field_changes
from reconciler.desired import DesiredModel
from reconciler.intents import is_doubted, was_offered
from reconciler.lifetime import TTL
from reconciler.moment import Removals
from reconciler.plan import Action, FieldChange, Step
from reconciler.text import MOMENT
from state.record import DeploymentRecord, Intent

GONE = "gone from the file"
"""The cause of a removal: the one kind of delete that the mass-delete guard is about."""
BEGUN = "its deletion was begun"
"""The cause of a delete that is asked for again, until the platform is done with it."""
STRATEGY = "cloud.update-strategy"
REMOVAL_READS = 2
"""Good readings without the model before its removal is believed."""


def nothing(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    return iter(())


def serve(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """READY is what is wanted, unless an update in place was resolved and the platform never confirmed it, or shows
    another spec: an earlier update may have arrived late."""
    unchangeable = not case.rules(record).capabilities.updatable
    if unchangeable or record.applied_digest in ("", record.deployment.spec.digest):
        return
    if case.book.halted:
        yield case.hold(record, case.book.halted)
    elif case.may_call(record):
        yield case.step(Action.UPDATE, record, record.failure or "the update was not confirmed")
    else:
        yield case.hold(record, record.failure, record.next_call_at)


def wait(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    said = f": {record.detail}" if record.detail else ""
    yield case.hold(record, f"the platform does not say how it is{said}")


def see_out(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """Somebody deletes it, or we began to before the record was lost. Where that gets stuck half way, as it may on a
    platform that takes several calls, it is taken up: what is half deleted never comes back."""
    patience = case.settled_at(record, since=record.phase_since)
    stuck = f"somebody began to delete it, and that does not end: {record.detail}"
    is_over = case.ended_at(record) is not None
    if case.moment.now < patience or (case.kept and not is_over):
        yield case.hold(record, "it is being deleted", patience)
    elif is_over:
        yield from lay_down(case, record)
    elif case.want is None:
        yield from remove(case, record)
    elif record is not case.active:
        yield from unless_busy(case, record, stuck)
    elif record is case.same:
        yield from attempt(case, record, stuck)


def forget(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """Absence is believed once no call that was sent can take effect any more, and a deletion was answered: parts of
    what was only half made are left where it never began, and some cost money."""
    settled = case.settled_at(record)
    if record.request_open or record.failure:
        yield from finish(case, record)
    elif case.moment.now < settled:
        yield case.hold(record, f"{_absence(record)}; a late call could still bring it back", settled)
    else:
        yield case.step(Action.FORGET, record, _absence(record) if record.foreign else "verified absent")


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
    """One that has had its time, whoever still wants it. It goes a while after that also where the files name it on,
    because they cannot be written."""
    why = f"its time is up ({TTL}={case.ttl(record)})"
    if case.book.protected:
        yield case.hold(record, f"{why}, and it is protected: `reconcile unprotect {case.key}` lets it go")
    else:
        yield from _send_off(case, record, why, case.ended_at(record))


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


def finish(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    again = (record.issued_at or record.created_at) + timedelta(seconds=case.rules(record).capabilities.delete_again_s)
    if not case.may_call(record):
        yield case.hold(record, record.failure, record.next_call_at)
    elif record.phase is Phase.DELETING and case.moment.now < again:
        yield case.hold(record, "it is being deleted", again)
    else:
        yield case.step(Action.DELETE, record, BEGUN)


def issue_again(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """Absent though asked for. The same request again makes one thing, because its name and token are the same.

    A platform that may still be about to answer the first request would not understand a second one after the
    thing was there and vanished; this host has no such delays, and keeps the address when it starts it again. What is
    there and not ours any more would refuse it.
    """
    unlisted = case.moment.unlisted.get(record.driver)
    if record.ready_at is not None and (record.foreign or not case.rules(record).capabilities.local):
        yield from replace_lost(case, record)
    elif unlisted is not None and len(case.records) > 1:
        yield case.hold(record, unlisted.why, unlisted.again_at)
    elif case.book.halted and case.attempts():
        yield case.hold(record, case.book.halted)
    elif case.may_call(record):
        yield case.step(Action.CREATE, record, record.failure or "asked for, and not there yet")
    else:
        yield case.hold(record, record.failure, record.next_call_at)


def replace_lost(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    settled = case.settled_at(record, since=record.phase_since)
    if case.moment.now < settled:
        yield case.hold(record, f"{_absence(record, 'it vanished')}; waiting until that is certain", settled)
    else:
        yield from attempt(case, record, _absence(record, "it was ready and has vanished"))


def _absence(record: DeploymentRecord, otherwise: str = "it is absent") -> str:
    return f"not ours any more, and left alone: {record.detail}" if record.foreign else otherwise


def be_patient(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """Patience counts from the request; for one that served before, from when it began to start anew."""
    began = record.phase_since if record.ready_at else record.issued_at or record.created_at
    patience_s = case.startup_timeout_s(record)
    deadline = began + timedelta(seconds=patience_s)
    if case.moment.now < deadline:
        yield case.hold(record, record.detail or "it is starting", deadline)
    elif record is case.active:
        yield from attempt(case, record, f"not ready again within {patience_s:g} s")
    else:
        yield from unless_busy(case, record, f"not ready within {patience_s:g} s")


def give_grace(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    until = record.phase_since + timedelta(seconds=case.rules(record).capabilities.degraded_grace_s)
    if case.moment.now < until:
        yield case.hold(record, f"degraded: {record.detail}", until)
    else:
        yield from attempt(case, record, f"degraded for too long: {record.detail}")


def try_anew(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """One that serves goes only after its successor took over; one that never served goes first."""
    if record is case.active:
        yield from attempt(case, record, f"it failed: {record.detail}")
    else:
        yield from unless_busy(case, record, f"it failed: {record.detail}")


def supersede(case: Case, record: DeploymentRecord) -> Iterator[Step]:
    """A deployment of this model that is not what the file asks for (any more)."""
    if case.makes_way(record):
        yield from make_way(case, record, "the file changed")
    elif record is case.active:
        return  # it serves until the other one is ready; `_begin` says what replaces it
    elif was_offered(record):
        yield case.hold(record, "replaced; somebody may still be pointed at it")
    elif record.ready_at is None or record.retired_at is None or record.phase in (Phase.FAILED, Phase.ABSENT):
        if case.same is None and case.updatable(record):
            return  # `_begin` brings it to the new spec in place
        yield from unless_busy(case, record, "replaced" if record.retired_at else "superseded before it served")
    elif case.same is None and case.active is None and record is case.records[-1]:
        return  # nothing newer is left of the model: `begin` replaces it
    else:
        yield from retire(case, record, record.retired_at)


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


def begin(case: Case, want: DesiredModel) -> Iterator[Step]:
    """Create, update or replace, whichever the present deployments allow."""
    staying = [record for record in case.records if record.intent is Intent.CREATE]
    serving = case.active or (staying[-1] if len(staying) == 1 else None)
    if case.over:
        ended = f"its time was up at {case.ends_at:{MOMENT}}"
        yield case.hold(None, f"{ended}; commit a change, or `reconcile resume {case.key}`")
    elif len(case.records) > len(staying):
        yield case.hold(None, "an earlier deployment is still being deleted")
    elif not staying:
        yield from new(case, Action.CREATE, None, "another attempt" if case.attempts() else "the file asks for it")
    elif serving is None or len(staying) > 1:
        yield case.hold(None, "an earlier attempt must go first")
    elif serving.phase is Phase.UNKNOWN or case.makes_way(serving):
        return  # its own step waits, because nobody acts on ignorance, or sends it off
    elif case.updatable(serving):
        yield case.step(Action.UPDATE, serving, "the file changed", field_changes(serving.deployment.spec, want.spec))
    elif want.strategy == "in-place" and serving.driver == want.driver:
        fixed = ", ".join(case.fixed(serving))
        yield case.hold(serving, f"{fixed} cannot change in place, and {STRATEGY}=in-place allows nothing else")
    elif serving.ready_at is None and serving is not case.active:
        yield case.hold(None, "an earlier attempt must go first")
    else:
        changes = field_changes(serving.deployment.spec, want.spec)
        moved = f"the platform changed: {serving.driver} → {want.driver}"
        yield from new(case, Action.REPLACE, serving, "the file changed" if changes else moved, changes)


def attempt(case: Case, record: DeploymentRecord, cause: str) -> Iterator[Step]:
    """A new deployment of the same spec beside one that no longer does its work.

    Never a third one, but that a server of this host which has died is none: it costs nothing and serves nobody. Where
    another one serves, which waits for this one to be ready, this one goes: else both would wait for ever.
    """
    if case.recreates(record):
        yield from make_way(case, record, cause)
        return
    is_dead = record.phase in (Phase.FAILED, Phase.ABSENT) and case.rules(record).capabilities.local
    if len(case.records) > (2 if is_dead else 1) and case.active not in (None, record):
        yield from unless_busy(case, record, cause)
    elif len(case.records) > (2 if is_dead else 1):
        yield case.hold(record, f"{cause}; another deployment is still being dealt with")
    else:
        yield from new(case, Action.REPLACE, record, cause)


def new(
    case: Case, action: Action, record: DeploymentRecord | None, cause: str, changes: tuple[FieldChange, ...] = ()
) -> Iterator[Step]:
    """One more deployment, unless the spec was given up or has to wait for its turn, or it might be there already."""
    unlisted = case.moment.unlisted.get(case.want.driver) if case.want is not None else None
    if unlisted is not None:
        yield case.hold(record, unlisted.why, unlisted.again_at)
    elif case.halted():
        yield case.hold(record, case.book.halted or case.gave_up())
    elif case.may_try():
        yield case.step(action, record, cause, changes)
    else:
        yield case.hold(record, f"{cause}; backing off after {case.attempts()} attempts", case.book.next_try_at)
