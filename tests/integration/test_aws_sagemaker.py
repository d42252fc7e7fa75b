"""The installed command and the example of SageMaker against the local AWS: applied, asked, updated, destroyed.

With echoing containers the journey takes seconds; with real ones, the model that answers is SmolLM2 in a llama-server
that was started from the environment which the driver gave to SageMaker.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers import probe
from infra.lab import Lab
from infra.localaws.localaws import AwsProcess
from tests import parts

EXAMPLE = parts.CHECKOUT / "examples" / "aws-sagemaker"
SETTINGS = {"aws": {"region": "us-west-2", "roles": {"default": "arn:aws:iam::123456789012:role/models"}}}
PATIENCE = ("--timeout", "60s")
BRIEF = ("--timeout", "8s")
"""Long enough for a deletion here. Afterwards the reconciler still waits for calls that might land late."""


@pytest.fixture(params=["echo", pytest.param("llama-server", marks=pytest.mark.llama)])
def cloud(request: pytest.FixtureRequest) -> Iterator[AwsProcess]:
    arguments: tuple[str, ...] = ("--latency", "0.5")
    if request.param == "llama-server":
        arguments += ("--llama-server", str(parts.llama_server()), "--weights", str(parts.smollm2()))
    with AwsProcess(*arguments) as running:
        yield running


@pytest.fixture
def lab(cloud: AwsProcess, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab", os.environ, settings=SETTINGS)
    made.environment.update(cloud.environment)
    made.start_repository(EXAMPLE)
    yield made
    made.clean_up()


def test_the_example_is_applied_asked_updated_and_destroyed(cloud: AwsProcess, lab: Lab) -> None:
    planned = run(lab, "--dry-run")
    assert "+ create llm (aws-sagemaker)" in planned
    assert "gpu-small → ml.g6.xlarge" in planned
    assert cloud.books() == ()
    assert "llm: ready" in run(lab, "--yes", *PATIENCE, errors=True)
    assert kinds(cloud) == [
        "endpoint", "endpoint config", "model", "policy", "scalable target",
    ]  # fmt: skip
    assert says_something(lab)
    assert "Plan: 1 unchanged." in run(lab, "--dry-run", "--refresh")
    assert run(lab, "logs", "llm").strip()

    lab.edit("compose.yaml", "context_size: 1024", "context_size: 2048")
    lab.edit("compose.yaml", "gpu-small", "gpu-medium")
    lab.edit("compose.yaml", "1..2", "2")
    changed = run(lab, "--dry-run")
    assert "~ update llm (aws-sagemaker)" in changed
    assert "context_size: 1024 → 2048" in changed
    before = endpoint_url(lab)
    run(lab, "--yes", *PATIENCE)
    assert kinds(cloud) == ["endpoint", "endpoint config", "model"]
    assert endpoint_url(lab) == before
    assert says_something(lab)
    assert cloud.counts()["sagemaker.CreateEndpoint"] == 1
    assert cloud.usd_per_hour() == pytest.approx(2 * 1.861 * 1.4, rel=0.01)

    told = run(lab, "destroy", "--yes", *BRIEF, exit_code=1, errors=True)
    assert "a late call could still bring it back" in told
    assert cloud.books() == ()
    assert cloud.usd_per_hour() == 0


def test_a_platform_that_is_not_there_costs_no_plan_and_no_sdk(tmp_path: Path) -> None:
    """No credentials, no network, no settings: the plan is made all the same, and boto is not even imported."""
    lab = Lab(tmp_path / "lab", os.environ)
    lab.start_repository(EXAMPLE)
    lab.environment.update({"PYTHONPROFILEIMPORTTIME": "1", "AWS_EC2_METADATA_DISABLED": "true"})
    done = lab.reconcile("--dry-run")
    assert done.returncode == 0
    assert "+ create llm (aws-sagemaker)" in done.stdout
    assert "boto" not in done.stderr


def kinds(cloud: AwsProcess) -> list[str]:
    return sorted(entry.kind for entry in cloud.books())


def endpoint_url(lab: Lab) -> str:
    text = (lab.repository / "compose.models.yaml").read_text(encoding="utf-8")
    return next(line.partition('"')[2].rstrip('"') for line in text.splitlines() if "LLM_URL" in line)


def says_something(lab: Lab) -> bool:
    """Ask it as a client does that has the URL from its environment and a token from the command."""
    token = json.loads(run(lab, "token", "llm", "--format", "json"))["token"]
    return probe.complete(endpoint_url(lab), "ai/smollm2", key=token, prompt="Say hello.").ok


def run(lab: Lab, *arguments: str, exit_code: int = 0, errors: bool = False) -> str:
    """What the command prints, in the example's folder with the lab's settings."""
    given = (*arguments, "--config", str(lab.configuration))
    done: subprocess.CompletedProcess[str] = lab.reconcile(*given)
    assert done.returncode == exit_code, f"{given}\n{done.stdout}\n{done.stderr}"
    return done.stdout + (done.stderr if errors else "")
