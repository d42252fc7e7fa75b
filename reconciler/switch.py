"""Pointing services at deployments: which endpoints they get, and what the record says of it afterwards. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from drivers.base import Endpoint
from reconciler.intents import switched
from reconciler.plan import Plan
from state.record import (
    Append,
    Change,
    DeploymentRecord,
    DropOutput,
    Event,
    PutDeployment,
    PutOutput,
    Recorded,
)


def endpoints_of(plan: Plan, known: Recorded) -> dict[str, Endpoint]:
    """Where each model that has a route answers, by model key."""
    found = {}
    for model, id in plan.routes.items():
        record = known.deployments.get(id)
        if record is not None and record.endpoint is not None:
            found[model] = record.endpoint
    return found


def switch(known: Recorded, routes: Mapping[str, str], now: datetime, made: Collection[str] = ()) -> Recorded:
    """The record after services were pointed at the deployments of `routes`, by model key. What was `made` after the
    plan is as it is: on some platforms it is ready at once, and the next plan is the first that can point there."""
    serving, later = set(routes.values()), set(made) - set(routes.values())
    return replace(
        known,
        deployments={
            id: record if id in later and not record.active else switched(record, serves=id in serving, now=now)
            for id, record in known.deployments.items()
        },
    )


def switch_changes(before: Recorded, after: Recorded, now: datetime, revision: str) -> Iterator[Change]:
    """What must be committed for that, files included."""
    for path, output in after.outputs.items():
        if before.outputs.get(path) != output:
            yield PutOutput(output)
    for path in before.outputs.keys() - after.outputs.keys():
        yield DropOutput(path)
    for id, record in after.deployments.items():
        if record != before.deployments[id]:
            yield PutDeployment(record)
            if record.active:
                yield Append(_switched_event(record, now, revision))


def _switched_event(record: DeploymentRecord, now: datetime, revision: str) -> Event:
    return Event(
        at=now,
        kind="switched",
        model=record.deployment.model,
        deployment=record.deployment.id,
        text=record.endpoint.url if record.endpoint else "",
        revision=revision,
    )
