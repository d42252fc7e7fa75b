"""Promise: the example `aws-ec2` does what its README says, with the installed command, against a local AWS whose
machines are real llama-servers that do what their own user data say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from infra.lab import Lab, complete
from infra.localaws.localaws import AwsProcess
from tests import parts
from tests.journeys.cloud import LocalCloud, run
from tests.journeys.ec2 import EXAMPLE, PROFILE, Ec2Journey

SETTINGS = {
    "aws": {"instance_profile": PROFILE, "account": "123456789012"},
    "timing": {"cloud_bake": "1s", "cloud_removal_grace": "1s", "cloud_settle": "1s"},
}
A_STEP_S = 15.0
"""So much of the cloud's time passes in half a second."""

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


def test_the_example_from_its_first_plan_to_empty_books(lab: Lab, cloud: AwsProcess) -> None:
    journey = Ec2Journey(LocalCloud(cloud, A_STEP_S), lab)
    journey.plan()
    assert cloud.calls() == (), "a plan asks nobody"
    assert journey.apply()["LLM_URL"].startswith("http://127.")
    assert "listening on http" in journey.log(), "the console has the server's own words"
    journey.replace()
    assert _types(cloud) == ["g5.2xlarge"]
    journey.multiply()
    assert _types(cloud) == ["g6.xlarge", "g6.xlarge"]
    journey.destroy()
    assert cloud.usd_per_hour() == 0


def test_a_machine_ends_at_its_time_when_the_command_never_runs_again(lab: Lab, cloud: AwsProcess) -> None:
    there = LocalCloud(cloud, A_STEP_S)
    lab.edit("compose.yaml", '"cloud.instance-type=gpu-small"', '"cloud.ttl=2h"')
    run(lab, there, "--yes")
    first = _running(cloud)
    lab.edit("compose.yaml", "cloud.ttl=2h", "cloud.ttl=4h")
    plan = run(lab, there, "--dry-run").all
    assert "update" in plan, plan
    assert "the machine ends itself" in plan, plan
    run(lab, there, "--yes")
    assert _running(cloud) == first, "the same machine"
    assert complete(lab.values("aws-ec2", "chat-app"), "Say one word.")

    cloud.advance(3 * 3600 + 600)
    assert _running(cloud) == first, "the old time and its hour are over"
    cloud.advance(2 * 3600)
    cloud.advance(300)
    assert _running(cloud) == []
    assert cloud.usd_per_hour() == 0
    run(lab, there, "destroy", "--yes")
    assert cloud.books() == ()


def _running(cloud: AwsProcess) -> list[str]:
    """The ids of the machines that are paid for."""
    ec2 = boto3.client("ec2", **cloud.credentials)
    running = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
    found = ec2.describe_instances(Filters=[running])["Reservations"]
    return sorted(one["InstanceId"] for reservation in found for one in reservation["Instances"])


def _types(cloud: AwsProcess) -> list[str]:
    """The types of the machines that are paid for."""
    ec2 = boto3.client("ec2", **cloud.credentials)
    running = {"Name": "instance-state-name", "Values": ["pending", "running"]}
    found = ec2.describe_instances(Filters=[running])["Reservations"]
    return sorted(one["InstanceType"] for reservation in found for one in reservation["Instances"])
