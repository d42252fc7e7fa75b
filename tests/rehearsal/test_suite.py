"""Promise: every test of `tests/live` can pass, and leaves nothing, in a cloud that behaves as we think AWS does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from infra.aws import build
from tests.live.journal import opened
from tests.parts import CHECKOUT
from tests.rehearsal.rehearsals import passing, rehearsal

SERVICES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas", "resourcegroupstaggingapi": "tag"}
"""Those whose permissions have another name than the SDK's."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("chosen", "step_s"),
    [
        (("tests/live/test_bedrock.py", "tests/live/test_doubts.py", "-k", "test_bedrock or bedrock"), 0.0),
        (("tests/live/test_sagemaker.py",), 0.0),
        (("tests/live/test_doubts.py", "-k", "not bedrock and not machine"), 0.0),
        (("tests/live/test_ec2.py", "tests/live/test_doubts.py", "-k", "test_ec2 or machine"), 15.0),
    ],
    ids=["bedrock", "sagemaker", "doubts", "ec2"],
)
def test_the_live_suite_passes_and_leaves_nothing(tmp_path: Path, chosen: tuple[str, ...], step_s: float) -> None:
    with rehearsal(tmp_path) as here, passing(here.cloud, step_s):
        done = here.run(*chosen)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr
        assert re.search(r"^\d+ live tests in us-west-2: \d+\.\d\d USD at most, of 100\.00$", done.stdout, re.MULTILINE)
        assert "0 skipped" in done.stdout
        assert here.cloud.books() == ()
        assert opened(here.journal) == ()
        assert opened(here.journal, everything=True)
        swept = here.sweep("--all")
        assert (swept.returncode, swept.stdout.splitlines()[-1]) == (0, "nothing is left"), swept.stdout + swept.stderr
        assert sorted(_permissions(here.cloud.calls()) - _allowed()) == []


def _permissions(calls: Iterable[str]) -> set[str]:
    """Which ones the calls need; questions to models are under `runtime`."""
    named = (call.partition(".") for call in calls if not call.startswith("runtime."))
    return {f"{SERVICES.get(service, service)}:{operation}" for service, _, operation in named}


def _allowed() -> set[str]:
    """What the README tells people to give: the drivers' policies, and what the tests need besides."""
    texts = [text for kind in build.ROLES for text in build.policies(kind).values()]
    texts.append((CHECKOUT / "tests" / "live" / "iam.json").read_text(encoding="utf-8"))
    return {action for text in texts for statement in json.loads(text)["Statement"] for action in _actions(statement)}


def _actions(statement: dict[str, list[str] | str]) -> list[str]:
    said = statement["Action"]
    return [said] if isinstance(said, str) else said
