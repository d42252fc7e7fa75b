"""The OpenAI-compatible URL of an endpoint: the token, who is reached, and what comes back."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from botocore.credentials import Credentials

from drivers.aws.tokens import mint
from infra.localaws.calls import ACCESS_KEY, SECRET_KEY
from infra.localaws.localaws import LocalAws
from tests.localaws.hosting import make_config, make_endpoint, make_model, refusal
from tests.localaws.openai import LLM, ask, presigned, stream, token


@pytest.fixture
def served(cloud: LocalAws, sagemaker: Any) -> LocalAws:
    """A cloud with the endpoint `e1` in service."""
    make_endpoint(sagemaker)
    cloud.advance(300)
    return cloud


def test_endpoint_in_service_answers_a_chat(served: LocalAws) -> None:
    status, answer = ask(served)
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "echo: Say yes."


def test_drivers_own_token_is_good(served: LocalAws) -> None:
    credentials = Credentials(ACCESS_KEY, SECRET_KEY).get_frozen_credentials()
    assert ask(served, bearer=mint(credentials, "sagemaker", "us-east-1"))[0] == 200


def test_stream_is_passed_through(served: LocalAws) -> None:
    events = stream(served)
    assert events[-1] == "[DONE]"
    assert "echo: Say yes." in events[0]


@pytest.mark.parametrize(
    ("bearer", "reason"),
    [
        ("", "there is none"),
        ("sk-something", "it does not begin with sagemaker-api-key-"),
        ("sagemaker-api-key-!!", "it is not base64"),
        (token("bedrock"), "it does not begin with sagemaker-api-key-"),
        (token(host="sagemaker.eu-west-1.amazonaws.com"), "it is not for sagemaker.amazonaws.com"),
        (token(action="InvokeEndpoint"), "it is not a CallWithBearerToken of version 1"),
        (token(access_key="AKIASOMEBODYELSE0000"), "its access key is not known"),
        (token(secret="wrong"), "its signature does not match"),
        (token(expires_s=12 * 3600 + 1), "it is to last longer than 12 hours"),
    ],
    ids=["none", "another kind", "no base64", "bedrock", "region", "action", "access key", "signature", "too long"],
)
def test_token_that_is_not_good_is_refused(served: LocalAws, bearer: str, reason: str) -> None:
    status, answer = ask(served, bearer=bearer)
    assert (status, answer["message"]) == (403, f"The bearer token is not valid: {reason}")


def test_token_is_signed_down_to_its_last_parameter(served: LocalAws) -> None:
    longer = presigned(expires_s=60).replace("X-Amz-Expires=60", "X-Amz-Expires=6000")
    assert longer != presigned(expires_s=60)
    forged = f"sagemaker-api-key-{base64.b64encode(longer.encode()).decode()}"
    assert ask(served, bearer=forged)[1]["message"].endswith("its signature does not match")


def test_token_ends_by_the_clouds_clock(served: LocalAws) -> None:
    """Its clock is five minutes ahead by now, since it was advanced until the endpoint was in service."""
    hour = token(expires_s=3600)
    assert ask(served, bearer=hour)[0] == 200
    served.advance(3000)
    assert ask(served, bearer=hour)[0] == 200
    served.advance(300)
    assert ask(served, bearer=hour)[1]["message"].endswith("it has expired")


def test_token_is_for_its_region_only(served: LocalAws) -> None:
    status, answer = ask(served, bearer=token(region="eu-west-1"))
    assert (status, answer["message"]) == (400, "Endpoint e1 of account 123456789012 not found.")


def test_name_in_the_url_is_matched_with_its_case(served: LocalAws) -> None:
    assert ask(served, LLM.replace("e1", "E1"))[0] == 400


def test_endpoint_that_is_not_in_service_is_not_found(cloud: LocalAws, sagemaker: Any) -> None:
    make_endpoint(sagemaker)
    assert ask(cloud)[0] == 400
    cloud.advance(300)
    assert ask(cloud)[0] == 200
    sagemaker.delete_endpoint(EndpointName="e1")
    assert ask(cloud)[0] == 400


def test_endpoint_serves_on_during_an_update(served: LocalAws, sagemaker: Any) -> None:
    make_config(sagemaker, "c2")
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2")
    assert ask(served)[0] == 200
    served.advance(300)
    sagemaker.delete_endpoint_config(EndpointConfigName="c1")
    assert ask(served)[0] == 200


def test_token_of_an_assumed_role_is_good(served: LocalAws, clients: Any) -> None:
    role = "arn:aws:iam::123456789012:role/caller"
    lent = clients("sts").assume_role(RoleArn=role, RoleSessionName="a-test")["Credentials"]
    credentials = Credentials(lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"])
    assert ask(served, bearer=mint(credentials.get_frozen_credentials(), "sagemaker", "us-east-1"))[0] == 200


@pytest.mark.parametrize("rest", ["models", "embeddings", "responses", "completions"])
def test_only_chat_completions_are_routed(served: LocalAws, rest: str) -> None:
    assert ask(served, f"/endpoints/e1/openai/v1/{rest}")[0] == 404
    assert ask(served, LLM, method="GET")[0] == 404


def test_requests_are_counted_and_can_be_lost(served: LocalAws) -> None:
    ask(served)
    assert served.counts()["runtime.chat/completions"] == 1
    served.fault("request-lost", service="runtime")
    with pytest.raises(ConnectionError):
        ask(served)
    served.fault("throttled", service="runtime")
    assert ask(served)[0] == 429


def test_invoke_endpoint_is_refused_rather_than_made_up(served: LocalAws, clients: Any) -> None:
    runtime = clients("sagemaker-runtime")
    assert "OpenAI URL" in refusal(runtime.invoke_endpoint, code="NotImplemented", EndpointName="e1", Body=b"{}")


def test_lines_of_containers_are_in_cloudwatch_logs(served: LocalAws, clients: Any) -> None:
    logs = clients("logs")
    group = "/aws/sagemaker/Endpoints/e1"
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert [one["logStreamName"].partition("/")[0] for one in streams] == ["AllTraffic"]
    messages = [one["message"] for one in logs.filter_log_events(logGroupName=group)["events"]]
    assert messages[-1] == "echo: listening"
    assert len(logs.filter_log_events(logGroupName=group)["events"]) == len(messages)


def test_lines_of_a_container_that_failed_stay(cloud: LocalAws, sagemaker: Any, clients: Any) -> None:
    make_model(sagemaker, "m1", BAD="yes")
    cloud.break_containers("BAD")
    make_endpoint(sagemaker)
    cloud.advance(300)
    events = clients("logs").filter_log_events(logGroupName="/aws/sagemaker/Endpoints/e1")["events"]
    assert events[-1]["message"] == "echo: failed the health check"
