"""The cloud itself: faults, counts, clock, books, and that it runs in a process of its own as well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from infra.localaws.localaws import AwsProcess, LocalAws
from tests.localaws.conftest import ONE_TRY, Clients
from tests.localaws.hosting import make_config, make_endpoint, make_model, refusal, status


def kinds(cloud: LocalAws) -> list[str]:
    return [entry.kind for entry in cloud.books()]


def test_lost_request_is_not_applied(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.fault("request-lost", operation="CreateModel")
    with pytest.raises(ConnectionClosedError):
        make_model(sagemaker)
    assert kinds(cloud) == []
    make_model(sagemaker)
    assert kinds(cloud) == ["model"]


def test_lost_response_is_applied(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.fault("response-lost", operation="CreateModel")
    with pytest.raises(ConnectionClosedError):
        make_model(sagemaker)
    assert kinds(cloud) == ["model"]


def test_fault_hits_the_call_of_its_number(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.fault("broken", at=2)
    make_model(sagemaker, "m1")
    assert refusal(sagemaker.describe_model, code="InternalFailure", ModelName="m1")
    assert sagemaker.describe_model(ModelName="m1")["ModelName"] == "m1"
    assert cloud.calls() == ("sagemaker.CreateModel", "sagemaker.DescribeModel", "sagemaker.DescribeModel")
    assert cloud.counts() == {"sagemaker.CreateModel": 1, "sagemaker.DescribeModel": 2}


def test_fault_lets_calls_through_first_and_can_come_again(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.fault("throttled", operation="ListModels", skip=1, times=2)
    answers = []
    for _ in range(4):
        try:
            answers.append(len(sagemaker.list_models()["Models"]))
        except ClientError as error:
            answers.append(error.response["Error"]["Code"])
    assert answers == [0, "ThrottlingException", "ThrottlingException", 0]


def test_cleared_faults_do_not_happen(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.fault("broken", times=100)
    cloud.clear_faults()
    assert sagemaker.list_models()["Models"] == []


@pytest.mark.parametrize(
    ("service", "call", "throttled", "denied"),
    [
        ("sagemaker", "list_models", "ThrottlingException", "AccessDeniedException"),
        ("ec2", "describe_vpcs", "RequestLimitExceeded", "UnauthorizedOperation"),
        ("iam", "list_roles", "Throttling", "AccessDenied"),
        ("bedrock", "list_foundation_models", "ThrottlingException", "AccessDeniedException"),
        ("cloudwatch", "describe_alarms", "ThrottlingException", "AccessDeniedException"),
    ],
)
def test_each_protocol_says_errors_in_its_way(
    cloud: LocalAws, clients: Clients, service: str, call: str, throttled: str, denied: str
) -> None:
    operate = getattr(clients(service), call)
    cloud.fault("throttled", service=service)
    refusal(operate, code=throttled)
    cloud.fault("denied", service=service, message="not you")
    assert refusal(operate, code=denied) == "not you"


def test_slow_answer_comes_in_the_end(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.fault("slow", operation="ListModels", seconds=0.01)
    assert sagemaker.list_models()["Models"] == []


def test_operation_that_nobody_has_is_refused_plainly(cloud: LocalAws, clients: Clients) -> None:
    said = refusal(clients("ec2").describe_capacity_reservations, code="NotImplemented")
    assert said.startswith("the local cloud has no ec2.DescribeCapacityReservations")


def test_books_tell_what_is_there_and_what_it_costs(cloud: LocalAws, sagemaker: Any, clients: Clients) -> None:
    make_config(sagemaker, InitialInstanceCount=2)
    make_endpoint(sagemaker)
    clients("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    clients("ssm").put_parameter(Name="key", Value="secret", Type="SecureString")
    clients("cloudwatch").put_metric_alarm(
        AlarmName="a", ComparisonOperator="LessThanThreshold", EvaluationPeriods=1, Threshold=1.0
    )
    assert kinds(cloud) == ["alarm", "role", "endpoint", "endpoint config", "model", "parameter"]
    assert cloud.usd_per_hour() == 0
    cloud.advance(300)
    assert cloud.usd_per_hour() == pytest.approx(2 * 1.4 * 0.8048, abs=0.001)


def test_books_leave_out_what_was_there_before(cloud: LocalAws, sagemaker: Any, clients: Clients) -> None:
    clients("iam").create_role(RoleName="operators", AssumeRolePolicyDocument="{}")
    cloud.baseline()
    make_model(sagemaker)
    assert kinds(cloud) == ["model"]


def test_networks_of_every_account_are_not_in_the_books(cloud: LocalAws, clients: Clients) -> None:
    assert clients("ec2").describe_security_groups()["SecurityGroups"]
    assert clients("ssm").get_parameters_by_path(Path="/aws/service/ami-amazon-linux-latest")["Parameters"]
    assert kinds(cloud) == []


def test_reset_forgets_everything(cloud: LocalAws, sagemaker: Any, clients: Clients) -> None:
    make_endpoint(sagemaker)
    clients("ec2").create_launch_template(LaunchTemplateName="t", LaunchTemplateData={"ImageId": "ami-1"})
    cloud.fault("broken", times=5)
    cloud.capacity("ml.g6.xlarge", 0)
    cloud.latencies(create_s=1)
    cloud.reset()
    assert (cloud.books(), cloud.calls()) == ((), ())
    make_endpoint(sagemaker)
    cloud.advance(299)
    assert status(sagemaker) == "Creating"
    cloud.advance(1)
    assert status(sagemaker) == "InService"
    assert clients("ec2").describe_launch_templates()["LaunchTemplates"] == []


def test_containers_are_told_as_they_are_now(cloud: LocalAws, sagemaker: Any) -> None:
    """Nothing was called since the creation was due."""
    cloud.latencies(create_s=0)
    make_endpoint(sagemaker)
    assert cloud.containers() == ("us-east-1/e1/c1/AllTraffic",)


def test_back_door_says_what_it_does_not_have(cloud: LocalAws) -> None:
    with pytest.raises(KeyError, match="the back door has no refill"):
        cloud.perform("refill")


def test_in_a_process_of_its_own_it_is_the_same_cloud() -> None:
    with AwsProcess("--latency", "300") as cloud:
        assert cloud.environment["AWS_ENDPOINT_URL"] == cloud.url
        client = boto3.client("sagemaker", **cloud.credentials)
        make_endpoint(client)
        cloud.advance(300)
        assert status(client) == "InService"
        assert cloud.counts()["sagemaker.CreateEndpoint"] == 1
        assert [entry.kind for entry in cloud.books()] == ["endpoint", "endpoint config", "model"]
        with pytest.raises(ValueError, match="the back door has no refill"):
            cloud.perform("refill")
        process = cloud.process_id
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_by_hand_it_says_where_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.localaws"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    said = json.loads(done.stdout)
    assert said["environment"]["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{said['port']}"
    assert done.returncode == 0


def test_any_error_can_be_scripted(cloud: LocalAws, sagemaker: Any) -> None:
    """For instance the eventually consistent read of CreateEndpoint, which may not see a configuration at once."""
    make_config(sagemaker)
    cloud.fault("refused", operation="CreateEndpoint", message="Could not find endpoint configuration", status=400)
    said = refusal(sagemaker.create_endpoint, EndpointName="e1", EndpointConfigName="c1")
    assert said == "Could not find endpoint configuration"
    sagemaker.create_endpoint(EndpointName="e1", EndpointConfigName="c1")


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("sagemaker", "list_models", "UnrecognizedClientException"),
        ("bedrock", "list_foundation_models", "UnrecognizedClientException"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("ec2", "describe_vpcs", "AuthFailure"),
    ],
)
def test_unknown_access_key_is_refused(cloud: LocalAws, service: str, call: str, code: str) -> None:
    stranger = cloud.credentials | {"aws_access_key_id": "AKIASOMEBODYELSE0000"}
    refusal(getattr(boto3.client(service, config=ONE_TRY, **stranger), call), code=code)


def test_role_that_was_assumed_is_known(cloud: LocalAws, clients: Clients) -> None:
    role = "arn:aws:iam::123456789012:role/deployer"
    lent = clients("sts").assume_role(RoleArn=role, RoleSessionName="a-test")["Credentials"]
    given = cloud.credentials | {
        "aws_access_key_id": lent["AccessKeyId"],
        "aws_secret_access_key": lent["SecretAccessKey"],
        "aws_session_token": lent["SessionToken"],
    }
    assert boto3.client("sagemaker", config=ONE_TRY, **given).list_models()["Models"] == []


def test_quotas_say_what_will_be_refused(cloud: LocalAws, clients: Clients) -> None:
    cloud.quota("ml.g6.xlarge", 2)
    cloud.quota("L-DB2E81BA", 8)
    quotas = clients("service-quotas")
    pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    values = {one["QuotaName"]: one["Value"] for page in pages for one in page["Quotas"]}
    assert values["ml.g6.xlarge for endpoint usage"] == 2
    assert values["ml.p5.48xlarge for endpoint usage"] == 1000
    said = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-DB2E81BA")["Quota"]
    assert (said["QuotaName"], said["Value"]) == ("Running On-Demand G and VT instances", 8)
    refusal(quotas.get_service_quota, code="NoSuchResourceException", ServiceCode="ec2", QuotaCode="L-00000000")


def test_status_can_be_any_word(cloud: LocalAws, sagemaker: Any) -> None:
    make_endpoint(sagemaker)
    cloud.show_status("e1", "SystemUpdating")
    assert status(sagemaker) == "SystemUpdating"
    assert sagemaker.list_endpoints()["Endpoints"][0]["EndpointStatus"] == "SystemUpdating"
    cloud.show_status("e1", None)
    assert status(sagemaker) == "Creating"
