"""Deployment guardrails: a new fleet that serves is watched for a while, and an alarm gives the traffic back.

Developer guide, "Auto-Rollback Configuration and Monitoring": the baking period begins when the new fleet gets the
traffic; metrics of one fleet have its configuration as a dimension. How long it lasts is a latency of the cloud, as
everything is; a policy without any wait has none. The words about a roll-back are not AWS's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.localaws.sagemaker.hosting import Hosting
from infra.localaws.sagemaker.world import Change, Endpoint, Region, Variant

METRIC = ("AWS/SageMaker", "Invocation5XXErrors")


def bake_s(hosting: Hosting, change: Change) -> float:
    """For how long the new fleet is watched."""
    said = change.deployment or {}
    return hosting.around.latencies.bake_s if _named(change) and any(_waits(said)) else 0.0


def tripped(hosting: Hosting, region: Region, change: Change) -> str | None:
    """The alarm that is to roll an update back and that is on."""
    names = _named(change)
    on = (alarm for alarm in _alarms(hosting, region) if alarm.name in names and alarm.state_value == "ALARM")
    return next((str(alarm.name) for alarm in on), None)


def serving(endpoint: Endpoint) -> tuple[str, list[Variant]]:
    """Who gets the traffic: while a new fleet is watched, that; its configuration and variants."""
    change = endpoint.change
    if change is not None and change.bakes:
        return change.config, list(change.variants or ())
    return endpoint.config, endpoint.variants


def note_failure(hosting: Hosting, region: Region, endpoint: Endpoint) -> None:
    """A container answered with a status above 499: alarms on exactly that metric go off."""
    config, variants = serving(endpoint)
    told = [{"EndpointName": endpoint.name, "VariantName": variant.name} for variant in variants]
    told += [one | {"EndpointConfigName": config} for one in told]
    for alarm in _alarms(hosting, region):
        if (alarm.namespace, alarm.metric_name) == METRIC and {d.name: d.value for d in alarm.dimensions} in told:
            alarm.update_state("Threshold Crossed", "{}", "ALARM")


def _named(change: Change) -> frozenset[str]:
    said = (change.deployment or {}).get("AutoRollbackConfiguration", {}).get("Alarms", ())
    return frozenset(one["AlarmName"] for one in said)


def _waits(said: Mapping[str, Any]) -> Iterator[int]:
    blue_green = said.get("BlueGreenUpdatePolicy", {})
    yield blue_green.get("TerminationWaitInSeconds", 0)
    yield blue_green.get("TrafficRoutingConfiguration", {}).get("WaitIntervalInSeconds", 0)
    yield said.get("RollingUpdatePolicy", {}).get("WaitIntervalInSeconds", 0)


def _alarms(hosting: Hosting, region: Region) -> Iterator[Any]:
    """moto's."""
    for name, backend in hosting.around.moto.backends("cloudwatch"):
        if name == region.name:
            yield from tuple(backend.alarms.values())
