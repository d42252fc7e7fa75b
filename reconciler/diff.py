"""desired + known + now → plan: the decision table. Pure and total; read `TABLE` first.

A model has one deployment, during a replacement two, never three. Each known deployment of a model stands in one
relation to what is desired, has one phase, and gets one answer from the table. What the answers mean in detail (how
long to wait, what must be true before a delete) is in the function of the same name below.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from drivers.base import Capabilities, ModelSpec, Phase
from drivers.values import duration
from reconciler.backoff import MAX_ATTEMPTS
from reconciler.desired import Desired, DesiredModel
from reconciler.plan import Action, FieldChange, Plan, Step
from state.record import DeploymentRecord, Intent, ModelRecord, Recorded


class Relation(Enum):
    """How a known deployment stands to what is desired."""

    UNWANTED = "the model is gone from the file"
    KEPT = "the model is in the file, but what it says was refused"
    LEAVING = "its deletion was begun"
    SAME = "it is what the file asks for"
    OTHER = "the file asks for something else"


class Answer(Enum):
    """What to do about one deployment; each is a function of the same name below."""

    NOTHING = "nothing"
    WAIT = "wait"
    FORGET = "forget"
    REMOVE = "remove"
    FINISH = "finish"
    ISSUE_AGAIN = "issue_again"
    BE_PATIENT = "be_patient"
    SERVE = "serve"
    GIVE_GRACE = "give_grace"
    TRY_ANEW = "try_anew"
    SUPERSEDE = "supersede"


_A = Answer
_PHASES = (
    Phase.ABSENT, Phase.CREATING, Phase.READY, Phase.DEGRADED, Phase.FAILED, Phase.DELETING, Phase.UNKNOWN,
)  # fmt: skip
_ROWS: Mapping[Relation, tuple[Answer, ...]] = {
    #                    ABSENT          CREATING       READY         DEGRADED       FAILED        DELETING UNKNOWN
    Relation.UNWANTED: (_A.REMOVE,      _A.REMOVE,     _A.REMOVE,    _A.REMOVE,     _A.REMOVE,    _A.WAIT, _A.WAIT),
    Relation.KEPT:     (_A.NOTHING,     _A.NOTHING,    _A.NOTHING,   _A.NOTHING,    _A.NOTHING,   _A.WAIT, _A.WAIT),
    Relation.LEAVING:  (_A.FORGET,      _A.FINISH,     _A.FINISH,    _A.FINISH,     _A.FINISH,    _A.FINISH, _A.WAIT),
    Relation.SAME:     (_A.ISSUE_AGAIN, _A.BE_PATIENT, _A.SERVE,     _A.GIVE_GRACE, _A.TRY_ANEW,  _A.WAIT, _A.WAIT),
    Relation.OTHER:    (_A.SUPERSEDE,   _A.SUPERSEDE,  _A.SUPERSEDE, _A.SUPERSEDE,  _A.SUPERSEDE, _A.WAIT, _A.WAIT),
}  # fmt: skip
TABLE: Mapping[tuple[Relation, Phase], Answer] = {
    (relation, phase): answer for relation, row in _ROWS.items() for phase, answer in zip(_PHASES, row, strict=True)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the table must know of one driver, and of the operator's patience with it. Times in seconds."""

    capabilities: Capabilities
    inert: Callable[[str], bool] = lambda key: False
    """Whether a change of this key of the spec needs nothing done on the platform."""
    bake_s: float = 120.0
    """How long a replaced deployment is kept after the switch."""
    removal_grace_s: float = 600.0
    """How long a model must have been gone from the file before it is deleted."""


class Removals(Enum):
    """Who decides that a model which is gone from the file is deleted."""

    RIPEN = "good readings and a grace time"
    CONFIRMED = "a person, who said yes"
    HELD = "a person, who has not said yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Everything a decision may depend on besides the model itself."""

    now: datetime
    rules: Mapping[str, Rules]
    busy: Mapping[str, str] = field(default_factory=dict)
    """Deployment id to the reason why something still uses it: a running service, a request in flight."""
    removals: Removals = Removals.RIPEN


GONE = "gone from the file"
"""The cause of a removal: the one kind of delete that the mass-delete guard is about."""
REMOVAL_READS = 2
"""Good readings without the model before its removal is believed."""


