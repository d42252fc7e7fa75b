"""Application Auto Scaling for endpoints' variants and inference components: targets and policies as they are kept.

Other namespaces are moto's. What a policy does in the end is in `scaled.py`. The words about a resource that is not
there are not AWS's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.localaws.calls import Call
from infra.localaws.errors import AwsError, Invalid
from infra.localaws.overlay import NotOurs
from infra.localaws.sagemaker.hosting import Hosting, Operate
from infra.localaws.sagemaker.scaling import Policy, Target
from infra.localaws.sagemaker.views import paged
from infra.localaws.sagemaker.world import Region
from infra.localaws.validation import check

DIMENSIONS = {
    "endpoint": "sagemaker:variant:DesiredInstanceCount",
    "inference-component": "sagemaker:inference-component:DesiredCopyCount",
}
ROLE = (
    "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_Endpoint"
)


def register(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    """Register a target, or change its bounds; what is left out stays."""
    region, said = _ours(hosting, call), call.parameters
    check(call)
    resource, dimension = said["ResourceId"], said["ScalableDimension"]
    targets = hosting.scaling.targets(region.name)
    there = targets.get(resource)
    if there is None:
        _must_exist(region, resource, dimension)
        if "MinCapacity" not in said or "MaxCapacity" not in said:
            raise Invalid("MinCapacity and MaxCapacity must be given when a target is registered.")
    least = said.get("MinCapacity", there.least if there else 0)
    most = said.get("MaxCapacity", there.most if there else 0)
    if most < least:
        raise Invalid("Maximum capacity cannot be less than minimum capacity")
    arn = there.arn if there else f"{_arn(call)}:scalable-target/{len(targets):016x}"
    created = there.created if there else hosting.now()
    role = said.get("RoleARN", f"arn:aws:iam::{call.account}:role/{ROLE}")
    targets[resource] = Target(resource, dimension, least, most, arn, created, role, said.get("SuspendedState", {}))
    return {"ScalableTargetARN": arn}


def _must_exist(region: Region, resource: str, dimension: str) -> None:
    kind, *path = resource.split("/")
    if DIMENSIONS.get(kind) != dimension:
        raise Invalid(f"Unsupported service namespace, resource type or scalable dimension: {resource}, {dimension}")
    if kind == "inference-component":
        exists = region.components.get(path[0]) is not None
    else:
        endpoint = region.endpoints.get(path[0])
        exists = endpoint is not None and path[2:] != [] and path[2] in [one.name for one in endpoint.variants]
    if not exists:
        raise Invalid(f"Could not find {resource}: it does not exist or is not in service.")


def deregister(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region, resource = _ours(hosting, call), call.parameters["ResourceId"]
    if resource not in hosting.scaling.targets(region.name):
        raise _missing("scalable target", call)
    hosting.scaling.forget(region.name, resource)
    return {}


def describe_targets(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region, said = _ours(hosting, call), call.parameters
    wanted = said.get("ResourceIds")
    found = [
        {
            "ServiceNamespace": "sagemaker",
            "ResourceId": one.resource,
            "ScalableDimension": one.dimension,
            "MinCapacity": one.least,
            "MaxCapacity": one.most,
            "RoleARN": one.role,
            "CreationTime": one.created,
            "ScalableTargetARN": one.arn,
        }
        for one in hosting.scaling.targets(region.name).values()
        if (not wanted or one.resource in wanted) and said.get("ScalableDimension", one.dimension) == one.dimension
    ]
    return _page("ScalableTargets", found, said)


def put_policy(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    """Put a policy on a registered target. Target tracking answers with the two alarms that it watches; here they are
    names only, since AWS makes and deletes them itself."""
    region, said = _ours(hosting, call), call.parameters
    check(call)
    resource, name = said["ResourceId"], said["PolicyName"]
    if resource not in hosting.scaling.targets(region.name):
        raise _missing("scalable target", call)
    kind = said.get("PolicyType", "StepScaling")
    if f"{kind}PolicyConfiguration" not in said and f"{kind}ScalingPolicyConfiguration" not in said:
        raise Invalid(f"A policy of type {kind} needs its configuration.")
    policies = hosting.scaling.policies(region.name)
    arn = f"{_arn(call)}:scalingPolicy:{len(policies):08x}:resource/sagemaker/{resource}:policyName/{name}"
    there = policies.get((resource, name))
    policy = Policy(name, resource, said["ScalableDimension"], there.arn if there else arn, hosting.now(), dict(said))
    if kind == "TargetTrackingScaling":
        names = [f"TargetTracking-{resource}-Alarm{which}-{len(policies)}" for which in ("High", "Low")]
        arns = f"arn:aws:cloudwatch:{region.name}:{call.account}:alarm:"
        policy.alarms = [{"AlarmName": each, "AlarmARN": arns + each} for each in names]
    policies[resource, name] = policy
    return {"PolicyARN": policy.arn, "Alarms": policy.alarms}


def delete_policy(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region, said = _ours(hosting, call), call.parameters
    if hosting.scaling.policies(region.name).pop((said["ResourceId"], said["PolicyName"]), None) is None:
        raise _missing("scaling policy", call)
    return {}


def describe_policies(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region, said = _ours(hosting, call), call.parameters
    found = [
        {
            **{key: value for key, value in one.said.items() if key != "Tags"},
            "PolicyType": one.said.get("PolicyType", "StepScaling"),
            "PolicyARN": one.arn,
            "Alarms": one.alarms,
            "CreationTime": one.created,
        }
        for one in hosting.scaling.policies(region.name).values()
        if said.get("ResourceId", one.resource) == one.resource
        and (not said.get("PolicyNames") or one.name in said["PolicyNames"])
    ]
    return _page("ScalingPolicies", found, said)


def describe_activities(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    """What was scaled; nothing is kept of it here."""
    _ours(hosting, call)
    return {"ScalingActivities": []}


def _ours(hosting: Hosting, call: Call) -> Region:
    if call.parameters.get("ServiceNamespace") != "sagemaker":
        raise NotOurs
    return hosting.of(call)


def _arn(call: Call) -> str:
    return f"arn:aws:{'autoscaling' if 'Policy' in call.operation else call.service}:{call.region}:{call.account}"


def _missing(what: str, call: Call) -> AwsError:
    said = call.parameters
    return AwsError(
        "ObjectNotFoundException",
        f"No {what} found for service namespace: sagemaker, resource ID: {said.get('ResourceId')}, "
        f"scalable dimension: {said.get('ScalableDimension')}",
    )


def _page(key: str, found: list[dict[str, Any]], said: Mapping[str, Any]) -> dict[str, Any]:
    page, token = paged(found, said, default=50)
    return {key: list(page)} | ({"NextToken": token} if token else {})


OPERATIONS: Mapping[str, Operate] = {
    "RegisterScalableTarget": register,
    "DeregisterScalableTarget": deregister,
    "DescribeScalableTargets": describe_targets,
    "PutScalingPolicy": put_policy,
    "DeleteScalingPolicy": delete_policy,
    "DescribeScalingPolicies": describe_policies,
    "DescribeScalingActivities": describe_activities,
}
