"""Promise: one changed line takes a model from this host to SageMaker, to Bedrock, to EC2 and back, and once services
have an address they are never without one: the old model goes when the new one has answered and is written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread

import boto3
import pytest

from infra.lab import Lab, Service, wait_for
from infra.localaws.localaws import AwsProcess
from tests import parts

PROFILE = "compose-models-machine"
PROJECT = """\
name: shop
services:
  app:
    image: my-app
    models: [llm]
models:
  llm:
    model: ai/gpt-oss
    context_size: 1024
    x-cloud-options:
      cloud.platform: {platform}
"""
SETTINGS = {
    "aws": {
        "region": "us-east-1",
        "instance_profile": PROFILE,
        "roles": {"default": "arn:aws:iam::123456789012:role/models"},
    },
    "timing": {
        "poll_interval": "1s", "local_bake": "1s", "cloud_bake": "1s",
        "local_removal_grace": "1s", "cloud_removal_grace": "1s", "cloud_settle": "1s",
    },
    "llamacpp": {"bind": "127.0.0.1"},
}  # fmt: skip
WANTED = {
    "llamacpp": [],
    "aws-bedrock": [],
    "aws-sagemaker": ["endpoint", "endpoint config", "model"],
    "aws-ec2": ["instance", "launch template", "parameter", "security group"],
}
"""What AWS has of ours where the model runs there."""
CLOUDS = ("aws-sagemaker", "aws-bedrock", "aws-ec2", "aws-sagemaker")
AND_HOME = ("llamacpp", *CLOUDS, "llamacpp", "aws-ec2", "llamacpp")
A_STEP_S = 4.0
"""So much of the cloud's time passes between two looks at a machine: it boots in half a minute of it."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def cloud() -> Iterator[AwsProcess]:
    with AwsProcess("--latency", "0.2") as running:
        iam = boto3.client("iam", **running.credentials)
        iam.create_role(RoleName=PROFILE, AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName=PROFILE)
        iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)
        running.baseline()
        yield running


@pytest.fixture
def lab(cloud: AwsProcess, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab", os.environ, settings=SETTINGS)
    made.environment.update(cloud.environment)
    made.git("init", "--quiet", "--initial-branch=main")
    yield made
    made.clean_up()


def test_one_line_takes_a_model_from_cloud_to_cloud(lab: Lab, cloud: AwsProcess) -> None:
    _travel(lab, cloud, CLOUDS)


@pytest.mark.llama
def test_one_line_takes_a_model_from_this_host_to_every_cloud_and_back(lab: Lab, cloud: AwsProcess) -> None:
    settings = ("--config", str(lab.configuration))
    imported = lab.reconcile(*settings, "models", "import", str(parts.smollm2()), "--as", "ai/gpt-oss")
    assert imported.returncode == 0, imported.stderr
    _travel(lab, cloud, AND_HOME)


class Reader:
    """Whoever reads the override file, all the time: the addresses that it had, one after the other, '' for none."""

    def __init__(self, override: Path) -> None:
        self.seen: list[str] = []
        self._override, self._over = override, Event()
        self._thread = Thread(target=self._read)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._over.wait(0.002):
            try:
                text = self._override.read_text(encoding="utf-8")
            except FileNotFoundError:
                text = ""
            found = re.search(r'LLM_URL"?: "?([^"\s]+)', text)
            address = found[1] if found else ""
            if self.seen[-1:] != [address]:
                self.seen.append(address)


def _travel(lab: Lab, cloud: AwsProcess, platforms: tuple[str, ...]) -> None:
    with Reader(lab.override) as reader, lab.serve() as service:
        for platform in platforms:
            (lab.repository / "compose.yaml").write_text(PROJECT.format(platform=platform), encoding="utf-8")
            lab.commit(f"the model runs on {platform}")
            alone = partial(_runs_only, lab, cloud, service, platform)
            wait_for(f"{platform} alone", alone, within_s=60, every_s=0.25)
        assert service.stop() == 0
    assert reader.seen[0] == ""
    assert len(reader.seen) == len(platforms) + 1, f"one address after the other: {reader.seen}"
    assert "" not in reader.seen[1:], f"a moment without an address: {reader.seen}"
    done = lab.reconcile("destroy", "--yes", "-p", "shop", "--config", str(lab.configuration), "--timeout", "60s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cloud.books() == ()
    assert lab.servers() == ()
    log = lab.log.read_text(encoding="utf-8") + done.stdout + done.stderr
    assert "Traceback" not in log
    assert cloud.environment["AWS_SECRET_ACCESS_KEY"] not in log


def _runs_only(lab: Lab, cloud: AwsProcess, service: Service, platform: str) -> bool:
    """Whether one deployment is left, on this platform and ready, and nothing of the others."""
    assert service.process.poll() is None, lab.log.read_text(encoding="utf-8")[-3000:]
    there = sorted(entry.kind for entry in cloud.books())
    if "instance" in there:
        cloud.advance(A_STEP_S)
    if there != WANTED[platform] or len(lab.servers()) != (platform == "llamacpp"):
        return False
    said = lab.reconcile("status", "-p", "shop", "--format", "json", "--config", str(lab.configuration)).stdout
    recorded = [one for project in json.loads(said)["projects"] for one in project["deployments"]] if said else []
    return [(one["driver"], one["phase"]) for one in recorded] == [(platform, "ready")]
