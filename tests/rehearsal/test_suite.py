"""Promise: every test of `tests/live` can pass, and leaves nothing, in a cloud that behaves as we think AWS does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.live.journal import opened
from tests.rehearsal.rehearsals import passing, rehearsal

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
