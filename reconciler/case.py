"""One model at one moment: what is desired, what is known of its deployments, and what follows from the two. Pure.

Facts only; what to do about them is in `answers.py`, and which answer applies when is the table in `diff.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from drivers.base import ModelSpec, Phase
from reconciler.backoff import MAX_ATTEMPTS
from reconciler.desired import DesiredModel
from reconciler.intents import was_offered
from reconciler.lifetime import OFF, TTL, deployment_ends_at, model_ends_at, written_s
from reconciler.moment import Moment, Removals, Rules
from reconciler.options import Level
from reconciler.plan import Action, FieldChange, Step
from reconciler.text import MOMENT
from reconciler.timetable import down
from state.record import DeploymentRecord, Intent, ModelRecord

_PATIENCE = "cloud.startup-timeout"
BEYOND_CHANGE = (Phase.FAILED, Phase.ABSENT, Phase.DELETING)
"""Where there is nothing that could be changed in place, or left as it is."""


class Rest(NamedTuple):
    """Nothing of a model, or one deployment of it, is to be there, by the file's own word."""

    why: str
    since: datetime
    then: str
    """What is said once it is gone: how it comes back."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """`records` are the model's deployments, oldest first."""

    key: str
    want: DesiredModel | None
    judged: DesiredModel | None
    """The model as the file has it, also when that was refused."""
    kept: str
    """Why it stays as it is although the file has it: what it says was refused, or suspends it. Empty where it does not
    stay."""
    records: Sequence[DeploymentRecord]
    book: ModelRecord
    moment: Moment

    @cached_property
    def same(self) -> DeploymentRecord | None:
        """The newest deployment of exactly the desired spec that nobody decided to delete."""
        if self.want is None or not self.records:
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

    @cached_property
    def rest(self) -> Rest | None:
        """Why nothing of the model is to be there at present, by the file's own word."""
        if self.want is None:
            return None
        ends_at = model_ends_at(self.want, self.book)
        if ends_at is not None and self.moment.now >= ends_at:
            again = f"commit a change, or `reconcile resume {self.key}`"
            why = f"its time is up ({TTL}={self.want.options[TTL].text})"
            return Rest(why, ends_at, f"its time was up at {ends_at:{MOMENT}}; {again}")
        away = down(self.want.schedule, self.moment.now) if self.want.schedule else None
        if away is None:
            return None
        why = f"its schedule has it down until {away.until:%Y-%m-%d %H:%M %Z}"
        return Rest(why, away.since, why)

    def rests(self, record: DeploymentRecord) -> Rest | None:
        """Why a deployment is to go by its own, or its model's, words; None while it may stay.

        What the file asks for decides. Where that does not get through, because it was refused, say, or the model is
        gone and waits for a person's word, the last word that did holds: what the deployment was made for. A change in
        place comes before that, and a replacement on its way gets the time that it may take to start.
        """
        if self.rest is not None:
            return self.rest
        usual = self._usual_ttl()
        own = deployment_ends_at(record, self.book, usual)
        if own is None or record is self.same or self.updatable(record) or (record.adopted and self.judged is None):
            return None
        if self.want is not None:
            own += timedelta(seconds=self.moment.rules[self.want.driver].capabilities.startup_timeout_s)
        why = f"its time is up ({TTL}={record.deployment.spec.options.get(TTL, usual)})"
        return Rest(why, own, why) if self.moment.now >= own else None

    def _usual_ttl(self) -> str:
        """The operator's word where no file has one. What a refused or suspended file says is none."""
        option = self.judged.options.get(TTL) if self.judged is not None else None
        return option.text if option is not None and option.level is Level.TOOL else OFF

    def rules(self, record: DeploymentRecord) -> Rules:
        return self.moment.rules[record.driver]

    @cached_property
    def active(self) -> DeploymentRecord | None:
        """The deployment that services are pointed at. Files run ahead of the record: whoever was stopped between the
        two may have pointed them at one that was ready and never retired, so without better knowledge that one serves,
        also when its platform says something else of it just now, or nothing. One that was found beside a recorded one
        that is not there serves: the record is an older copy. Where a model came back to the file before what served it
        was gone, that serves again, whatever its spec: it is better than nothing.
        """
        recorded = next((record for record in self.records if record.active), None)
        offered = [record for record in self.records if was_offered(record)]
        there = next((record for record in reversed(offered) if may_serve(record)), None)
        if recorded is None:
            ready = (record for record in reversed(self.records) if record.phase is Phase.READY)
            left = next((record for record in ready if record.intent is Intent.CREATE), None)
            return there or next(reversed(offered), left if self.want is not None else None)
        return there if recorded.phase is Phase.ABSENT and there is not None and there.adopted else recorded

    def updatable(self, record: DeploymentRecord) -> bool:
        """Whether every changed key is one that the driver changes in place, or one that changes nothing there."""
        if self.want is None or record.driver != self.want.driver or record.phase in BEYOND_CHANGE:
            return False
        return not self.fixed(record)

    @cached_property
    def growing(self) -> DeploymentRecord | None:
        """The one that is changed in place to what the file asks for: the newest, also while it is to replace another
        one, which would otherwise be begun anew for a change that costs nothing."""
        newest = next((record for record in reversed(self.records) if record.intent is Intent.CREATE), None)
        fits = newest is not None and newest.phase is not Phase.UNKNOWN and self.updatable(newest)
        return newest if fits and self.same is None else None

    def fixed(self, record: DeploymentRecord) -> tuple[str, ...]:
        """The changed keys that its driver cannot change in place, and that mean something there."""
        if self.want is None:
            return ()
        rules, changes = self.rules(record), field_changes(record.deployment.spec, self.want.spec)
        keys = (change.key for change in changes)
        return tuple(key for key in keys if key not in rules.capabilities.updatable and not rules.inert(key))

    def recreates(self, record: DeploymentRecord) -> bool:
        """Whether it would go before its successor is made, because the file says so: on one platform, and where
        nothing speaks against making the successor now."""
        want = self.want
        if want is None or want.strategy != "recreate" or record.driver != want.driver:
            return False
        return want.driver not in self.moment.unlisted and not self.halted() and self.may_try()

    def makes_way(self, record: DeploymentRecord) -> bool:
        """Whether it does so now: it is not what the file asks for, nor can be made that, nor is or can another one."""
        another = self.same or self.growing
        return another is None and self.recreates(record) and not self.updatable(record)

    def settled_at(self, record: DeploymentRecord, since: datetime | None = None) -> datetime:
        sent = since or record.issued_at or record.created_at
        return sent + timedelta(seconds=self.rules(record).capabilities.settle_s)

    def startup_timeout_s(self, record: DeploymentRecord) -> float:
        written = written_s(record, _PATIENCE)
        usual = self.judged.options.get(_PATIENCE) if self.judged is not None else None
        if written is None and usual is not None and isinstance(usual.value, int):
            return usual.value
        return written if written is not None else self.rules(record).capabilities.startup_timeout_s

    def attempts(self) -> int:
        if self.want is None or not self.book.attempts:
            return 0  # as for most models: there is nothing to compare a digest with, and a digest is not free
        return self.book.attempts if self.book.attempts_digest == self.want.spec.digest else 0

    def halted(self) -> bool:
        return self.attempts() >= MAX_ATTEMPTS or (bool(self.book.halted) and self.attempts() > 0)

    def gave_up(self) -> str:
        why = f", the last one because {self.book.last_failure}" if self.book.last_failure else ""
        return f"gave up after {self.attempts()} attempts{why}; commit a change, or `reconcile resume {self.key}`"

    def may_try(self) -> bool:
        """Whether a new deployment may be made. Back-off belongs to a spec: a new commit may be tried at once."""
        return not self.attempts() or self.book.next_try_at is None or self.moment.now >= self.book.next_try_at

    def may_call(self, record: DeploymentRecord) -> bool:
        return record.next_call_at is None or self.moment.now >= record.next_call_at

    def removal_confirmed(self) -> bool:
        return self.moment.removals is Removals.CONFIRMED or self.book.removal_confirmed_at is not None

    # -- steps about it ------------------------------------------------------------------------------------------------

    def hold(self, record: DeploymentRecord | None, cause: str, until: datetime | None = None) -> Step:
        return self.step(Action.WAIT, record, cause, not_before=until)

    def step(
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


def may_serve(record: DeploymentRecord) -> bool:
    """Whether somebody may be pointed at it without the record saying so, and get an answer."""
    return was_offered(record) and record.phase in (Phase.READY, Phase.DEGRADED)


def field_changes(old: ModelSpec, new: ModelSpec) -> tuple[FieldChange, ...]:
    """What the user changed between two specs, by key."""
    before, after = old.fields(), new.fields()
    return tuple(
        FieldChange(key, before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    )
