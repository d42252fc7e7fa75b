"""Promise: a reconciler that is killed before or after any single effect of a change is simply started again, and
finishes it: one thing per model, nothing left over, and nothing deleted that a file points at.

Real processes, a real state, real files, and a platform in a process of its own that looks at them with every call. All
points in both ways of running: `make faults`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.cloud.crashes import CHANGES, CrashLab, Way
from reconciler.crashpoints import CRASHED

pytestmark = [pytest.mark.slow, pytest.mark.host, pytest.mark.timeout(300)]


@pytest.mark.parametrize("change", [name for name, change in CHANGES.items() if not change.only])
def test_killed_before_any_effect_the_next_run_finishes_it(tmp_path: Path, change: str) -> None:
    """What lies after an effect lies before the next one, so these are all moments but the last."""
    with CrashLab(tmp_path, os.environ, change) as lab:
        passed = lab.trace(Way.ONCE)
        assert lab.faults() == ()
        for point in (*(one for one in passed if one.startswith("before-")), passed[-1]):
            lab.begin()
            ended = lab.run(Way.ONCE, CMR_CRASH_AT=point)
            assert ended.status == CRASHED, f"{point}: {ended.said}"
            lab.recover(Way.ONCE)
            assert lab.faults() == (), f"killed at {point}"


@pytest.mark.parametrize("point", ["after-create-call", "before-rename:4", "before-switch", "after-delete-call"])
def test_the_service_that_is_killed_is_finished_by_the_next_service(tmp_path: Path, point: str) -> None:
    with CrashLab(tmp_path, os.environ, "replace") as lab:
        assert lab.run(Way.SERVICE, CMR_CRASH_AT=point).status == CRASHED
        lab.recover(Way.SERVICE)
        assert lab.faults() == ()
        assert lab.is_idle(Way.SERVICE)


@pytest.mark.parametrize("point", ["before-renew", "after-renew"])
def test_killed_around_the_renewal_of_its_lease_the_next_run_finishes_it(tmp_path: Path, point: str) -> None:
    """By a thread of its own, while the platform is at work: a run that was killed so holds nobody up."""
    with CrashLab(tmp_path, os.environ, "wait") as lab:
        ended = lab.run(Way.ONCE, CMR_CRASH_AT=point)
        assert ended.status == CRASHED, ended.said
        lab.recover(Way.ONCE)
        assert lab.faults() == ()


def test_killed_twice_in_a_row_it_still_finishes(tmp_path: Path) -> None:
    """The second time at what the first one left: the answer to a create that was already made, the deletion's end."""
    with CrashLab(tmp_path, os.environ, "replace") as lab:
        for first, second in (("after-create-call", "before-evidence"), ("after-delete-call", "before-forget")):
            lab.begin()
            assert lab.run(Way.ONCE, CMR_CRASH_AT=first).status == CRASHED
            assert lab.run(Way.ONCE, CMR_CRASH_AT=second).status == CRASHED
            lab.recover(Way.ONCE)
            assert lab.faults() == (), f"{first}, then {second}"
            assert lab.is_idle(Way.ONCE)


def test_a_point_that_does_not_exist_is_no_point_to_wait_for(tmp_path: Path) -> None:
    with CrashLab(tmp_path, os.environ, "create") as lab:
        ended = lab.run(Way.ONCE, CMR_CRASH_AT="after-the-party")
    assert ended.status == 1
    assert "there is no point 'after-the-party'" in ended.said
