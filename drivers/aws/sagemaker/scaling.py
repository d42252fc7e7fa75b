"""Replicas that are counted while the endpoint runs: Application Auto Scaling's target and policies, the alarms that
wake what has scaled to zero, and the one that guards an update. All of it is put, never created: the same call again
changes nothing.

A target's policies go with it when it is deregistered, and so do the alarms that the policies made; ours do not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from drivers.aws.clients import Client
from drivers.aws.errors import code_of, edge
from drivers.aws.sagemaker import alarms, names
from drivers.aws.sagemaker.options import is_elastic, replicas
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
_MOST_NAMES = 100


class Scaler:
    """Application Auto Scaling and CloudWatch of one region."""

    def __init__(self, scaling: Client, watch: Client) -> None:
        self._scaling, self._watch = scaling.calls, watch.calls

    def put(self, deployment: Deployment) -> None:
        """Have the number of replicas follow the load, within the bounds of the spec."""
        about = f"having AWS scale {deployment.name}"
        with edge(about, changes=True):
            self._scaling.register_scalable_target(**target(deployment))
            self._scaling.put_scaling_policy(**tracking(deployment))
            if is_elastic(deployment.spec):
                for policy, alarm in ((waking, alarms.wake), (sleeping, alarms.sleep)):
                    put = self._scaling.put_scaling_policy(**policy(deployment))
                    self._watch.put_metric_alarm(**alarm(deployment, put["PolicyARN"]))

    def remove(self, deployment: Deployment, *, elastic: bool) -> None:
        """Have nobody scale it any more. What was never there is no error."""
        resource, dimension = names.variant_target(deployment), _VARIANT
        if elastic:
            resource, dimension = names.component_target(deployment), _COMPONENT
        with edge(f"ending the scaling of {deployment.name}", changes=True):
            if elastic:
                self._delete(alarms.scaling_names(deployment))
            try:
                self._scaling.deregister_scalable_target(
                    ServiceNamespace="sagemaker", ResourceId=resource, ScalableDimension=dimension
                )
            except Exception as error:
                if code_of(error) != "ObjectNotFoundException":
                    raise

    def guard(self, deployment: Deployment, revision: str) -> None:
        """Have an update to a revision watched."""
        with edge(f"having AWS watch the update of {deployment.name}", changes=True):
            self._watch.put_metric_alarm(**alarms.errors(deployment, revision))

    def unguard(self, deployment: Deployment, revisions: Collection[str]) -> None:
        """Have no update to any of these revisions watched any more. What was never there is no error."""
        with edge(f"ending the watch over updates of {deployment.name}", changes=True):
            self._delete([alarms.errors_name(revision) for revision in revisions])

    def _delete(self, named: Collection[str]) -> None:
        """Those that exist are deleted also where others do not (reference of DeleteAlarms)."""
        left = list(named)
        while left:
            try:
                self._watch.delete_alarms(AlarmNames=left[:_MOST_NAMES])
            except Exception as error:
                if code_of(error) not in ("ResourceNotFound", "ResourceNotFoundException"):
                    raise
            del left[:_MOST_NAMES]


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
