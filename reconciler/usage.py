"""Who still uses a deployment that is about to go: files on disk, running services, requests in flight."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from drivers.base import Phase
from reconciler.compose.project import Project
from reconciler.plan import Action, Plan, Step
from reconciler.ports import Outputs, Ports
from state.record import DeploymentRecord, Intent, Recorded


def busy(ports: Ports, project: Project, known: Recorded, plan: Plan) -> Mapping[str, str]:
    """Why some of the deployments that the plan would delete must not go yet, by id.

    That costs a question to the Docker engine, so it is asked for those alone.
    """
    suspects = {
        record.deployment.id: record
        for record in (known.deployments[step.deployment] for step in plan.steps if _deletes(step) and step.deployment)
        if record.endpoint is not None and record.intent is Intent.CREATE and not _is_inherited(record, known)
    }
    if not suspects:
        return {}
    endpoints = {id: record.endpoint for id, record in suspects.items() if record.endpoint is not None}
    reasons = dict(ports.services(project).users(known.project, endpoints))
    for id, record in suspects.items():
        if ports.drivers(record.driver).in_flight(record.deployment):
            reasons.setdefault(id, "it is still answering a request")
    return reasons


def still_named(known: Recorded, outputs: Outputs) -> Recorded:
    """What a file names was not replaced yet, whatever the record says: somebody pointed services there and was stopped
    before writing it down. It counts as serving until no file names it, and has its bake time from then on. That goes
    for a deletion as well that an older copy of the record has resolved, and that was never carried out."""
    named = {
        id: replace(record, retired_at=None, intent=Intent.CREATE, adopted=record.adopted or _is_revoked(record))
        for id, record in known.deployments.items()
        if record.endpoint is not None and not _is_inherited(record, known)
        if _is_revoked(record) or (record.intent is Intent.CREATE and record.retired_at is not None)
        if outputs.mentions(record.endpoint)
    }
    return replace(known, deployments={**known.deployments, **named}) if named else known


def _is_revoked(record: DeploymentRecord) -> bool:
    """Whether its deletion may have been resolved in another past than the one that happened."""
    return record.intent is Intent.DELETE and record.doubted_at is not None and record.phase is Phase.READY


def restarts_due(known: Recorded, outputs: Outputs) -> Recorded:
    """Whoever was started with values that the record does not know of is to be restarted. Where a file says something
    else than is recorded, the record may be an older copy, and services were given what the file says: that they run
    with the recorded values is believed no longer, and that is to be durable before the file is written again."""
    due = {
        path: replace(output, applied="")
        for path, output in known.outputs.items()
        if output.applied and not outputs.says(output)
    }
    return replace(known, outputs={**known.outputs, **due}) if due else known


def may_go(
    ports: Ports,
    step: Step,
    known: Recorded,
    outputs: Outputs,
    *,
    unwritten: bool = False,
    forced: bool = False,
    left: Collection[str] = (),
) -> bool:
    """The last look before a delete: no file on disk may point there, and nobody may be waiting for its answer. The
    containers were asked when the plan was made. `unwritten`: the files could not be brought up to date, so what
    services were pointed at stays. A person who insists (`forced`) is not held up by files. What services `left` in
    this very pass is not insisted on yet: also where we come late, whoever uses it gets the time to go."""
    if not _deletes(step) or step.deployment is None:
        return True
    record = known.deployments[step.deployment]
    if step.insists:
        return step.deployment not in left
    if record.endpoint is None or record.intent is Intent.DELETE:
        return True
    if ports.drivers(record.driver).in_flight(record.deployment):
        return False
    if forced:
        return True
    return not (unwritten and record.active) and (_is_inherited(record, known) or not outputs.mentions(record.endpoint))


def _deletes(step: Step) -> bool:
    return step.action is Action.DELETE


def _is_inherited(record: DeploymentRecord, known: Recorded) -> bool:
    """Whether a deployment that serves now answers at the very address: then nobody who has it means the old one."""
    serving = (other.endpoint for id, other in known.deployments.items() if id != record.deployment.id and other.active)
    urls = {endpoint.url for endpoint in serving if endpoint is not None}
    return record.endpoint is not None and record.endpoint.url in urls
