"""Carry out the steps of a plan: intent, deadline check, call, answer, each durable. No decisions are made here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drivers.base import Driver, Observation, Phase
from drivers.errors import Ambiguous, DriverError
from reconciler import intents
from reconciler.adoption import FORGOTTEN, LET_GO
from reconciler.desired import DesiredModel
from reconciler.lifetime import grown
from reconciler.plan import Action, Step
from reconciler.tenure import Tenure
from state.record import (
    Append,
    Change,
    DeploymentRecord,
    DropDeployment,
    Event,
    ModelRecord,
    PutDeployment,
    PutModel,
    Recorded,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one step: the record afterwards (None: forgotten), or what the platform refused."""

    step: Step
    record: DeploymentRecord | None
    look_again_s: float | None = None
    error: DriverError | None = None


class Applier:
    """Bound to one pass: the record it started from, the lease it works under."""

    def __init__(
        self,
        *,
        tenure: Tenure,
        known: Recorded,
        desired: Mapping[str, DesiredModel],
        drivers: Callable[[str], Driver],
        inert: Callable[[str, str], bool],
        clock: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
        revision: str,
    ) -> None:
        self._tenure, self._drivers = tenure, drivers
        self._known, self._desired, self._inert = known, desired, inert
        self._clock, self._random, self._revision = clock, random_bytes, revision

    def carry_out(self, step: Step) -> Applied:
        """One step to its end. Raises Fenced or another StateError: then the pass is over, at once."""
        if step.action is Action.FORGET and step.deployment is not None:
            return self._forget(step, self._known.deployments[step.deployment])
        if step.action in (Action.CREATE, Action.REPLACE):
            return self._create(step)
        if step.action is Action.UPDATE:
            return self._update(step)
        return self._delete(step)

    def _forget(self, step: Step, record: DeploymentRecord) -> Applied:
        """What was verified absent is proof for a later delete; what lost our tags is not, and somebody must know."""
        self._commit(DropDeployment(record.deployment.id), self._event(LET_GO if record.foreign else FORGOTTEN, step))
        if record.foreign:
            log.warning("%s (%s): %s", step.model, record.deployment.id, step.cause)
        return Applied(step, None, 0.0)  # nothing is on its way: what waited for it can begin

    def _create(self, step: Step) -> Applied:
        now, want = self._clock(), self._desired[step.model]
        book = self._book(step.model)
        if step.action is Action.CREATE and step.deployment is not None:
            record = intents.before_create(self._known.deployments[step.deployment], now)
        else:
            book = intents.one_more_attempt(book, want, now)
            record = intents.new_deployment(
                lineage=self._known.lineage,
                project=self._known.project,
                model=step.model,
                driver=want.driver,
                spec=want.spec,
                now=now,
                random_bytes=self._random,
                handle=self._destination(want),
            )
        self._commit(PutModel(book), PutDeployment(record), self._event(step.action.value, step, record))
        return self._call(step, record, book, lambda driver: driver.create(record.deployment))

    def _destination(self, want: DesiredModel) -> Mapping[str, str]:
        """Where it will go, as far as its driver says before it is asked for it: written down with the intent, so that
        whatever becomes of the call, and of the operator's settings, it is looked for where it was asked for."""
        try:
            settle = getattr(self._drivers(want.driver), "destination", None)
            found: Mapping[str, str] = {} if settle is None else settle(want.spec)
        except DriverError:
            return {}  # the create says the same, and its error is kept
        return found

    def _update(self, step: Step) -> Applied:
        assert step.deployment is not None
        want = self._desired[step.model]
        old = self._known.deployments[step.deployment]
        record = intents.before_update(old, want.spec, self._clock())
        confirmed = old.applied_digest in ("", old.deployment.spec.digest)
        # The record may be an older copy: what the platform already shows needs no call.
        there = bool(step.changes) and old.phase is Phase.READY and old.applied_digest == want.spec.digest
        book = grown(self._book(step.model), old, want)
        if there or (confirmed and all(self._inert(record.driver, change.key) for change in step.changes)):
            recorded = _closed(record, old)
            older = () if book == self._book(step.model) else (PutModel(book),)
            self._commit(*older, PutDeployment(recorded), self._event("update", step, recorded))
            return Applied(step, recorded)
        book = replace(book, halted="")
        self._commit(PutModel(book), PutDeployment(record), self._event("update", step, record))
        return self._call(step, record, book, lambda driver: driver.update(record.deployment))

    def _delete(self, step: Step) -> Applied:
        assert step.deployment is not None
        old = self._known.deployments[step.deployment]
        record = intents.before_delete(old, self._clock())
        began: tuple[Change, ...] = ()
        if record.intent is not old.intent:
            book = self._book(step.model)
            after = intents.book_before_delete(book, old, alone=self._is_alone(old))
            began = (self._event("delete", step, record), *(() if after == book else (PutModel(after),)))
        self._commit(PutDeployment(record), *began)
        return self._call(step, record, self._book(step.model), lambda driver: driver.delete(record.deployment))

    def _call(
        self, step: Step, record: DeploymentRecord, book: ModelRecord, call: Callable[[Driver], Observation]
    ) -> Applied:
        """The one place where a platform is changed."""
        driver = self._drivers(record.driver)
        self._tenure.check()
        try:
            seen = call(driver)
        except DriverError as error:
            return self._failed(step, record, book, error, local=driver.capabilities.local)
        after = intents.after_answer(record, seen, self._clock())
        self._commit(PutDeployment(after))
        log.debug("%s %s (%s): %s", step.action.value, step.model, record.deployment.id, step.cause)
        return Applied(step, after, seen.look_again_s)

    def _failed(
        self, step: Step, record: DeploymentRecord, book: ModelRecord, error: DriverError, *, local: bool
    ) -> Applied:
        after = intents.after_error(record, error, self._clock(), local=local)
        changes: list[Change] = [PutDeployment(after)]
        if step.action is not Action.DELETE:
            changes.append(PutModel(intents.book_after_error(book, error)))
        if record.failure != str(error):
            changes.append(self._event("error", step, record, str(error)))
            log.warning("%s %s (%s): %s", step.action.value, step.model, record.deployment.id, error)
        self._commit(*changes)
        return Applied(step, after, 1.0 if isinstance(error, Ambiguous) else None, error)

    def _book(self, model: str) -> ModelRecord:
        return self._known.models.get(model, ModelRecord(key=model))

    def _is_alone(self, record: DeploymentRecord) -> bool:
        model = record.deployment.model
        return [other.deployment.model for other in self._known.deployments.values()].count(model) == 1

    def _commit(self, *changes: Change) -> None:
        self._tenure.commit(*changes)

    def _event(self, kind: str, step: Step, record: DeploymentRecord | None = None, text: str = "") -> Append:
        return Append(
            Event(
                at=self._clock(),
                kind=kind,
                model=step.model,
                deployment=record.deployment.id if record is not None else step.deployment or "",
                text=text or step.cause,
                revision=self._revision,
            )
        )


def _closed(record: DeploymentRecord, old: DeploymentRecord) -> DeploymentRecord:
    """An update that needs nothing from the platform is no open request."""
    return replace(
        record,
        request_open=old.request_open,
        issued_at=old.issued_at,
        applied_digest=record.deployment.spec.digest,
    )


def in_order(steps: Sequence[Step]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps before the switch and those after it: nothing is deleted before its successor was published."""
    first = tuple(step for step in steps if step.action in (Action.CREATE, Action.REPLACE, Action.UPDATE))
    last = tuple(step for step in steps if step.action in (Action.DELETE, Action.FORGET))
    return first, last
