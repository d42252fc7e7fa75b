"""The installed command and the example of SageMaker against the local AWS: applied, asked, updated, destroyed.

With echoing containers the journey takes seconds; with real ones, the model that answers is SmolLM2 in a llama-server
that was started from the environment which the driver gave to SageMaker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab import Lab
from infra.localaws.localaws import AwsProcess
from tests import parts
from tests.journeys.cloud import LocalCloud
from tests.journeys.sagemaker import EXAMPLE, SageMakerJourney

SETTINGS = {"aws": {"region": "us-west-2", "roles": {"default": "arn:aws:iam::123456789012:role/models"}}}


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
    journey = SageMakerJourney(LocalCloud(cloud), lab, patience="60s", brief="8s")
    journey.plan()
    assert cloud.calls() == (), "a plan asks nobody"
    journey.apply()
    journey.update()
    assert cloud.counts()["sagemaker.CreateEndpoint"] == 1
    assert cloud.usd_per_hour() == pytest.approx(2 * 1.861 * 1.4, rel=0.01)
    journey.destroy()
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
