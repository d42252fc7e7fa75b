"""What each answer of the decision table means: how long to wait, and what must be true before something is done. Pure.

One function per answer, with the answer's name: steps about one deployment of a case, none where nothing is to be done.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from drivers.base import Phase
from reconciler.case import BEYOND_CHANGE, Case, field_changes
from reconciler.desired import DesiredModel
from reconciler.intents import was_offered
from reconciler.leaving import STRATEGY, absence, lay_down, make_way, remove, retire, unless_busy
from reconciler.plan import Action, FieldChange, Step
from state.record import DeploymentRecord, Intent


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
    rests = case.rests(record) is not None
    if case.moment.now < patience or (case.kept and not rests):
        yield case.hold(record, "it is being deleted", patience)
    elif rests:
        yield from lay_down(case, record)
    elif case.want is None:
        yield from remove(case, record)
    elif record is not case.active:
        yield from unless_busy(case, record, stuck)
    elif case.makes_way(record):
        yield from make_way(case, record, stuck)
    elif record is case.same:
        yield from attempt(case, record, stuck)


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
        yield case.hold(record, f"{absence(record, 'it vanished')}; waiting until that is certain", settled)
    else:
        yield from attempt(case, record, absence(record, "it was ready and has vanished"))


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
    elif record is case.active or record is case.growing:
        return  # it serves until the other one is ready; `begin` says what replaces it, or changes it in place
    elif was_offered(record):
        yield case.hold(record, "replaced; somebody may still be pointed at it")
    elif record.ready_at is None or record.retired_at is None or record.phase in (Phase.FAILED, Phase.ABSENT):
        yield from unless_busy(case, record, "replaced" if record.retired_at else "superseded before it served")
    elif case.same is None and case.active is None and record is case.records[-1]:
        return  # nothing newer is left of the model: `begin` replaces it
    else:
        yield from retire(case, record, record.retired_at)


def begin(case: Case, want: DesiredModel) -> Iterator[Step]:
    """Create, update or replace, whichever the present deployments allow."""
    staying = [record for record in case.records if record.intent is Intent.CREATE]
    serving = case.active or (staying[-1] if len(staying) == 1 else None)
    if case.rest is not None:
        yield case.hold(None, case.rest.then)
    elif len(case.records) > len(staying):
        yield case.hold(None, "an earlier deployment is still being deleted")
    elif not staying:
        yield from new(case, Action.CREATE, None, "another attempt" if case.attempts() else "the file asks for it")
    elif case.growing is not None:
        changes = field_changes(case.growing.deployment.spec, want.spec)
        yield case.step(Action.UPDATE, case.growing, "the file changed", changes)
    elif serving is None or len(staying) > 1:
        yield case.hold(None, "an earlier attempt must go first")
    elif serving.phase is Phase.UNKNOWN or case.makes_way(serving):
        return  # its own step waits, because nobody acts on ignorance, or sends it off
    elif want.strategy == "in-place" and serving.driver == want.driver and serving.phase not in BEYOND_CHANGE:
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
