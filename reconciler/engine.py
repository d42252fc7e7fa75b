"""One pass, top to bottom. Read this file first: it is the whole story, and each line of `run_once` is a chapter.

    read source → load → lease → recorded → observe → refresh → diff → guard → apply → render → write
    → restart what changed → when to look again

Nothing in a pass waits for readiness. The one-shot command runs passes until nothing is left to do, the service runs
one whenever something was marked. A dry run is the same pass stopped before apply.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from drivers.base import Observation
from reconciler.adoption import files_should_stay
from reconciler.apply import Applied, Applier, in_order
from reconciler.beginning import other_projects, take_lease, write_down_doubts
from reconciler.diff import diff
from reconciler.errors import InputError, Refused, SourceError
from reconciler.inventory import Inventory
from reconciler.lifetime import note_births
from reconciler.manner import Manner
from reconciler.moment import Moment
from reconciler.observe import observe_all
from reconciler.plan import Plan
from reconciler.policy import guard
from reconciler.ports import Outputs, Ports, Published
from reconciler.reading import Reading, Reads, api_key_vars
from reconciler.refresh import changes_between, note_wanted, refresh
from reconciler.result import MOVING_INTERVAL_S, PassResult, look_again_s
from reconciler.stamp import Stamp
from reconciler.switch import endpoints_of, switch, switch_changes
from reconciler.tenure import Tenure
from reconciler.usage import busy, may_go, restarts_due, still_named
from reconciler.write import NotWritten, Outranked
from state.record import (
    Append,
    Change,
    Event,
    ModelRecord,
    OutputRecord,
    PutOutput,
    PutSource,
    Recorded,
    SourceRecord,
)
from state.store import Fenced, Store


class Engine:
    """Reconciles one project. Not for two threads at once; the work queue sees to that."""

    def __init__(self, reader: Reads, store: Store, ports: Ports, manner: Manner) -> None:
        self._reader, self._store, self._ports, self._manner = reader, store, ports, manner
        self._good: Reading | None = None
        self._tenure: Tenure | None = None
        self._left_behind: tuple[str, ...] = ()
        self._inventory: Inventory | None = None
        self._went_back = False
        """Whether we saw that the record is an older copy, and could not write that down yet."""

    @property
    def tenure(self) -> Tenure | None:
        return self._tenure

    def run_once(self) -> PassResult:
        """One pass. Raises StateError (Held, Fenced, StateBusy …) when the record cannot be used right now, and Refused
        when the project is another checkout's."""
        if self._tenure is not None and not self._tenure.begin():
            self.close()  # what happened meanwhile, a new lease finds out
        began = self._ports.clock.monotonic()
        trouble, fresh = self._read()
        reading = self._good
        if reading is None:
            return PassResult(plan=None, known=None, trouble=trouble, look_again_s=MOVING_INTERVAL_S)
        outputs = self._ports.outputs(reading.project)
        tenure, inventory = self._hold_lease(reading, outputs, began)
        recorded = inventory.recorded(reading, outputs)
        known, seen = self._look(recorded, reading, fresh)
        known = restarts_due(still_named(known, outputs), outputs)
        self._remember(recorded, known, reading if fresh else None)
        plan = self.plan(reading, known)
        first, last = in_order(plan.steps)
        applier = self._applier(tenure, known, reading)
        applied = [applier.carry_out(step) for step in first]
        known = _with_applied(known, applied)
        made = {done.record.deployment.id for done in applied if done.record is not None}
        published, after, unwritten = self._publish(reading, plan, known, outputs, made)
        left = {id for id, record in after.deployments.items() if known.deployments[id].active and not record.active}
        switched_now, known = after.deployments != known.deployments, after
        forced = self._manner.forced
        applied += [
            applier.carry_out(step)
            for step in last
            if may_go(self._ports, step, known, outputs, unwritten=bool(unwritten), forced=forced, left=left)
        ]
        known = _with_applied(known, applied)
        return PassResult(
            plan=plan,
            known=known,
            trouble=trouble or unwritten,
            applied=tuple(applied),
            published=replace(published, cautions=(*published.cautions, *self._left_behind)),
            switched=switched_now,
            problems=reading.desired.problems,
            denied=next((each.detail for each in seen.values() if each.denied), ""),
            look_again_s=0.0 if switched_now else look_again_s(plan, applied, seen, known, self._ports.clock.now()),
        )

    def plan(self, reading: Reading, known: Recorded) -> Plan:
        """The guarded plan for what is desired and known. Changes nothing. Where somebody still uses what would be
        deleted, it is made once more with that in mind, for the same moment: later, more might be due to go, and nobody
        was asked about that."""
        now = self._ports.clock.now()
        plan = self._diff(reading, known, {}, now)
        reasons = busy(self._ports, reading.project, known, plan)
        if reasons:
            plan = self._diff(reading, known, reasons, now)
        policy, space = self._manner.policy, not self._store.short_of_space
        return guard(plan, reading.desired, known, policy, forced=self._manner.forced, space=space)

    def lose_lease(self) -> None:
        """The lease went to somebody else: nothing to give back."""
        self._went_back |= self._tenure is not None and self._tenure.went_back
        self._tenure = None

    def close(self) -> None:
        """Give the lease back."""
        if self._tenure is None:
            return
        if self._tenure.went_back:
            write_down_doubts(self._store, self._tenure.lease, self._ports.clock.now())
        self._tenure.release()
        self.lose_lease()

    # -- the chapters -------------------------------------------------------------------------------------------------

    def _read(self) -> tuple[str, bool]:
        """Take in the source. What cannot be read or understood changes nothing: the last good reading holds, also that
        of an earlier process."""
        try:
            self._good = self._reader.read()
        except (SourceError, InputError) as error:
            self._good = self._good or self._reader.recall()
            return str(error), False
        return "", True

    def _hold_lease(self, reading: Reading, outputs: Outputs, began: float) -> tuple[Tenure, Inventory]:
        if self._tenure is not None and self._tenure.lease.project != reading.project.name:
            self.close()
        if self._tenure is None:
            lost = self._went_back
            self._tenure = take_lease(self._store, self._ports, self._manner, reading, outputs, began, went_back=lost)
            self._went_back = False
            self._inventory = Inventory(self._store, self._ports, self._manner, self._tenure)
            self._left_behind = tuple(other_projects(self._store, reading))
        assert self._inventory is not None
        return self._tenure, self._inventory

    def _look(self, recorded: Recorded, reading: Reading, fresh: bool) -> tuple[Recorded, Mapping[str, Observation]]:
        now = self._ports.clock.now
        seen = observe_all(recorded.deployments.values(), self._ports.drivers, self._ports.pool)
        known = refresh(recorded, seen, now())
        if fresh:  # only a good reading is evidence that a model is gone
            known = note_wanted(known, {*reading.desired.models, *reading.desired.refused}, now())
        known = note_births(known, reading.desired.models)
        # Whatever is acted upon protects, also a reading that could not be repeated just now.
        return _protect(known, reading), seen

    def _remember(self, recorded: Recorded, known: Recorded, fresh: Reading | None) -> None:
        """Make the evidence durable before anything is decided on it."""
        now = self._ports.clock.now()
        changes: list[Change] = list(changes_between(recorded, known, now))
        changes += [PutOutput(each) for path, each in known.outputs.items() if recorded.outputs.get(path) != each]
        if fresh is not None and (recorded.source is None or recorded.source.revision != fresh.revision):
            changes.append(PutSource(_source_record(fresh, now)))
        if fresh is not None and (recorded.source is None or recorded.source.digest != fresh.desired.digest):
            changes.append(Append(Event(at=now, kind="source", text=fresh.describe, revision=fresh.revision)))
        self._commit(*changes)

    def _commit(self, *changes: Change) -> None:
        if changes and self._tenure is not None:
            self._tenure.commit(*changes)

    def _applier(self, tenure: Tenure, known: Recorded, reading: Reading) -> Applier:
        return Applier(
            tenure=tenure,
            known=known,
            desired=reading.desired.models,
            drivers=self._ports.drivers,
            inert=lambda driver, key: self._manner.rules[driver].inert(key),
            clock=self._ports.clock.now,
            random_bytes=self._ports.random_bytes,
            revision=reading.revision,
        )

    def _publish(
        self, reading: Reading, plan: Plan, known: Recorded, outputs: Outputs, made: Collection[str]
    ) -> tuple[Published, Recorded, str]:
        """Write where the models answer, then record who serves: a file may run ahead of the record, never behind.

        What could not be written switches nobody, and stops nothing else either: the text says why.
        """
        assert self._tenure is not None
        assert self._inventory is not None
        now = self._ports.clock.now()
        endpoints, unlisted = endpoints_of(plan, known), self._inventory.unlisted
        lacking = reading.desired.models.keys() - endpoints.keys()
        unknown = 0 if known.outputs else outputs.highest_epoch()  # else the record knows of every file there is
        stay = files_should_stay(known, unlisted, files_epoch=unknown, without_address=lacking)
        if stay and not self._manner.forced:
            return Published(), known, stay
        self._tenure.check()
        try:
            published = outputs.publish(
                reading.project,
                endpoints,
                api_key_vars(reading.desired),
                Stamp(self._store.lineage, reading.project.name, self._tenure.lease.epoch, self._tenure.serial),
                now=now,
                recorded=known.outputs,
            )
        except Outranked as error:
            raise Fenced(str(error)) from error
        except (NotWritten, Refused) as error:
            return Published(), known, str(error)
        files = {output.path: output for output in published.outputs}
        if self._manner.roll_out:
            files, failures = self._roll_out(reading, known.outputs, files, published.incomplete)
            published = replace(published, cautions=(*published.cautions, *failures))
        now = self._ports.clock.now()  # the bake time begins when services were pointed there, and that took its time
        after = switch(replace(known, outputs=files), plan.routes, now, made)
        self._commit(*switch_changes(known, after, now, reading.revision))
        return published, after, ""

    def _roll_out(
        self,
        reading: Reading,
        before: Mapping[str, OutputRecord],
        files: Mapping[str, OutputRecord],
        incomplete: Collection[str],
    ) -> tuple[dict[str, OutputRecord], tuple[str, ...]]:
        """Restart the services whose values changed, or that have none any more; a restart that failed stays due and is
        tried in the next pass. One whose models are not all ready keeps what it has: less would only make it worse."""
        gone = [output for path, output in before.items() if path not in files and output.service]
        changed = [output for output in files.values() if output.service and output.applied != output.checksum]
        due = [output for output in changed if output.service not in incomplete]
        services = reading.project.services
        names = sorted({output.service for output in (*gone, *due) if output.service in services})
        active = [name for name in names if services[name].active]
        if not active:
            return {**files, **{output.path: replace(output, applied=output.checksum) for output in due}}, ()
        begun = {output.path: replace(output, applied="") for output in (*gone, *due)}
        # Durable before it is done: if nobody lives to write down how it ended, it is due even for the old values.
        self._commit(*(PutOutput(output) for path, output in begun.items() if before.get(path) != output))
        failures = self._ports.services(reading.project).roll_out(reading.project, active)
        if failures:
            return {**files, **begun}, failures
        return {**files, **{output.path: replace(output, applied=output.checksum) for output in due}}, ()

    def _diff(self, reading: Reading, known: Recorded, reasons: Mapping[str, str], now: datetime) -> Plan:
        manner = self._manner
        unlisted = self._inventory.unlisted if self._inventory is not None else {}
        moment = Moment(now=now, rules=manner.rules, busy=reasons, removals=manner.removals, unlisted=unlisted)
        return diff(reading.desired, known, moment, reading.revision)


def _protect(known: Recorded, reading: Reading) -> Recorded:
    """Protection is taken from the file into the record, where it survives the file. Only a command takes it away."""
    books = {
        key: replace(known.models.get(key, ModelRecord(key=key)), protected=True)
        for key, model in reading.desired.models.items()
        if model.protected
    }
    return replace(known, models={**known.models, **books}) if books else known


def _source_record(reading: Reading, now: datetime) -> SourceRecord:
    return SourceRecord(
        revision=reading.revision,
        digest=reading.desired.digest,
        read_at=now,
        models=tuple(sorted(reading.desired.models)),
        origin=reading.origin,
    )


def _with_applied(known: Recorded, applied: Sequence[Applied]) -> Recorded:
    if not applied:
        return known
    deployments = dict(known.deployments)
    for done in applied:
        if done.record is not None:
            deployments[done.record.deployment.id] = done.record
        elif done.step.deployment is not None:
            deployments.pop(done.step.deployment, None)
    return replace(known, deployments=deployments)
