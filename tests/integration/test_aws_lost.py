"""Promise: a record that is lost costs nothing twice on AWS, also in a region that only the file names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab import Lab
from infra.localaws.localaws import AwsProcess
from tests.journeys.cloud import LocalCloud, run

PROJECT = """\
name: shop
services:
  app:
    image: my-app
    models: [llm]
models:
  llm:
    model: ai/gpt-oss
    x-cloud-options:
      cloud.platform: aws-bedrock
      cloud.region: eu-west-1
      cloud.tags: "team:search"
"""
SETTINGS = {"aws": {"region": "us-west-2"}, "timing": {"cloud_settle": "1s", "cloud_bake": "1s"}}


@pytest.fixture
def cloud() -> Iterator[AwsProcess]:
    with AwsProcess("--latency", "0.1") as running:
        yield running


def test_what_runs_where_only_the_file_leads_is_taken_over_after_a_loss(tmp_path: Path, cloud: AwsProcess) -> None:
    lab = Lab(tmp_path / "lab", os.environ, settings=SETTINGS)
    lab.environment |= cloud.environment
    (lab.repository / "compose.yaml").write_text(PROJECT, encoding="utf-8")
    run(lab, LocalCloud(cloud), "--yes")
    (before,) = cloud.books()
    assert before.kind == "profile"
    (lab.state_dir / "state.db").unlink()
    run(lab, LocalCloud(cloud), "recover", "--empty", "--yes")
    run(lab, LocalCloud(cloud), "--yes")
    assert cloud.books() == (before,)
    assert cloud.counts()["bedrock.CreateInferenceProfile"] == 1
