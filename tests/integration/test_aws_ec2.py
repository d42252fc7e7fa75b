"""Promise: the example `aws-ec2` does what its README says, with the installed command, against a local AWS whose
machines are real llama-servers that do what their own user data say."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from infra.lab import Lab, command, complete
from infra.localaws.localaws import AwsProcess
from tests import parts

EXAMPLE = parts.CHECKOUT / "examples" / "aws-ec2"
PROFILE = "compose-models-machine"
SETTINGS = {
    "aws": {"instance_profile": PROFILE, "account": "123456789012"},
    "timing": {"cloud_bake": "1s", "cloud_removal_grace": "1s"},
}
A_STEP_S, EVERY_S = 15.0, 0.5
"""The cloud's minutes pass in seconds."""

pytestmark = [pytest.mark.llama, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def cloud() -> Iterator[AwsProcess]:
    llama, weights = parts.llama_server(), parts.smollm2()
    with AwsProcess("--llama-server", str(llama.resolve()), "--weights", str(weights.resolve())) as running:
        iam = boto3.client("iam", **running.credentials)
        iam.create_role(RoleName=PROFILE, AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName=PROFILE)
        iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)
        running.baseline()
        running.forget_calls()
        yield running


@pytest.fixture
def lab(tmp_path: Path, cloud: AwsProcess) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab", os.environ, settings=SETTINGS)
    made.environment |= cloud.environment
    made.start_repository(EXAMPLE)
    yield made
    made.clean_up()


def reconcile(lab: Lab, cloud: AwsProcess, *arguments: str) -> str:
    """Run the command while the cloud's time passes; what it printed."""
    words = [*command(), *arguments, "--config", str(lab.configuration)]
    with subprocess.Popen(
        words, env=lab.environment, cwd=lab.repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while process.poll() is None:
            cloud.advance(A_STEP_S)
            time.sleep(EVERY_S)
        assert process.stdout is not None
        printed = process.stdout.read()
    assert process.returncode == 0, printed
    return printed


def kinds(cloud: AwsProcess) -> list[str]:
    return sorted(entry.kind for entry in cloud.books())


def test_the_example_from_its_first_plan_to_empty_books(lab: Lab, cloud: AwsProcess) -> None:
    plan = lab.reconcile("--dry-run", "--config", str(lab.configuration))
    assert "gpu-small → g6.xlarge" in plan.stdout
    assert cloud.calls() == (), "a plan asks nobody"

    reconcile(lab, cloud, "--yes")
    assert kinds(cloud) == ["instance", "launch template", "parameter", "security group"]
    first = lab.values("aws-ec2", "chat-app")
    assert first["LLM_URL"].startswith("http://127.")
    assert first["LLM_MODEL"] == "ai/smollm2"
    assert complete(first, "Say one word.")
    assert "✓ aws-ec2: instance profile: compose-models-machine" in _doctor(lab)
    assert any("listening on http" in line for line in _logs(lab)), "the console has the server's own words"

    lab.edit("compose.yaml", "context_size: 2048", "context_size: 1024")
    lab.edit("compose.yaml", "instance-type=gpu-small", "instance-type=g5.2xlarge")
    reconcile(lab, cloud, "--yes")
    second = lab.values("aws-ec2", "chat-app")
    assert second["LLM_URL"] != first["LLM_URL"]
    assert second["LLM_API_KEY"] == first["LLM_API_KEY"], "a replacement changes no key"
    assert complete(second, "Say one word.")
    assert _types(cloud) == ["g5.2xlarge"]

    lab.edit("compose.yaml", "cloud.instance-type=g5.2xlarge", "cloud.replicas=2")
    reconcile(lab, cloud, "--yes")
    third = lab.values("aws-ec2", "chat-app")
    assert _types(cloud) == ["g6.xlarge", "g6.xlarge"]
    assert complete(third, "Say one word.")

    reconcile(lab, cloud, "destroy", "--yes")
    assert cloud.books() == ()
    assert cloud.usd_per_hour() == 0


def _types(cloud: AwsProcess) -> list[str]:
    """The types of the machines that are paid for."""
    ec2 = boto3.client("ec2", **cloud.credentials)
    running = {"Name": "instance-state-name", "Values": ["pending", "running"]}
    found = ec2.describe_instances(Filters=[running])["Reservations"]
    return sorted(one["InstanceType"] for reservation in found for one in reservation["Instances"])


def _doctor(lab: Lab) -> str:
    return lab.reconcile("doctor", "--platform", "aws-ec2", "--config", str(lab.configuration)).stdout


def _logs(lab: Lab) -> list[str]:
    return lab.reconcile("logs", "llm", "--config", str(lab.configuration)).stdout.splitlines()
