"""What a list of changes leaves behind. Pure; shared by all stores, so that they cannot disagree about order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from state.record import (
    Append,
    Change,
    DeploymentRecord,
    DropDeployment,
    DropModel,
    DropOutput,
    Event,
    ModelRecord,
    OutputRecord,
    PutDeployment,
    PutModel,
    PutOutput,
    PutSource,
    SourceRecord,
)


@dataclass(slots=True)
class Net:
    """The last word on each key; None means dropped. Events keep their order."""

    deployments: dict[str, DeploymentRecord | None] = field(default_factory=dict)
    models: dict[str, ModelRecord | None] = field(default_factory=dict)
    outputs: dict[str, OutputRecord | None] = field(default_factory=dict)
    source: SourceRecord | None = None
    events: list[Event] = field(default_factory=list)


def net_of(changes: Sequence[Change], *, project: str, lineage: str) -> Net:
    """Reduce changes to their outcome. Raises ValueError for a deployment of another project or lineage."""
    net = Net()
    for change in changes:
        _take(net, change)
    for record in net.deployments.values():
        if record is not None:
            _check_owner(record, project, lineage)
    return net


def _take(net: Net, change: Change) -> None:
    match change:
        case PutDeployment(record):
            net.deployments[record.deployment.id] = record
        case DropDeployment(id):
            net.deployments[id] = None
        case PutModel(model):
            net.models[model.key] = model
        case DropModel(key):
            net.models[key] = None
        case PutSource(source):
            net.source = source
        case PutOutput(output):
            net.outputs[output.path] = output
        case DropOutput(path):
            net.outputs[path] = None
        case Append(event):
            net.events.append(event)


def _check_owner(record: DeploymentRecord, project: str, lineage: str) -> None:
    deployment = record.deployment
    if deployment.project != project:
        raise ValueError(f"deployment {deployment.id} belongs to project {deployment.project!r}, not {project!r}")
    if deployment.lineage != lineage:
        raise ValueError(f"deployment {deployment.id} carries lineage {deployment.lineage}, this state is {lineage}")


def check_unique(records: Iterable[DeploymentRecord]) -> None:
    """Raise ValueError when two records of one project are active for one model, or any two share an external name."""
    active: set[tuple[str, str]] = set()
    names: set[str] = set()
    for deployment, is_active in ((record.deployment, record.active) for record in records):
        served = (deployment.project, deployment.model)
        if is_active and served in active:
            raise ValueError(f"model {deployment.model!r} has two active deployments, {deployment.id} is one of them")
        if deployment.name in names:
            raise ValueError(f"two deployments share the external name {deployment.name!r}")
        names.add(deployment.name)
        if is_active:
            active.add(served)
