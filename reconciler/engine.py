"""One pass, top to bottom. Read this file first: it is the whole story, and each line of `run_once` is a chapter.

    read source → load → lease → recorded → observe → refresh → diff → guard → apply → render → write
    → restart what changed → when to look again

Nothing in a pass waits for readiness. The one-shot command runs passes until nothing is left to do, the service runs
one whenever something was marked. A dry run is the same pass stopped before apply.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from drivers.base import Endpoint, Observation, Phase
from reconciler.apply import Applied, Applier, in_order
from reconciler.compose.project import Project
from reconciler.diff import diff
from reconciler.errors import InputError, SourceError
from reconciler.intents import switched
from reconciler.moment import Moment, Removals, Rules
from reconciler.observe import observe_all
from reconciler.plan import Action, Plan, Step
from reconciler.policy import Policy, guard
from reconciler.ports import Outputs, Ports, Published
from reconciler.reading import Reading, Reads, api_key_vars
from reconciler.refresh import changes_between, note_wanted, refresh
from reconciler.tenure import Tenure
from state.record import (
    Append,
    Change,
    DeploymentRecord,
    DropOutput,
    Event,
    Intent,
    ModelRecord,
    OutputRecord,
    PutDeployment,
    PutOutput,
    PutSource,
    Recorded,
    SourceRecord,
)
from state.store import Store

log = logging.getLogger(__name__)

HEALTH_INTERVAL_S = 10.0
"""How often a READY deployment is looked at when nothing else happens."""
MOVING_INTERVAL_S = 1.0
"""How often one that is on its way is looked at, unless its driver says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How this engine goes about it; the operator's choice, the same for all passes."""

    rules: Mapping[str, Rules]
    policy: Policy = field(default_factory=Policy)
    holder: str = "reconciler"
    lease_ttl_s: float = 60.0
    roll_out: bool = False
    removals: Removals = Removals.RIPEN
    forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """What one pass came to."""

    plan: Plan | None
    known: Recorded | None
    trouble: str = ""
    """Why the source gave no (new) answer; what was desired before still holds."""
    applied: tuple[Applied, ...] = ()
    published: Published = field(default_factory=Published)
    switched: bool = False
    """Services were pointed elsewhere; what served before is dealt with in a later pass."""
    problems: tuple[InputError, ...] = ()
    look_again_s: float = HEALTH_INTERVAL_S

    @property
    def pending(self) -> bool:
        """Something was done just now, is on its way, or will change by time alone."""
        if self.plan is None or self.known is None or self.applied or self.switched:
            return True
        moving = any(
            record.phase in (Phase.CREATING, Phase.DELETING, Phase.UNKNOWN)
            for record in self.known.deployments.values()
        )
        return moving or any(step.not_before is not None for step in self.plan.steps)