def diff(desired: Desired, known: Recorded, moment: Moment, revision: str) -> Plan:
    """The plan for one project. `known` is the refreshed record; models in `desired.refused` stay as they are."""
    own: dict[str, list[DeploymentRecord]] = {key: [] for key in (*desired.models, *desired.refused)}
    for record in known.deployments.values():
        own.setdefault(record.deployment.model, []).append(record)
    steps: list[Step] = []
    routes: dict[str, str] = {}
    for key in sorted(own):
        case = _Case(
            key=key,
            want=desired.models.get(key),
            judged=desired.judged.get(key),
            kept=desired.refused.get(key),
            records=sorted(own[key], key=lambda record: record.deployment.id),
            book=known.models.get(key, ModelRecord(key=key)),
            moment=moment,
        )
        steps.extend(case.steps())
        route = case.route(steps)
        if route is not None:
            routes[key] = route
    moving = {step.model for step in steps}
    return Plan(
        project=known.project,
        revision=revision,
        steps=tuple(steps),
        routes=routes,
        unchanged=tuple(key for key in sorted(desired.models) if key not in moving),
    )


def field_changes(old: ModelSpec, new: ModelSpec) -> tuple[FieldChange, ...]:
    """What the user changed between two specs, by key."""
    before, after = old.fields(), new.fields()
    return tuple(
        FieldChange(key, before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One model at one moment."""

    key: str
    want: DesiredModel | None
    judged: DesiredModel | None
    """The model as the file has it, also when that was refused."""
    kept: str | None
    records: Collection[DeploymentRecord]
    book: ModelRecord
    moment: Moment

    def steps(self) -> Iterator[Step]:
        for record in self.records:
            answer = TABLE[self.relation(record), record.phase]
            yield from getattr(self, "_" + answer.value)(record)
        if self.kept is not None:
            yield self._hold(None, "what the file says of it was refused; it stays as it is")
        if self.want is not None and self._same() is None:
            yield from self._begin(self.want)

    def route(self, steps: Collection[Step]) -> str | None:
        """The deployment that services should be pointed at from now on; None leaves the model without an endpoint."""
        same = self._same()
        if same is not None and same.phase is Phase.READY:
            return same.deployment.id
        active = self._active()
        if active is None:
            return None
        going = {step.deployment for step in steps if step.action in (Action.DELETE, Action.FORGET)}
        return None if self.want is None and active.deployment.id in going else active.deployment.id

    def relation(self, record: DeploymentRecord) -> Relation:
        if record.intent is Intent.DELETE:
            return Relation.LEAVING
        if self.kept is not None:
            return Relation.KEPT
        if self.want is None:
            return Relation.UNWANTED
        return Relation.SAME if record is self._same() else Relation.OTHER

    # -- the answers ----------------------------------------------------------------------------------------------

    def _nothing(self, record: DeploymentRecord) -> Iterator[Step]:
        return iter(())

    def _serve(self, record: DeploymentRecord) -> Iterator[Step]:
        """READY is what is wanted, unless an update in place was resolved and the platform never confirmed it."""
        if record.applied_digest in ("", record.deployment.spec.digest):
            return
        if self._may_call(record):
            yield self._step(Action.UPDATE, record, record.failure or "the update was not confirmed")
        else:
            yield self._hold(record, record.failure, record.next_call_at)

    def _wait(self, record: DeploymentRecord) -> Iterator[Step]:
        cause = (
            f"the platform does not say how it is: {record.detail}"
            if record.phase is Phase.UNKNOWN
            else "it is being deleted"
        )
        yield self._hold(record, cause)

    def _forget(self, record: DeploymentRecord) -> Iterator[Step]:
        """Absence is believed once no call that was sent can take effect any more."""
        settled = self._settled_at(record)
        if self.moment.now < settled:
            yield self._hold(record, "it is absent; a late call could still bring it back", settled)
        else:
            yield self._step(Action.FORGET, record, "verified absent")

    def _remove(self, record: DeploymentRecord) -> Iterator[Step]:
        """A model that is gone from the file: deleted only when nobody can object any more. One that seems absent is
        deleted as well before it is forgotten: that is free, and takes along what may be left of it."""
        rules = self.moment.rules[record.driver]
        ripe = (self.book.missing_since or self.moment.now) + timedelta(seconds=rules.removal_grace_s)
        if self.book.protected:
            yield self._hold(record, "gone from the file, and protected: `reconcile unprotect` lets it go")
        elif record.adopted and not self._removal_confirmed():
            yield self._hold(record, "found by its tags and wanted by no file: `reconcile destroy` deletes it")
        elif self.moment.removals is Removals.HELD and not self._removal_confirmed():
            yield self._hold(record, "gone from the file; `--yes` deletes it")
        elif not self._removal_confirmed() and (self.moment.now < ripe or self.book.missing_reads < REMOVAL_READS):
            yield self._hold(record, "gone from the file; deleted when it stays gone", ripe)
        else:
            yield from self._unless_busy(record, GONE)

    def _finish(self, record: DeploymentRecord) -> Iterator[Step]:
        again = (record.issued_at or record.created_at) + timedelta(
            seconds=self.moment.rules[record.driver].capabilities.delete_again_s
        )
        if not self._may_call(record):
            yield self._hold(record, record.failure, record.next_call_at)
        elif record.phase is Phase.DELETING and self.moment.now < again:
            yield self._hold(record, "it is being deleted", again)
        else:
            yield self._step(Action.DELETE, record, "its deletion was begun")

    def _issue_again(self, record: DeploymentRecord) -> Iterator[Step]:
        """Absent though asked for. The same request again makes one thing, because its name and token are the same.

        A platform that may still be about to answer the first request would not understand a second one after the
        thing was there and vanished; this host has no such delays, and keeps the address when it starts it again.
        """
        if record.ready_at is not None and not self.moment.rules[record.driver].capabilities.local:
            yield from self._replace_lost(record)
        elif self.book.halted and self._attempts():
            yield self._hold(record, self.book.halted)
        elif self._may_call(record):
            yield self._step(Action.CREATE, record, record.failure or "asked for, and not there yet")
        else:
            yield self._hold(record, record.failure, record.next_call_at)

    def _replace_lost(self, record: DeploymentRecord) -> Iterator[Step]:
        settled = self._settled_at(record, since=record.phase_since)
        if self.moment.now < settled:
            yield self._hold(record, "it vanished; waiting until that is certain", settled)
        else:
            yield from self._attempt(record, "it was ready and has vanished")

    def _be_patient(self, record: DeploymentRecord) -> Iterator[Step]:
        """Patience counts from the request; for one that served before, from when it began to start anew."""
        began = record.phase_since if record.ready_at else record.issued_at or record.created_at
        patience_s = self._startup_timeout_s(record)
        deadline = began + timedelta(seconds=patience_s)
        if self.moment.now < deadline:
            yield self._hold(record, record.detail or "it is starting", deadline)
        elif record.active:
            yield from self._attempt(record, f"not ready again within {patience_s:g} s")
        else:
            yield self._step(Action.DELETE, record, f"not ready within {patience_s:g} s")

    def _give_grace(self, record: DeploymentRecord) -> Iterator[Step]:
        until = record.phase_since + timedelta(seconds=self.moment.rules[record.driver].capabilities.degraded_grace_s)
        if self.moment.now < until:
            yield self._hold(record, f"degraded: {record.detail}", until)
        else:
            yield from self._attempt(record, f"degraded for too long: {record.detail}")

    def _try_anew(self, record: DeploymentRecord) -> Iterator[Step]:
        """One that serves goes only after its successor took over; one that never served goes first."""
        if record.active:
            yield from self._attempt(record, f"it failed: {record.detail}")
        else:
            yield self._step(Action.DELETE, record, f"it failed: {record.detail}")

    def _supersede(self, record: DeploymentRecord) -> Iterator[Step]:
        """A deployment of this model that is not what the file asks for (any more)."""
        same = self._same()
        if record.active:
            return  # it serves until the other one is ready; `_begin` says what replaces it
        if record.ready_at is None or record.retired_at is None or record.phase in (Phase.FAILED, Phase.ABSENT):
            if same is None and self._updatable(record):
                return  # `_begin` brings it to the new spec in place
            yield from self._unless_busy(record, "replaced" if record.retired_at else "superseded before it served")
        elif same is None:
            return
        else:
            yield from self._retire(record, record.retired_at)

    def _retire(self, record: DeploymentRecord, since: datetime) -> Iterator[Step]:
        baked = since + timedelta(seconds=self.moment.rules[record.driver].bake_s)
        if self.moment.now < baked:
            yield self._hold(record, "replaced; kept for a while in case the replacement fails", baked)
        else:
            yield from self._unless_busy(record, "replaced")

    def _unless_busy(self, record: DeploymentRecord, cause: str) -> Iterator[Step]:
        reason = self.moment.busy.get(record.deployment.id)
        yield self._hold(record, reason) if reason else self._step(Action.DELETE, record, cause)

    # -- a spec that no deployment has yet --------------------------------------------------------------------------

    def _begin(self, want: DesiredModel) -> Iterator[Step]:
        """Create, update or replace, whichever the present deployments allow."""
        staying = [record for record in self.records if record.intent is Intent.CREATE]
        serving = self._active() or (staying[-1] if len(staying) == 1 else None)
        if len(self.records) > len(staying):
            yield self._hold(None, "an earlier deployment is still being deleted")
        elif not staying:
            yield from self._new(Action.CREATE, None, "another attempt" if self._attempts() else "the file asks for it")
        elif serving is None or len(staying) > 1:
            yield self._hold(None, "an earlier attempt must go first")
        elif serving.phase is Phase.UNKNOWN:
            return  # its own step already waits: never act on ignorance
        elif self._updatable(serving):
            yield self._step(
                Action.UPDATE, serving, "the file changed", field_changes(serving.deployment.spec, want.spec)
            )
        elif serving.ready_at is None and not serving.active:
            yield self._hold(None, "an earlier attempt must go first")
        else:
            changes = field_changes(serving.deployment.spec, want.spec)
            moved = f"the platform changed: {serving.driver} → {want.driver}"
            yield from self._new(Action.REPLACE, serving, "the file changed" if changes else moved, changes)

    def _attempt(self, record: DeploymentRecord, cause: str) -> Iterator[Step]:
        """A new deployment of the same spec beside one that no longer does its work."""
        if len(self.records) > 1:
            yield self._hold(record, f"{cause}; another deployment is still being dealt with")
        else:
            yield from self._new(Action.REPLACE, record, cause)

    def _new(
        self, action: Action, record: DeploymentRecord | None, cause: str, changes: tuple[FieldChange, ...] = ()
    ) -> Iterator[Step]:
        """One more deployment, unless the spec was given up or has to wait for its turn."""
        if self._halted():
            yield self._hold(record, self.book.halted or self._gave_up())
        elif self._may_try():
            yield self._step(action, record, cause, changes)
        else:
            yield self._hold(record, f"{cause}; backing off after {self._attempts()} attempts", self.book.next_try_at)

    # -- what is known about the model ------------------------------------------------------------------------------

    def _same(self) -> DeploymentRecord | None:
        """The newest deployment of exactly the desired spec that nobody decided to delete."""
        if self.want is None:
            return None
        fitting = [
            record
            for record in self.records
            if record.intent is Intent.CREATE
            and record.driver == self.want.driver
            and record.deployment.spec.digest == self.want.spec.digest
        ]
        ready = [record for record in fitting if record.phase is Phase.READY]
        return next(reversed(ready or fitting), None)

    def _active(self) -> DeploymentRecord | None:
        return next((record for record in self.records if record.active), None)

    def _updatable(self, record: DeploymentRecord) -> bool:
        """Whether every changed key is one that the driver changes in place, or one that changes nothing there."""
        if self.want is None or record.driver != self.want.driver or record.phase in (Phase.FAILED, Phase.ABSENT):
            return False
        rules = self.moment.rules[record.driver]
        return all(
            change.key in rules.capabilities.updatable or rules.inert(change.key)
            for change in field_changes(record.deployment.spec, self.want.spec)
        )

    def _settled_at(self, record: DeploymentRecord, since: datetime | None = None) -> datetime:
        sent = since or record.issued_at or record.created_at
        return sent + timedelta(seconds=self.moment.rules[record.driver].capabilities.settle_s)

    def _startup_timeout_s(self, record: DeploymentRecord) -> float:
        written = record.deployment.spec.options.get("cloud.startup-timeout")
        given = duration(written) if written is not None else None
        return given if given is not None else self.moment.rules[record.driver].capabilities.startup_timeout_s

    def _attempts(self) -> int:
        return self.book.attempts if self.want is not None and self.book.attempts_digest == self.want.spec.digest else 0

    def _halted(self) -> bool:
        return self._attempts() >= MAX_ATTEMPTS or (bool(self.book.halted) and self._attempts() > 0)

    def _gave_up(self) -> str:
        return f"gave up after {self._attempts()} attempts: commit a change, or `reconcile resume {self.key}`"

    def _may_try(self) -> bool:
        """Whether a new deployment may be made. Back-off belongs to a spec: a new commit may be tried at once."""
        return not self._attempts() or self.book.next_try_at is None or self.moment.now >= self.book.next_try_at

    def _may_call(self, record: DeploymentRecord) -> bool:
        return record.next_call_at is None or self.moment.now >= record.next_call_at

    def _removal_confirmed(self) -> bool:
        return self.moment.removals is Removals.CONFIRMED or self.book.removal_confirmed_at is not None

    # -- building steps -----------------------------------------------------------------------------------------------

    def _hold(self, record: DeploymentRecord | None, cause: str, until: datetime | None = None) -> Step:
        return self._step(Action.WAIT, record, cause, not_before=until)

    def _step(
        self,
        action: Action,
        record: DeploymentRecord | None,
        cause: str,
        changes: tuple[FieldChange, ...] = (),
        not_before: datetime | None = None,
    ) -> Step:
        towards = record is None or action in (Action.CREATE, Action.REPLACE, Action.UPDATE)
        judged = self.judged
        return Step(
            action=action,
            model=self.key,
            driver=judged.driver if judged is not None and towards else record.driver if record is not None else "",
            cause=cause,
            deployment=record.deployment.id if record is not None else None,
            changes=changes,
            findings=judged.findings if judged is not None else (),
            resolution=judged.resolution if judged is not None else (),
            location=judged.location if judged is not None else None,
            not_before=not_before,
        )
