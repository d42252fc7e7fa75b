"""Replicas that are counted while the endpoint runs: Application Auto Scaling's target and policies, and the alarm that
wakes what has scaled to zero. All of it is put, never created: the same call again changes nothing.

A target's policies go with it when it is deregistered, and so do the alarms that the policies made; ours does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.aws.clients import Client
from drivers.aws.errors import code_of, edge
from drivers.aws.sagemaker import names
from drivers.aws.sagemaker.options import idle_s, is_elastic, replicas
from drivers.aws.tags import as_list, tags_of
from drivers.base import Deployment, ModelSpec
from drivers.values import duration

_VARIANT, _COMPONENT = "sagemaker:variant:DesiredInstanceCount", "sagemaker:inference-component:DesiredCopyCount"
_METRICS = {
    ("concurrency", False): "SageMakerVariantConcurrentRequestsPerModelHighResolution",
    ("concurrency", True): "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution",
    ("rps", False): "SageMakerVariantInvocationsPerInstance",
    ("rps", True): "SageMakerInferenceComponentInvocationsPerCopy",
}
_TARGETS = {"concurrency": 4.0, "rps": 1.0, "gpu-util": 70.0}
"""What holds where the file names no `cloud.autoscale-target`."""
UP_S, DOWN_S = 60, 600
_DAY_S = 86_400


class Scaler:
    """Application Auto Scaling and CloudWatch of one region."""

    def __init__(self, scaling: Client, alarms: Client) -> None:
        self._scaling, self._alarms = scaling.calls, alarms.calls

    def put(self, deployment: Deployment) -> None:
        """Have the number of replicas follow the load, within the bounds of the spec."""
        about = f"having AWS scale {deployment.name}"
        with edge(about, changes=True):
            self._scaling.register_scalable_target(**target(deployment))
            self._scaling.put_scaling_policy(**tracking(deployment))
            if is_elastic(deployment.spec):
                for policy, alarm in ((waking, wake_alarm), (sleeping, sleep_alarm)):
                    put = self._scaling.put_scaling_policy(**policy(deployment))
                    self._alarms.put_metric_alarm(**alarm(deployment, put["PolicyARN"]))

    def remove(self, deployment: Deployment, *, elastic: bool) -> None:
        """Have nobody scale it any more. What was never there is no error."""
        resource, dimension = names.variant_target(deployment), _VARIANT
        if elastic:
            resource, dimension = names.component_target(deployment), _COMPONENT
        with edge(f"ending the scaling of {deployment.name}", changes=True):
            if elastic:
                self._alarms.delete_alarms(AlarmNames=list(alarm_names(deployment)))
            try:
                self._scaling.deregister_scalable_target(
                    ServiceNamespace="sagemaker", ResourceId=resource, ScalableDimension=dimension
                )
            except Exception as error:
                if code_of(error) != "ObjectNotFoundException":
                    raise


def target(deployment: Deployment) -> dict[str, Any]:
    """Between how many it may be."""
    bounds = replicas(deployment.spec)
    return _about(deployment) | {"MinCapacity": int(bounds.low), "MaxCapacity": int(bounds.high)}


def tracking(deployment: Deployment) -> dict[str, Any]:
    """The policy that keeps a metric at its target."""
    spec = deployment.spec
    return _about(deployment) | {
        "PolicyName": f"{deployment.name}-load",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            **_metric(deployment),
            "TargetValue": target_value(spec),
            "ScaleOutCooldown": _delay(spec, "cloud.scale-up-delay", UP_S),
            "ScaleInCooldown": _delay(spec, "cloud.scale-down-delay", DOWN_S),
            # The last copy goes by the alarm, after the time that the spec names, and not before.
            "DisableScaleIn": is_elastic(spec) and replicas(spec).high == 1,
        },
    }


def waking(deployment: Deployment) -> dict[str, Any]:
    """The policy that makes one copy of none; an alarm calls it."""
    return _step(deployment, "wake", "ChangeInCapacity", 1, {"MetricIntervalLowerBound": 0})


def sleeping(deployment: Deployment) -> dict[str, Any]:
    """The policy that leaves no copy; an alarm calls it."""
    return _step(deployment, "sleep", "ExactCapacity", 0, {"MetricIntervalUpperBound": 0})


def wake_alarm(deployment: Deployment, policy: str) -> dict[str, Any]:
    """Rings when somebody asked and there was no copy. `policy` is the ARN of what makes one."""
    return _alarm(deployment, "wake", "a request found no copy of", policy) | {
        "MetricName": "NoCapacityInvocationFailures",
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }


def sleep_alarm(deployment: Deployment, policy: str) -> dict[str, Any]:
    """Rings when nobody asked for as long as the spec says. A copy that runs reports its requests every ten seconds,
    also when there are none; no report at all means no copy, and nothing to be put to sleep."""
    idle = idle_s(deployment.spec) or 0
    period = 60 if idle <= _DAY_S else 3600  # an alarm looks back one day at most, or seven in steps of an hour
    return _alarm(deployment, "sleep", "nobody asks", policy) | {
        "MetricName": "ConcurrentRequestsPerCopy",
        "Statistic": "Maximum",
        "Period": period,
        "EvaluationPeriods": max(1, idle // period),
        "Threshold": 0.0,
        "ComparisonOperator": "LessThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }


def alarm_names(deployment: Deployment) -> tuple[str, ...]:
    return tuple(f"{deployment.name}-{kind}" for kind in ("wake", "sleep"))


def _step(deployment: Deployment, kind: str, how: str, by: int, bound: Mapping[str, int]) -> dict[str, Any]:
    return _about(deployment) | {
        "PolicyName": f"{deployment.name}-{kind}",
        "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": how,
            "MetricAggregationType": "Maximum",
            "Cooldown": _delay(deployment.spec, "cloud.scale-up-delay", UP_S),
            "StepAdjustments": [{**bound, "ScalingAdjustment": by}],
        },
    }


def _alarm(deployment: Deployment, kind: str, why: str, policy: str) -> dict[str, Any]:
    return {
        "AlarmName": f"{deployment.name}-{kind}",
        "AlarmDescription": f"{why} {deployment.project}/{deployment.model}",
        "AlarmActions": [policy],
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": "InferenceComponentName", "Value": deployment.name}],
        "Tags": as_list(tags_of(deployment)),
    }


def target_value(spec: ModelSpec) -> float:
    """The metric's value per replica to aim for; AWS counts requests by the minute."""
    metric = spec.options.get("cloud.autoscale-metric", "concurrency")
    asked = float(spec.options.get("cloud.autoscale-target", _TARGETS[metric]))
    return asked * 60 if metric == "rps" else asked


def _metric(deployment: Deployment) -> Mapping[str, Any]:
    metric = deployment.spec.options.get("cloud.autoscale-metric", "concurrency")
    if metric == "gpu-util":
        of = (("EndpointName", deployment.name), ("VariantName", names.VARIANT))
        return {
            "CustomizedMetricSpecification": {
                "Namespace": "/aws/sagemaker/Endpoints",
                "MetricName": "GPUUtilization",
                "Dimensions": [{"Name": name, "Value": value} for name, value in of],
                "Statistic": "Average",
                "Unit": "Percent",
            }
        }
    kind = _METRICS[metric, is_elastic(deployment.spec)]
    return {"PredefinedMetricSpecification": {"PredefinedMetricType": kind}}


def _about(deployment: Deployment) -> dict[str, Any]:
    elastic = is_elastic(deployment.spec)
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": names.component_target(deployment) if elastic else names.variant_target(deployment),
        "ScalableDimension": _COMPONENT if elastic else _VARIANT,
    }


def _delay(spec: ModelSpec, key: str, default: int) -> int:
    found = duration(spec.options[key]) if key in spec.options else None
    return default if found is None else found