class Engine:
    """Reconciles one project. Not for two threads at once; the work queue sees to that."""

    def __init__(self, reader: Reads, store: Store, ports: Ports, manner: Manner) -> None:
        self._reader, self._store, self._ports, self._manner = reader, store, ports, manner
        self._good: Reading | None = None
        self._tenure: Tenure | None = None

    @property
    def good(self) -> Reading | None:
        """The last reading of the source that made sense."""
        return self._good

    @property
    def tenure(self) -> Tenure | None:
        return self._tenure

    def run_once(self) -> PassResult:
        """One pass. Raises StateError (Held, Fenced, StateBusy …) when the record cannot be used right now."""
        trouble, fresh = self._read()
        reading = self._good
        if reading is None:
            return PassResult(plan=None, known=None, trouble=trouble, look_again_s=MOVING_INTERVAL_S)
        outputs = self._ports.outputs(reading.project)
        tenure = self._hold_lease(reading.project.name, outputs)
        recorded = self._store.load(reading.project.name)
        known, seen = self._look(recorded, reading, fresh)
        self._remember(recorded, known, reading if fresh else None)
        plan = self.plan(reading, known)
        first, last = in_order(plan.steps)
        applier = self._applier(tenure, known, reading)
        applied = [applier.carry_out(step) for step in first]
        known = _with_applied(known, applied)
        published, after = self._publish(reading, plan, known, outputs)
        switched_now, known = after.deployments != known.deployments, after
        applied += [applier.carry_out(step) for step in last if _may_go(step, known, outputs)]
        known = _with_applied(known, applied)
        return PassResult(
            plan=plan,
            known=known,
            trouble=trouble,
            applied=tuple(applied),
            published=published,
            switched=switched_now,
            problems=reading.desired.problems,
            look_again_s=0.0 if switched_now else _look_again_s(plan, applied, seen, known, self._ports.clock.now()),
        )

    def plan(self, reading: Reading, known: Recorded) -> Plan:
        """The guarded plan for what is desired and known. Changes nothing.

        Whether somebody still uses a deployment costs a question to the Docker engine, so it is asked only for those
        that would be deleted, and then the plan is made once more with the answer.
        """
        plan = self._diff(reading, known, {})
        busy = self._busy(reading.project, known, plan)
        if busy:
            plan = self._diff(reading, known, busy)
        return guard(plan, reading.desired, known, self._manner.policy, forced=self._manner.forced)

    def lose_lease(self) -> None:
        """The lease went to somebody else: nothing to give back."""
        self._tenure = None

    def close(self) -> None:
        """Give the lease back."""
        if self._tenure is not None:
            self._tenure.release()
            self._tenure = None

    # -- the chapters -------------------------------------------------------------------------------------------------

    def _read(self) -> tuple[str, bool]:
        """Take in the source. What cannot be read or understood changes nothing: the last good reading holds."""
        try:
            self._good = self._reader.read()
        except (SourceError, InputError) as error:
            return str(error), False
        return "", True

    def _hold_lease(self, project: str, outputs: Outputs) -> Tenure:
        if self._tenure is not None and self._tenure.lease.project != project:
            self.close()
        if self._tenure is None:
            self._tenure = Tenure(
                self._store,
                project,
                self._manner.holder,
                self._ports.clock.monotonic,
                ttl_s=self._manner.lease_ttl_s,
                floor=outputs.highest_epoch(),
            )
            lease = self._tenure.lease
            serial = self._store.load(project).serial
            outputs.claim(lineage=self._store.lineage, project=project, epoch=lease.epoch, serial=serial)
        return self._tenure

    def _look(self, recorded: Recorded, reading: Reading, fresh: bool) -> tuple[Recorded, Mapping[str, Observation]]:
        now = self._ports.clock.now
        seen = observe_all(recorded.deployments.values(), self._ports.drivers, self._ports.pool)
        known = refresh(recorded, seen, now())
        if fresh:  # only a good reading is evidence that a model is gone
            known = note_wanted(known, {*reading.desired.models, *reading.desired.refused}, now())
            known = _protect(known, reading)
        return known, seen

    def _remember(self, recorded: Recorded, known: Recorded, fresh: Reading | None) -> None:
        """Make the evidence durable before anything is decided on it."""
        now = self._ports.clock.now()
        changes: list[Change] = list(changes_between(recorded, known, now))
        if fresh is not None and (recorded.source is None or recorded.source.digest != fresh.desired.digest):
            changes.append(PutSource(_source_record(fresh, now)))
            changes.append(Append(Event(at=now, kind="source", text=fresh.describe, revision=fresh.revision)))
        if changes and self._tenure is not None:
            self._store.commit(self._tenure.lease, changes)

    def _applier(self, tenure: Tenure, known: Recorded, reading: Reading) -> Applier:
        return Applier(
            store=self._store,
            tenure=tenure,
            known=known,
            desired=reading.desired.models,
            drivers=self._ports.drivers,
            inert=lambda driver, key: self._manner.rules[driver].inert(key),
            clock=self._ports.clock.now,
            random_bytes=self._ports.random_bytes,
            revision=reading.revision,
        )

    def _publish(self, reading: Reading, plan: Plan, known: Recorded, outputs: Outputs) -> tuple[Published, Recorded]:
        """Write where the models answer, then record who serves: a file may run ahead of the record, never behind."""
        assert self._tenure is not None
        now = self._ports.clock.now()
        endpoints = _endpoints(plan, known)
        self._tenure.check()
        published = outputs.publish(
            reading.project,
            endpoints,
            api_key_vars(reading.desired),
            lineage=self._store.lineage,
            epoch=self._tenure.lease.epoch,
            serial=known.serial,
            now=now,
            recorded=known.outputs,
        )
        files = {output.path: output for output in published.outputs}
        if self._manner.roll_out:
            files = self._roll_out(reading, files)
        after = _switch(replace(known, outputs=files), plan.routes, now)
        self._commit_switch(known, after, now, reading.revision)
        return published, after

    def _roll_out(self, reading: Reading, files: Mapping[str, OutputRecord]) -> dict[str, OutputRecord]:
        """Restart the services whose values changed; a restart that failed stays due and is tried in the next pass."""
        due = [output for output in files.values() if output.service and output.applied != output.checksum]
        services = reading.project.services
        names = sorted({output.service for output in due if output.service in services})
        active = [name for name in names if services[name].active]
        failures = self._ports.services(reading.project).roll_out(reading.project, active) if active else ()
        for failure in failures:
            log.warning("%s", failure)
        done = {} if failures else {output.path: replace(output, applied=output.checksum) for output in due}
        return {**files, **done}

    def _commit_switch(self, before: Recorded, after: Recorded, now: datetime, revision: str) -> None:
        changes: list[Change] = [
            PutOutput(output) for path, output in after.outputs.items() if before.outputs.get(path) != output
        ]
        changes += [DropOutput(path) for path in before.outputs.keys() - after.outputs.keys()]
        for id, record in after.deployments.items():
            if record != before.deployments[id]:
                changes.append(PutDeployment(record))
                if record.active:
                    changes.append(Append(_switched_event(record, now, revision)))
        if changes and self._tenure is not None:
            self._store.commit(self._tenure.lease, changes)

    def _diff(self, reading: Reading, known: Recorded, busy: Mapping[str, str]) -> Plan:
        now, manner = self._ports.clock.now(), self._manner
        moment = Moment(now=now, rules=manner.rules, busy=busy, removals=manner.removals)
        return diff(reading.desired, known, moment, reading.revision)

    def _busy(self, project: Project, known: Recorded, plan: Plan) -> Mapping[str, str]:
        """Why some of the deployments that the plan would delete must not go yet, by id."""
        going = [
            known.deployments[step.deployment]
            for step in plan.steps
            if step.action is Action.DELETE and step.deployment is not None
        ]
        suspects = {
            record.deployment.id: record.endpoint
            for record in going
            if record.endpoint is not None and record.intent is Intent.CREATE and not _is_inherited(record, known)
        }
        if not suspects:
            return {}
        reasons = dict(self._ports.services(project).users(known.project, suspects))
        for record in going:
            if record.deployment.id in suspects and self._is_answering(record):
                reasons.setdefault(record.deployment.id, "it is still answering a request")
        return reasons

    def _is_answering(self, record: DeploymentRecord) -> bool:
        """Whether a request is in flight, as far as the platform tells."""
        return bool(self._ports.drivers(record.driver).in_flight(record.deployment))


