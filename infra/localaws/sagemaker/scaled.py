"""Autoscaling at work: a call that found no copy raises the alarm, and the alarm's policy asks for copies.

Load is not measured here: what target tracking would decide is said through the back door (`scale`). Scaling out from
nothing is wired as on AWS, since that is what a driver can get wrong: metric NoCapacityInvocationFailures → alarm with
the component's dimension → its action, a step policy's ARN → that policy's adjustment, within the target's bounds.
"""

from __future__ import annotations

from typing import Any

from infra.localaws.sagemaker import components, endpoints
from infra.localaws.sagemaker.hosting import Hosting
from infra.localaws.sagemaker.scaling import Policy
from infra.localaws.sagemaker.world import Component, Region, Status

METRIC = ("AWS/SageMaker", "NoCapacityInvocationFailures")


def no_capacity(hosting: Hosting, region: Region, component: Component) -> None:
    """A call found no copy: let the alarms that watch for it do what they say."""
    for alarm in _alarms(hosting, region, component):
        alarm.update_state("Threshold Crossed", "{}", "ALARM")
        for policy in tuple(hosting.scaling.policies(region.name).values()):
            if alarm.actions_enabled and policy.arn in alarm.alarm_actions:
                _carry_out(hosting, region, component, policy)


def _alarms(hosting: Hosting, region: Region, component: Component) -> list[Any]:
    """moto's alarms on the metric with this component as their dimension."""
    found = []
    for name, backend in hosting.around.moto.backends("cloudwatch"):
        for alarm in backend.alarms.values() if name == region.name else ():
            dimensions = {one.name: one.value for one in alarm.dimensions}
            is_it = dimensions == {"InferenceComponentName": component.name}
            if (alarm.namespace, alarm.metric_name) == METRIC and is_it:
                found.append(alarm)
    return found


def _carry_out(hosting: Hosting, region: Region, component: Component, policy: Policy) -> None:
    step = policy.said.get("StepScalingPolicyConfiguration")
    is_ours = policy.resource == f"inference-component/{component.name}"
    if step is None or not is_ours or component.status is not Status.IN_SERVICE:
        return
    adjustment = sum(one["ScalingAdjustment"] for one in step.get("StepAdjustments", ())[:1])
    exact = step.get("AdjustmentType") == "ExactCapacity"
    scale(hosting, region.name, policy.resource, adjustment if exact else component.desired + adjustment)


def scale(hosting: Hosting, region: str, resource: str, count: int) -> int:
    """What autoscaling decided: so many instances or copies, kept within the target's bounds; how many those are.
    Raises ValueError where there is no such target, or it is busy."""
    target = hosting.scaling.targets(region).get(resource)
    if target is None:
        raise ValueError(f"{resource} is no scalable target in {region}")
    count = min(max(count, target.least), target.most)
    kind, name, *rest = resource.split("/")
    if kind == "endpoint":
        _scale_variant(hosting, hosting.region(region), name, rest[1], count)
    else:
        _scale_component(hosting, hosting.region(region), name, count)
    return count


def _scale_variant(hosting: Hosting, region: Region, name: str, variant: str, count: int) -> None:
    endpoint = region.endpoints.get(name)
    if endpoint is None or endpoint.status is not Status.IN_SERVICE:
        raise ValueError(f"endpoint {name} is not in service")
    endpoints.change_counts(hosting, endpoint, {variant: (count, None)})


def _scale_component(hosting: Hosting, region: Region, name: str, count: int) -> None:
    component = region.components.get(name)
    if component is None or component.status is not Status.IN_SERVICE:
        raise ValueError(f"inference component {name} is not in service")
    components.set_copies(hosting, component, count)
