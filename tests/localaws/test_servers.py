"""Endpoints with a real llama-server behind them: ready when it is, answering with its model, ended for certain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.lab import wait_for
from infra.localaws.localaws import AwsProcess, LocalAws
from infra.localaws.servers import Servers
from tests import parts
from tests.localaws.conftest import ONE_TRY
from tests.localaws.hosting import make_config, make_endpoint, make_model
from tests.localaws.openai import ask, stream

pytestmark = pytest.mark.llama


@pytest.fixture
def real() -> Iterator[LocalAws]:
    """A cloud whose containers are llama-servers. moto's state is one per process: it starts as new, and ends so."""
    with LocalAws(Servers(parts.llama_server(), parts.smollm2())) as cloud:
        yield cloud


@pytest.fixture
def client(real: LocalAws) -> Any:
    return boto3.client("sagemaker", config=ONE_TRY, **real.credentials)


@pytest.fixture
def servers() -> Callable[[], list[int]]:
    """The living servers that this test started; its process has other children, of the tests before it."""
    before = set(servers_of(os.getpid()))
    return lambda: [pid for pid in servers_of(os.getpid()) if pid not in before]


def in_service(real: LocalAws, client: Any, **environment: str) -> dict[str, Any]:
    """The description of `e1` when it was started with this environment."""
    make_model(client, "m1", SM_LLAMA_CPP_DOCKER_REPO="ai/smollm2", **environment)
    make_endpoint(client)
    real.advance(300)
    said: dict[str, Any] = client.describe_endpoint(EndpointName="e1")
    return said


def servers_of(pid: int) -> list[int]:
    """The living llama-servers that a process started, whatever session they lead."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if entry.name.isdigit() and int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_real_model_answers_behind_the_url(real: LocalAws, client: Any) -> None:
    said = in_service(real, client, SM_LLAMA_CPP_CTX_SIZE="512", SM_LLAMA_CPP_ALIAS="llm")
    assert said["EndpointStatus"] == "InService"
    status, answer = ask(real, temperature=0)
    assert status == 200
    assert answer["model"] == "llm"
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == 4
    events = stream(real)
    assert events[-1] == "[DONE]"
    assert len(events) > 4


def test_context_of_the_environment_is_the_servers(real: LocalAws, client: Any) -> None:
    in_service(real, client, SM_LLAMA_CPP_CTX_SIZE="512", SM_LLAMA_CPP_PARALLEL="1")
    status, answer = ask(real, messages=[{"role": "user", "content": "word " * 1000}])
    assert status == 400
    assert answer["error"]["type"] == "exceed_context_size_error"


def test_flag_that_the_server_does_not_know_fails_the_endpoint_and_is_in_the_log(real: LocalAws, client: Any) -> None:
    said = in_service(real, client, SM_LLAMA_CPP_NO_SUCH_FLAG="3")
    assert said["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in said["FailureReason"]
    logs = boto3.client("logs", config=ONE_TRY, **real.credentials)
    events = logs.filter_log_events(logGroupName="/aws/sagemaker/Endpoints/e1")["events"]
    assert any("--no-such-flag" in event["message"] for event in events)


def test_update_serves_with_the_old_server_until_the_new_one_is_ready(
    servers: Callable[[], list[int]], real: LocalAws, client: Any
) -> None:
    in_service(real, client, SM_LLAMA_CPP_ALIAS="old", SM_LLAMA_CPP_CTX_SIZE="512")
    make_model(
        client, "n2", SM_LLAMA_CPP_DOCKER_REPO="ai/smollm2", SM_LLAMA_CPP_ALIAS="new", SM_LLAMA_CPP_CTX_SIZE="512"
    )
    make_config(client, "d2", "n2")
    client.update_endpoint(EndpointName="e1", EndpointConfigName="d2")
    assert ask(real)[1]["model"] == "old"
    real.advance(300)
    assert ask(real)[1]["model"] == "new"
    assert len(servers()) == 1


def test_deleted_endpoints_server_is_ended(servers: Callable[[], list[int]], real: LocalAws, client: Any) -> None:
    in_service(real, client, SM_LLAMA_CPP_CTX_SIZE="512")
    assert len(servers()) == 1
    client.delete_endpoint(EndpointName="e1")
    real.advance(60)
    assert servers() == []


@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_nothing_is_left_running_when_the_cloud_ends(ending: str) -> None:
    arguments = ("--llama-server", str(parts.llama_server()), "--weights", str(parts.smollm2()))
    with AwsProcess(*arguments) as cloud:
        client = boto3.client("sagemaker", config=ONE_TRY, **cloud.credentials)
        make_model(client, "m1", SM_LLAMA_CPP_DOCKER_REPO="ai/smollm2", SM_LLAMA_CPP_CTX_SIZE="512")
        make_endpoint(client)
        cloud.advance(300)
        assert ask(cloud)[0] == 200
        (server,) = servers_of(cloud.process_id)
        if ending == "is killed":
            os.kill(cloud.process_id, 9)
    wait_for("the server's end", lambda: not is_alive(server), within_s=10)