def _may_go(step: Step, known: Recorded, outputs: Outputs) -> bool:
    """The last look before a delete: no file on disk may point there."""
    if step.action is not Action.DELETE or step.deployment is None:
        return True
    record = known.deployments[step.deployment]
    return record.endpoint is None or _is_inherited(record, known) or not outputs.mentions(record.endpoint)


def _is_inherited(record: DeploymentRecord, known: Recorded) -> bool:
    """Whether a deployment that serves now answers at the very address: then nobody who has it means the old one."""
    serving = (other.endpoint for id, other in known.deployments.items() if id != record.deployment.id and other.active)
    urls = {endpoint.url for endpoint in serving if endpoint is not None}
    return record.endpoint is not None and record.endpoint.url in urls


def _protect(known: Recorded, reading: Reading) -> Recorded:
    """Protection is taken from the file into the record, where it survives the file. Only a command takes it away."""
    models = dict(known.models)
    for key, model in reading.desired.models.items():
        book = models.get(key, ModelRecord(key=key))
        if model.protected and not book.protected:
            models[key] = replace(book, protected=True)
    return replace(known, models=models)


def _source_record(reading: Reading, now: datetime) -> SourceRecord:
    return SourceRecord(
        revision=reading.revision,
        digest=reading.desired.digest,
        read_at=now,
        models=tuple(sorted(reading.desired.models)),
        origin=reading.origin,
    )


def _with_applied(known: Recorded, applied: Sequence[Applied]) -> Recorded:
    deployments = dict(known.deployments)
    for done in applied:
        if done.record is not None:
            deployments[done.record.deployment.id] = done.record
        elif done.step.deployment is not None:
            deployments.pop(done.step.deployment, None)
    return replace(known, deployments=deployments)


def _endpoints(plan: Plan, known: Recorded) -> dict[str, Endpoint]:
    found = {}
    for model, id in plan.routes.items():
        record = known.deployments.get(id)
        if record is not None and record.endpoint is not None:
            found[model] = record.endpoint
    return found


def _switch(known: Recorded, routes: Mapping[str, str], now: datetime) -> Recorded:
    serving = set(routes.values())
    return replace(
        known,
        deployments={id: switched(record, serves=id in serving, now=now) for id, record in known.deployments.items()},
    )


def _switched_event(record: DeploymentRecord, now: datetime, revision: str) -> Event:
    return Event(
        at=now,
        kind="switched",
        model=record.deployment.model,
        deployment=record.deployment.id,
        text=record.endpoint.url if record.endpoint else "",
        revision=revision,
    )


def _look_again_s(
    plan: Plan, applied: Sequence[Applied], seen: Mapping[str, Observation], known: Recorded, now: datetime
) -> float:
    """Seconds until something may have changed by itself."""
    waits = [HEALTH_INTERVAL_S]
    waits += [done.look_again_s if done.look_again_s is not None else MOVING_INTERVAL_S for done in applied]
    waits += [max((step.not_before - now).total_seconds(), 0.0) for step in plan.steps if step.not_before is not None]
    for id, record in known.deployments.items():
        hint = seen[id].look_again_s if id in seen else None
        if hint is not None:
            waits.append(hint)
        elif record.phase in (Phase.CREATING, Phase.DELETING, Phase.UNKNOWN, Phase.DEGRADED):
            waits.append(MOVING_INTERVAL_S)
    return min(waits)
