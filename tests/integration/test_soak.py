"""Promise: `make soak` works. Half a minute of it, for real: a leader and a model server are killed, and all holds."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from infra.soak.report import as_text
from infra.soak.schedule import Fault
from infra.soak.soak import Screen, Soak
from tests import parts

pytestmark = [pytest.mark.llama, pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_short_soak_recovers_from_both_faults_and_leaves_nothing(tmp_path: Path) -> None:
    parts.llama_server(), parts.smollm2()
    shown = io.StringIO()
    only = [Fault.KILL_LEADER, Fault.KILL_SERVER]
    run = Soak(tmp_path, Screen(shown), seed=1, seconds=25, every_s=10, only=only).run()
    said = shown.getvalue() + as_text(run)
    assert run.is_good, said
    assert [window.is_fault for window in run.windows].count(True) == 2, said
    assert all(window.ended_s is not None for window in run.windows), said
    assert len(run.requests) > 20, said
    assert "services stop, models are destroyed" in said
