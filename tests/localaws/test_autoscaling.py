"""Autoscaling of inference components, down to no copy at all and back, and of plain variants."""

from __future__ import annotations

from typing import Any

import pytest

from infra.localaws.localaws import LocalAws
from tests.localaws.conftest import Clients
from tests.localaws.copies import COPIES, IC, RESOURCE, copies, create, instances
from tests.localaws.hosting import VARIANT, make_endpoint, refusal
from tests.localaws.openai import ask


def register(client: Any, resource: str = RESOURCE, dimension: str = COPIES, least: int = 0, most: int = 2) -> None:
    client.register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=resource,
        ScalableDimension=dimension,
        MinCapacity=least,
        MaxCapacity=most,
    )


def put_step_policy(client: Any) -> str:
    said = client.put_scaling_policy(
        PolicyName="from-none",
        PolicyType="StepScaling",
        ServiceNamespace="sagemaker",
        ResourceId=RESOURCE,
        ScalableDimension=COPIES,
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Maximum",
            "Cooldown": 60,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
        },
    )
    arn: str = said["PolicyARN"]
    return arn


def put_alarm(client: Any, action: str, component: str = "ic1") -> None:
    client.put_metric_alarm(
        AlarmName=f"cold-{component}",
        AlarmActions=[action],
        MetricName="NoCapacityInvocationFailures",
        Namespace="AWS/SageMaker",
        Statistic="Maximum",
        Dimensions=[{"Name": "InferenceComponentName", "Value": component}],
        Period=30,
        EvaluationPeriods=1,
        DatapointsToAlarm=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="missing",
    )


@pytest.fixture
def asleep(hosted: LocalAws, sagemaker: Any, clients: Clients) -> LocalAws:
    """The component `ic1`, registered from 0 to 2, without a copy."""
    create(sagemaker)
    hosted.advance(300)
    register(clients("application-autoscaling"))
    hosted.scale(RESOURCE, 0)
    hosted.advance(300)
    assert copies(sagemaker) == ("InService", 0, 0)
    return hosted


def test_cold_call_wakes_a_component_that_is_wired_up(asleep: LocalAws, sagemaker: Any, clients: Clients) -> None:
    put_alarm(clients("cloudwatch"), put_step_policy(clients("application-autoscaling")))
    status, answer = ask(asleep, IC)
    assert status == 400
    assert answer["message"].startswith("Inference Component has no capacity to process this request.")
    assert clients("cloudwatch").describe_alarms()["MetricAlarms"][0]["StateValue"] == "ALARM"
    asleep.advance(300)
    assert copies(sagemaker) == ("InService", 1, 1)
    assert ask(asleep, IC)[0] == 200


@pytest.mark.parametrize("wrong", ["no alarm", "another's alarm", "another action", "policy deleted"])
def test_cold_call_wakes_nobody_where_the_wire_is_cut(
    asleep: LocalAws, sagemaker: Any, clients: Clients, wrong: str
) -> None:
    scaling, watch = clients("application-autoscaling"), clients("cloudwatch")
    policy = put_step_policy(scaling)
    if wrong == "another's alarm":
        put_alarm(watch, policy, component="ic2")
    elif wrong == "another action":
        put_alarm(watch, "arn:aws:sns:us-east-1:123456789012:mail")
    elif wrong == "policy deleted":
        put_alarm(watch, policy)
        name = {"PolicyName": "from-none", "ServiceNamespace": "sagemaker"}
        scaling.delete_scaling_policy(**name, ResourceId=RESOURCE, ScalableDimension=COPIES)
    ask(asleep, IC)
    asleep.advance(300)
    assert copies(sagemaker) == ("InService", 0, 0)


def test_scaling_keeps_to_the_bounds_of_the_target(asleep: LocalAws, sagemaker: Any) -> None:
    assert asleep.scale(RESOURCE, 9) == 2
    asleep.advance(300)
    assert copies(sagemaker) == ("InService", 2, 2)


