"""How an update is watched: the new fleet has the traffic for a while, and an alarm on what it answers ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infra.localaws.localaws import LocalAws
from tests.localaws.hosting import VARIANT, make_config, make_endpoint, make_model, refusal, status
from tests.localaws.openai import ask

Clients = Callable[[str], Any]


@pytest.fixture
def updating(cloud: LocalAws, sagemaker: Any, clients: Clients) -> LocalAws:
    """An endpoint whose new fleet has just got the traffic, watched for a minute by an alarm on what that answers."""
    cloud.latencies(create_s=10, update_s=10, bake_s=60)
    make_endpoint(sagemaker)
    cloud.advance(10)
    make_model(sagemaker, "m2", SM_LLAMA_CPP_MODEL="/new")
    make_config(sagemaker, "c2", "m2")
    of = {"EndpointName": "e1", "VariantName": VARIANT, "EndpointConfigName": "c2"}
    clients("cloudwatch").put_metric_alarm(
        AlarmName="bad", Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors", Statistic="Average", Period=60,
        EvaluationPeriods=1, Threshold=0.5, ComparisonOperator="GreaterThanOrEqualToThreshold",
        Dimensions=[{"Name": name, "Value": value} for name, value in of.items()],
    )  # fmt: skip
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    deployment = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 60},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "bad"}]},
    }
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2", DeploymentConfig=deployment)
    cloud.advance(10)
    return cloud


def config(sagemaker: Any) -> str:
    said: str = sagemaker.describe_endpoint(EndpointName="e1")["EndpointConfigName"]
    return said


def test_old_fleet_stays_while_the_new_one_is_watched(updating: LocalAws, sagemaker: Any) -> None:
    assert (status(sagemaker), config(sagemaker), len(updating.cloud.containers.keys())) == ("Updating", "c1", 2)
    updating.advance(30)
    assert status(sagemaker) == "Updating"
    updating.advance(30)
    assert (status(sagemaker), config(sagemaker), len(updating.cloud.containers.keys())) == ("InService", "c2", 1)


def test_new_fleet_has_the_traffic_while_it_is_watched(updating: LocalAws) -> None:
    updating.fail_answers("/new")
    assert ask(updating)[0] == 500


def test_bad_answers_of_the_new_fleet_roll_the_update_back(updating: LocalAws, sagemaker: Any) -> None:
    updating.fail_answers("/new")
    ask(updating)
    assert (status(sagemaker), ask(updating)[0]) == ("RollingBack", 200)
    said = sagemaker.describe_endpoint(EndpointName="e1")
    assert "Alarm bad went off" in said["FailureReason"]
    assert "PendingDeploymentSummary" not in said
    updating.advance(10)
    assert (status(sagemaker), config(sagemaker), len(updating.cloud.containers.keys())) == ("InService", "c1", 1)


def test_while_it_is_rolled_back_nothing_can_be_changed(updating: LocalAws, sagemaker: Any) -> None:
    updating.fail_answers("/new")
    ask(updating)
    assert "Cannot update in-progress" in refusal(sagemaker.update_endpoint, EndpointName="e1", EndpointConfigName="c2")


@pytest.mark.parametrize("wrong", ["metric", "variant", "configuration"])
def test_an_alarm_on_something_else_stays_silent(updating: LocalAws, clients: Clients, wrong: str) -> None:
    watch = clients("cloudwatch")
    (alarm,) = watch.describe_alarms(AlarmNames=["bad"])["MetricAlarms"]
    given = {key: alarm[key] for key in ("AlarmName", "Namespace", "MetricName", "Statistic", "Period", "Threshold")}
    of = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    if wrong == "metric":
        given["MetricName"] = "Invocation4XXErrors"
    else:
        of["VariantName" if wrong == "variant" else "EndpointConfigName"] = "another"
    watch.put_metric_alarm(
        **given, EvaluationPeriods=1, ComparisonOperator=alarm["ComparisonOperator"],
        Dimensions=[{"Name": name, "Value": value} for name, value in of.items()],
    )  # fmt: skip
    updating.fail_answers("/new")
    ask(updating)
    assert watch.describe_alarms(AlarmNames=["bad"])["MetricAlarms"][0]["StateValue"] == "OK"


def test_a_policy_that_waits_for_nothing_is_watched_for_nothing(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.latencies(create_s=10, update_s=10, bake_s=60)
    make_endpoint(sagemaker)
    cloud.advance(10)
    make_config(sagemaker, "c2")
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2")
    cloud.advance(10)
    assert (status(sagemaker), config(sagemaker)) == ("InService", "c2")
