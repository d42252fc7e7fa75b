"""Inference components: a model on a share of a variant's instances, in so many copies, none included.

Where the reference is silent (what can be done while something is under way, how many copies an instance takes) this
file is the stricter reading: nothing while something is under way, one copy to an instance.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from infra.localaws.calls import Call
from infra.localaws.containers import Container
from infra.localaws.errors import Invalid
from infra.localaws.sagemaker import views
from infra.localaws.sagemaker.hosting import Hosting, Operate, container_in, container_said, tags_of
from infra.localaws.sagemaker.world import Component, Region, Status
from infra.localaws.validation import check

BUSY = (Status.CREATING, Status.UPDATING, Status.DELETING)


def create(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    check(call)
    region, said = hosting.of(call), call.parameters
    name, arn = said["InferenceComponentName"], region.arn(region.components, said["InferenceComponentName"])
    endpoint = region.find(region.endpoints, said["EndpointName"])
    if endpoint.status is not Status.IN_SERVICE:
        raise Invalid(f'Endpoint "{endpoint.arn}" is {endpoint.status.value}; it must be InService.')
    variant = said.get("VariantName") or endpoint.variants[0].name
    found = next((one for one in endpoint.variants if one.name == variant), None)
    if found is None or "ModelName" in found.said:
        raise Invalid(f'Variant {variant} of endpoint "{endpoint.arn}" takes no inference components.')
    if "RuntimeConfig" not in said:
        raise Invalid("RuntimeConfig must be given.")
    running = _specification(region, said)
    now = hosting.now()
    component = Component(name, arn, now, said, endpoint.name, variant, modified=now, running=running)
    component.desired = said["RuntimeConfig"]["CopyCount"]
    component.due = now + timedelta(seconds=hosting.around.latencies.create_s)
    region.components.add(component)
    region.tags[arn] = tags_of(said)
    return {"InferenceComponentArn": arn}


def _specification(region: Region, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a call says is to run. Raises Invalid for a model that is not there."""
    specification: Mapping[str, Any] = said.get("Specification") or next(iter(said.get("Specifications", ())), {})
    if not any(key in specification for key in ("ModelName", "Container", "BaseInferenceComponentName")):
        raise Invalid("Specification must have a ModelName, a Container or a BaseInferenceComponentName.")
    if "ModelName" in specification:
        region.find(region.models, specification["ModelName"])
    if "ComputeResourceRequirements" not in specification and "BaseInferenceComponentName" not in specification:
        raise Invalid("ComputeResourceRequirements must be given.")
    return specification


def update(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    """A new specification beside the old one, or another number of copies, or both."""
    check(call)
    region, said = hosting.of(call), call.parameters
    component = _idle(region, call)
    if "Specification" in said or "Specifications" in said:
        component.coming = _specification(region, said)
    component.deployment = said.get("DeploymentConfig", component.deployment)
    set_copies(hosting, component, said.get("RuntimeConfig", {}).get("CopyCount", component.desired))
    return {"InferenceComponentArn": component.arn}


def update_copies(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    check(call)
    component = _idle(hosting.of(call), call)
    set_copies(hosting, component, call.parameters["DesiredRuntimeConfig"]["CopyCount"])
    return {"InferenceComponentArn": component.arn}


def set_copies(hosting: Hosting, component: Component, copies: int) -> None:
    """Begin to have so many copies; also what autoscaling does."""
    now = hosting.now()
    component.desired, component.status, component.modified = copies, Status.UPDATING, now
    component.due = now + timedelta(seconds=hosting.around.latencies.update_s)


def delete(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    component = _idle(hosting.of(call), call)
    now = hosting.now()
    component.status, component.modified = Status.DELETING, now
    component.due = now + timedelta(seconds=hosting.around.latencies.delete_s)
    return {}


def _idle(region: Region, call: Call) -> Component:
    component = region.find(region.components, call.parameters["InferenceComponentName"])
    if component.status in BUSY:
        raise Invalid(f'Cannot update in-progress inference component "{component.arn}".')
    return component


def describe(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region = hosting.of(call)
    component = region.find(region.components, call.parameters["InferenceComponentName"])
    answer = {
        "InferenceComponentName": component.name,
        "InferenceComponentArn": component.arn,
        "EndpointName": component.endpoint,
        "EndpointArn": region.arn(region.endpoints, component.endpoint),
        "VariantName": component.variant,
        "Specification": _summary(component.running),
        "RuntimeConfig": {"DesiredCopyCount": component.desired, "CurrentCopyCount": component.current},
        "CreationTime": component.created,
        "LastModifiedTime": component.modified,
        "InferenceComponentStatus": component.status.value,
    }
    if component.failure:
        answer["FailureReason"] = component.failure
    if component.deployment:
        answer["LastDeploymentConfig"] = component.deployment
    return answer


def _summary(specification: Mapping[str, Any]) -> dict[str, Any]:
    summary = dict(specification)
    if "Container" in summary:
        container = dict(summary["Container"])
        image = container.pop("Image", None)
        if image:
            container["DeployedImage"] = {"SpecifiedImage": image, "ResolvedImage": image}
        summary["Container"] = container
    return summary


def list_components(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region = hosting.of(call)
    answer = views.listed(call, region.components, "InferenceComponent", "InferenceComponents")
    for summary in answer["InferenceComponents"]:
        component = region.find(region.components, summary["InferenceComponentName"])
        summary |= {
            "EndpointName": component.endpoint,
            "EndpointArn": region.arn(region.endpoints, component.endpoint),
            "VariantName": component.variant,
        }
    return answer


def container(region: Region, specification: Mapping[str, Any]) -> Container | None:
    """What runs for a specification; None when its model is gone. A component that builds on another one brings an
    adapter, which the base's container loads: nothing runs for it."""
    model = region.models.get(specification.get("ModelName", ""))
    said = specification.get("Container", {})
    if model is None:
        return container_said(said) if said.get("Image") else None
    own = container_in(model)
    return Container(own.image, {**own.environment, **said.get("Environment", {})}, own.has_weights)


def key_of(region: Region, component: Component, ahead: int = 0) -> str:
    """Under which its container runs; `ahead` is 1 for the one that is to replace it."""
    return f"{region.name}/component/{component.name}/{component.revision + ahead}"


OPERATIONS: Mapping[str, Operate] = {
    "CreateInferenceComponent": create,
    "UpdateInferenceComponent": update,
    "UpdateInferenceComponentRuntimeConfig": update_copies,
    "DeleteInferenceComponent": delete,
    "DescribeInferenceComponent": describe,
    "ListInferenceComponents": list_components,
}
