"""An update that answers badly, with the installed command: AWS rolls it back, and nothing is made in its place."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drivers import probe
from infra.lab import Lab
from infra.localaws.localaws import AwsProcess
from tests.integration.test_aws_sagemaker import SETTINGS
from tests.journeys.cloud import LocalCloud, run
from tests.journeys.sagemaker import EXAMPLE, SageMakerJourney
from tests.localaws.openai import token

PATIENCE = "60s"
PAUSE_S, MOST_S = 0.1, 60.0
"""Between two requests of a client, and until it has seen the roll-back."""


@pytest.fixture
def cloud() -> Iterator[AwsProcess]:
    with AwsProcess("--latency", "0.5") as running:
        running.latencies(bake_s=20.0)
        yield running


@pytest.fixture
def lab(cloud: AwsProcess, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab", os.environ, settings=SETTINGS)
    made.environment.update(cloud.environment)
    made.start_repository(EXAMPLE)
    yield made
    made.clean_up()


def test_an_update_that_answers_badly_is_rolled_back_and_nothing_takes_its_place(cloud: AwsProcess, lab: Lab) -> None:
    here = LocalCloud(cloud)
    journey = SageMakerJourney(here, lab, patience=PATIENCE)
    run(lab, here, "--yes", "--timeout", PATIENCE)
    cloud.fail_answers('"SM_LLAMA_CPP_CTX_SIZE": "2048"')
    lab.edit("compose.yaml", "context_size: 1024", "context_size: 2048")
    url = journey.endpoint_url()
    with ThreadPoolExecutor(max_workers=1) as client:
        asked = client.submit(until_rolled_back, cloud, url)
        told = run(lab, here, "--yes", "--timeout", PATIENCE, exit_code=1).all
        assert asked.result() == [200, 500, 200]
    assert "the update was rolled back, and it serves what it did before" in told
    assert "nothing more is tried until the file changes" in told
    assert "rolled back" in run(lab, here, "status").out

    run(lab, here, "--yes", "--timeout", PATIENCE, exit_code=1)
    assert calls(cloud) == (1, 1)
    assert (journey.endpoint_url(), ask(cloud, url)) == (url, 200)

    lab.edit("compose.yaml", "context_size: 2048", "context_size: 1024")
    run(lab, here, "--yes", "--timeout", PATIENCE)
    assert calls(cloud) == (1, 1)
    assert sorted(entry.kind for entry in cloud.books()) == [
        "endpoint", "endpoint config", "model", "policy", "scalable target",
    ]  # fmt: skip


def until_rolled_back(cloud: AwsProcess, url: str) -> list[int | None]:
    """What a client gets that goes on asking, without repetitions."""
    seen: list[int | None] = []
    limit = time.monotonic() + MOST_S
    while len(seen) < 3 and time.monotonic() < limit:
        status = ask(cloud, url)
        if not seen or seen[-1] != status:
            seen.append(status)
        time.sleep(PAUSE_S)
    return seen


def ask(cloud: AwsProcess, url: str) -> int | None:
    key = token(region="us-west-2")
    return probe.complete(url, "ai/smollm2", key=key, prompt="Hello", timeout_s=5.0).status


def calls(cloud: AwsProcess) -> tuple[int, int]:
    """How often an endpoint was asked for, and an update."""
    counts = cloud.counts()
    return counts["sagemaker.CreateEndpoint"], counts["sagemaker.UpdateEndpoint"]
