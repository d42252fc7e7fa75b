"""CloudWatch's alarms of a deployment, as requests. Pure; all of them are put, never created, and carry the owner tags.

Two scale an inference component to and from nothing; one guards an update, for as long as that lasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.aws.sagemaker import names
from drivers.aws.sagemaker.options import idle_s
from drivers.aws.tags import as_list, tags_of
from drivers.base import Deployment

_DAY_S = 86_400
REMEDY = "the endpoint's own role must be allowed cloudwatch:DescribeAlarms (infra/aws/iam/sagemaker-endpoint.json)"
BAD_SHARE = 0.5
"""Half of the requests of a minute: a new fleet of which that many fail answers badly."""


def wake(deployment: Deployment, policy: str) -> dict[str, Any]:
    """Rings when somebody asked and there was no copy. `policy` is the ARN of what makes one."""
    return _of_component(deployment, "wake", "a request found no copy of", policy) | {
        "MetricName": "NoCapacityInvocationFailures",
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }


def sleep(deployment: Deployment, policy: str) -> dict[str, Any]:
    """Rings when nobody asked for as long as the spec says. A copy that runs reports its requests every ten seconds,
    also when there are none; no report at all means no copy, and nothing to be put to sleep."""
    idle = idle_s(deployment.spec) or 0
    period = 60 if idle <= _DAY_S else 3600  # an alarm looks back one day at most, or seven in steps of an hour
    return _of_component(deployment, "sleep", "nobody asks", policy) | {
        "MetricName": "ConcurrentRequestsPerCopy",
        "Statistic": "Maximum",
        "Period": period,
        "EvaluationPeriods": max(1, idle // period),
        "Threshold": 0.0,
        "ComparisonOperator": "LessThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }


def errors(deployment: Deployment, revision: str) -> dict[str, Any]:
    """Rings when the new fleet of an update answers badly: the metric is 1 for an answer above 499 and 0 for any other.

    The configuration is a dimension of it, so that an old fleet which fails already does not keep away the one that
    mends it (developer guide, "Auto-Rollback Configuration and Monitoring"). Two bad minutes of three: a single request
    that failed is no reason."""
    of = {"EndpointName": deployment.name, "VariantName": names.VARIANT, "EndpointConfigName": revision}
    return _alarm(deployment, errors_name(revision), "requests fail after an update of", of) | {
        "MetricName": "Invocation5XXErrors",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "Threshold": BAD_SHARE,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }


def scaling_names(deployment: Deployment) -> tuple[str, ...]:
    return tuple(f"{deployment.name}-{kind}" for kind in ("wake", "sleep"))


def errors_name(revision: str) -> str:
    """One for each revision: an alarm that is put again keeps its state, and would roll the next update back too."""
    return f"{revision}-errors"


def _of_component(deployment: Deployment, kind: str, why: str, policy: str) -> dict[str, Any]:
    of = {"InferenceComponentName": deployment.name}
    return _alarm(deployment, f"{deployment.name}-{kind}", why, of) | {"AlarmActions": [policy]}


def _alarm(deployment: Deployment, name: str, why: str, of: Mapping[str, str]) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "AlarmDescription": f"{why} {deployment.project}/{deployment.model}",
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": key, "Value": value} for key, value in of.items()],
        "Tags": as_list(tags_of(deployment)),
    }
