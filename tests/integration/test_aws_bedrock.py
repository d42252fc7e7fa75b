"""Amazon Bedrock from the command line: every command of the example's README, against a local AWS of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab import Lab
from infra.localaws.localaws import AwsProcess
from tests import parts
from tests.journeys.bedrock import BedrockJourney
from tests.journeys.cloud import LocalCloud

IMPATIENT = {"timing": {"cloud_settle": "1s", "cloud_bake": "1s"}}


@pytest.fixture(params=["echo", pytest.param("llama", marks=pytest.mark.llama)])
def cloud(request: pytest.FixtureRequest) -> Iterator[AwsProcess]:
    """A local AWS whose models repeat what they are asked, and one whose models are a real llama-server."""
    real = ("--llama-server", str(parts.llama_server()), "--weights", str(parts.smollm2()))
    with AwsProcess(*(real if request.param == "llama" else ())) as running:
        running.latencies(create_s=0.1, update_s=0.1, delete_s=0.1)
        yield running


def test_the_example_is_applied_answers_is_changed_and_leaves_nothing(tmp_path: Path, cloud: AwsProcess) -> None:
    lab = Lab(tmp_path / "lab", os.environ)
    lab.environment |= cloud.environment
    journey = BedrockJourney(LocalCloud(cloud), lab, IMPATIENT)
    journey.doctor()
    journey.apply()
    journey.tag()
    journey.replace()
    journey.destroy()
    assert cloud.books() == ()
