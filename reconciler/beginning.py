"""The beginning of a lease: whose project it is, whose files, and who is fenced off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from reconciler.adoption import doubted, is_behind
from reconciler.errors import Refused
from reconciler.intents import tried_anew
from reconciler.manner import Manner
from reconciler.ports import Outputs, Ports
from reconciler.reading import Reading
from reconciler.stamp import Stamp
from reconciler.tenure import Tenure
from state.record import Change, PutDeployment, PutModel, Recorded
from state.store import Fenced, Lease, StateError, Store


def take_lease(
    store: Store,
    ports: Ports,
    manner: Manner,
    reading: Reading,
    outputs: Outputs,
    began: float,
    *,
    went_back: bool = False,
) -> Tenure:
    """The lease of the reading's project, with everything seen to that comes first under a new one. `began`: when the
    pass began, by the monotonic clock. `went_back`: we saw that the record is an older copy.

    Raises Refused where the project or its files are somebody else's, and StateError; the lease is not kept then.
    """
    project = reading.project.name
    recorded = store.load(project)
    _refuse_another_origin(recorded, reading, manner)
    if (reading.desired.judged or recorded.deployments) and not manner.forced:
        outputs.check(lineage=store.lineage, project=project)
    floor = outputs.highest_epoch()
    clock, ttl_s = ports.clock.monotonic, manner.lease_ttl_s
    # An older copy of the record would hand out an epoch once more, and whoever had it then would pass for us. By the
    # time of day it is one that nobody had.
    unused = max(floor, int(ports.clock.now().timestamp()))
    tenure = Tenure(store, project, manner.holder, clock, ttl_s=ttl_s, floor=unused, began=began)
    try:
        recorded = tenure.load()
        # Only now: before the lease was ours, the files and the record may each have moved on.
        serial = outputs.highest_serial(lineage=store.lineage, project=project)
        behind = went_back or is_behind(recorded, tenure.lease, files_epoch=floor, files_serial=serial)
        if behind and (recorded.deployments or recorded.outputs):
            # The fence comes first, as always, and leaves the proof there: a serial that the record has not reached.
            proof = max(serial, recorded.serial + 1)
            try:
                outputs.claim(Stamp(store.lineage, project, tenure.lease.epoch, proof))
            except Exception:
                # Our lease made the record look newer than the files: nobody after us could tell any more.
                with suppress(StateError):
                    tenure.commit(*doubted(recorded, ports.clock.now()))
                raise
            tenure.commit(*doubted(recorded, ports.clock.now()))
        _begin(tenure, store, manner, outputs)
    except BaseException:
        tenure.release()
        raise
    return tenure


def write_down_doubts(store: Store, lease: Lease, now: datetime) -> None:
    """Whoever saw under its lease that the record is an older copy says so in it before somebody else takes over, who
    could not tell. Where the copy has another holder, that cannot be done any more."""
    with suppress(Fenced):
        store.commit(lease, tuple(doubted(store.load(lease.project), now)))


def other_projects(store: Store, reading: Reading) -> Iterator[str]:
    """A project that was renamed leaves its models running under the old name; somebody should know."""
    for name in store.projects():
        other = store.load(name) if name != reading.project.name else None
        if other is not None and other.source is not None and other.source.origin == reading.origin:
            count = len({record.deployment.model for record in other.deployments.values()})
            if count:
                yield (
                    f"{count} model{'' if count == 1 else 's'} of this checkout still run under its former name "
                    f"'{name}': `reconcile destroy -p {name}` ends them"
                )


def _begin(tenure: Tenure, store: Store, manner: Manner, outputs: Outputs) -> None:
    """Fence off whoever held it before, and forget back-off where a person asks. What the record lost is taken over by
    the first pass; that it lost something was durable before our own stamp hides it."""
    recorded = tenure.load()
    outputs.claim(Stamp(store.lineage, recorded.project, tenure.lease.epoch, tenure.serial))
    changes: list[Change] = []
    if manner.anew:
        changes += [PutModel(tried_anew(book)) for book in recorded.models.values() if book.attempts or book.halted]
        waiting = (record for record in recorded.deployments.values() if record.next_call_at is not None)
        changes += [PutDeployment(replace(record, next_call_at=None)) for record in waiting]
    if changes:
        tenure.commit(*changes)


def _refuse_another_origin(recorded: Recorded, reading: Reading, manner: Manner) -> None:
    """Two checkouts with one project name would take turns deleting each other's models."""
    origin = recorded.source.origin if recorded.source is not None else ""
    if origin not in ("", reading.origin) and not manner.forced:
        raise Refused(
            f"project '{recorded.project}' was reconciled from {origin} before, not from {reading.origin}: give "
            "one of them another name, or take the project over with one run of `reconcile --force`"
        )