def test_target_needs_something_to_scale(hosted: LocalAws, clients: Clients) -> None:
    scaling = clients("application-autoscaling")
    given = {"ServiceNamespace": "sagemaker", "MinCapacity": 0, "MaxCapacity": 1}
    refusal(scaling.register_scalable_target, **given, ResourceId=RESOURCE, ScalableDimension=COPIES)
    refusal(
        scaling.put_scaling_policy,
        code="ObjectNotFoundException",
        PolicyName="p",
        ServiceNamespace="sagemaker",
        ResourceId=RESOURCE,
        ScalableDimension=COPIES,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 1.0},
    )


def test_targets_and_policies_are_described_and_in_the_books(asleep: LocalAws, clients: Clients) -> None:
    scaling = clients("application-autoscaling")
    put_step_policy(scaling)
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["ResourceId"], target["MinCapacity"], target["MaxCapacity"]) == (RESOURCE, 0, 2)
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert (policy["PolicyName"], policy["PolicyType"]) == ("from-none", "StepScaling")
    kinds = [entry.kind for entry in asleep.books() if entry.service == "application-autoscaling"]
    assert kinds == ["policy", "scalable target"]
    scaling.deregister_scalable_target(ServiceNamespace="sagemaker", ResourceId=RESOURCE, ScalableDimension=COPIES)
    assert [entry for entry in asleep.books() if entry.service == "application-autoscaling"] == []


def test_component_that_is_deleted_is_no_target_any_more(asleep: LocalAws, sagemaker: Any, clients: Clients) -> None:
    sagemaker.delete_inference_component(InferenceComponentName="ic1")
    asleep.advance(60)
    assert (
        clients("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        == []
    )


# -- autoscaling of plain variants -------------------------------------------------------------------------------------

PLAIN = f"endpoint/e1/variant/{VARIANT}"
INSTANCES = "sagemaker:variant:DesiredInstanceCount"


@pytest.fixture
def scaled(cloud: LocalAws, sagemaker: Any, clients: Clients) -> LocalAws:
    """A plain endpoint, registered from 1 to 4."""
    make_endpoint(sagemaker)
    cloud.advance(300)
    register(clients("application-autoscaling"), PLAIN, INSTANCES, 1, 4)
    return cloud


def test_variant_scales_within_its_bounds(scaled: LocalAws, sagemaker: Any) -> None:
    assert scaled.scale(PLAIN, 3) == 3
    scaled.advance(300)
    assert instances(sagemaker) == 3
    assert scaled.scale(PLAIN, 0) == 1


def test_instance_type_of_a_target_cannot_be_changed(scaled: LocalAws, sagemaker: Any, clients: Clients) -> None:
    """Developer guide, "Update endpoints that use auto scaling"; another model is allowed."""
    for name, kind in (("bigger", "ml.g6.2xlarge"), ("same", "ml.g6.xlarge")):
        variant = {"VariantName": VARIANT, "ModelName": "m1", "InstanceType": kind, "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    assert "target of auto scaling" in refusal(
        sagemaker.update_endpoint, EndpointName="e1", EndpointConfigName="bigger"
    )
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="same")


def test_endpoint_that_is_deleted_is_no_target_any_more(scaled: LocalAws, sagemaker: Any) -> None:
    """Developer guide, "Delete endpoints configured for auto scaling"."""
    sagemaker.delete_endpoint(EndpointName="e1")
    assert [entry for entry in scaled.books() if entry.service == "application-autoscaling"] == []


def test_alarm_of_an_update_rolls_it_back(scaled: LocalAws, sagemaker: Any, clients: Clients) -> None:
    put_alarm(clients("cloudwatch"), "arn:aws:sns:us-east-1:123456789012:mail")
    variant = {"VariantName": VARIANT, "ModelName": "m1", "InstanceType": "ml.g6.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c2", ProductionVariants=[variant])
    deployment = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "cold-ic1"}]},
    }
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2", DeploymentConfig=deployment)
    clients("cloudwatch").set_alarm_state(AlarmName="cold-ic1", StateValue="ALARM", StateReason="a test")
    scaled.advance(300)
    said = sagemaker.describe_endpoint(EndpointName="e1")
    assert (said["EndpointStatus"], said["EndpointConfigName"]) == ("InService", "c1")
    assert "cold-ic1" in said["FailureReason"]
