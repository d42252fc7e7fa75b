"""Promise: a reconciler that is stopped for longer than its lease, while another one takes over, and then goes on,
writes nothing any more and calls nothing any more.

The first one is stopped at a named point with a real SIGSTOP; the second one lives in a time namespace that is an hour
ahead, so that the lease has really run out for it, and acts on a newer commit. Then the first one gets its SIGCONT.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cloud.crashes import CHOICE, PROJECT, CrashLab, Way
from infra.lab import command, wait_for
from tests.faults.stopping import stopped_at, until_stopped, wake

pytestmark = [pytest.mark.slow, pytest.mark.host, pytest.mark.timeout(120)]

NEWER = CHOICE | {"runtime_flags": ["--top-k", "7"]}
AN_HOUR_AHEAD = ("unshare", "--time", "--boottime", "3600")
BETWEEN_EFFECTS = (
    *("before-evidence", "before-create-intent", "before-create-answer", "before-publish", "before-switch"),
    *("before-delete-intent", "before-delete-answer", "before-forget"),
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CrashLab]:
    tried = subprocess.run([*AN_HOUR_AHEAD, "true"], capture_output=True, text=True, timeout=30)
    if tried.returncode != 0:
        pytest.skip(f"a time namespace needs root and Linux 5.6: {tried.stderr.strip()}")
    with CrashLab(tmp_path, os.environ, "replace") as made:
        yield made


def take_over(lab: CrashLab) -> subprocess.CompletedProcess[str]:
    """One more run, an hour later."""
    return subprocess.run(
        [*AN_HOUR_AHEAD, *command(), *lab.command()],
        env=lab.lab.environment,
        cwd=lab.lab.repository,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def written(lab: CrashLab) -> dict[str, bytes]:
    """Every file that is written for services, and its bytes."""
    folder = lab.lab.state_dir / "projects" / PROJECT
    paths = (lab.lab.override, *folder.rglob("*.env"))
    return {str(path): path.read_bytes() for path in paths}


def said_to_services(lab: CrashLab) -> dict[str, list[bytes]]:
    """What is written for services, without our own stamps."""
    return {
        path: [line for line in text.splitlines() if not line.startswith(b"#")] for path, text in written(lab).items()
    }


@pytest.mark.parametrize("point", BETWEEN_EFFECTS)
def test_one_that_slept_through_its_lease_writes_nothing_and_calls_nothing(lab: CrashLab, point: str) -> None:
    with stopped_at(lab, point) as sleeper:
        lab.say(NEWER)
        done = take_over(lab)
        assert done.returncode == 0, done.stdout + done.stderr
        assert lab.faults() == ()
        before = written(lab), lab.record(), lab.cloud.world()
        said = wake(sleeper)
    assert sleeper.returncode == 1
    assert "no longer current" in said or "we were replaced" in said
    assert (written(lab), lab.record(), lab.cloud.world()) == before


@pytest.mark.parametrize("point", ["before-create-intent", "before-switch", "before-delete-intent"])
def test_a_service_that_slept_through_its_lease_notices_and_stands_by(lab: CrashLab, point: str) -> None:
    while not slept_and_noticed(lab, point):
        lab.begin()
    assert lab.faults() == ()


def slept_and_noticed(lab: CrashLab, point: str) -> bool:
    """Whether it could be tried: a stop that catches another thread of the service with the database in its hand keeps
    everybody away until it wakes, and says nothing about what it does then."""
    lab.lab.environment["CMR_STOP_AT"] = point
    with lab.lab.serve() as service:
        until_stopped(service.process.pid, point)
        del lab.lab.environment["CMR_STOP_AT"]
        lab.say(NEWER)
        done = take_over(lab)
        if "is in use by another process" in done.stderr:
            return False
        assert done.returncode == 0, done.stdout + done.stderr
        # Once it has noticed, it may take the lease again, which is free by then: new stamps, and nothing else.
        before = said_to_services(lab), lab.cloud.world()
        service.process.send_signal(signal.SIGCONT)
        wait_for("it notices", lambda: "no longer current" in lab.lab.log.read_text(encoding="utf-8"), within_s=30)
        assert (said_to_services(lab), lab.cloud.world()) == before
        assert service.stop() == 0
    return True


@pytest.mark.parametrize(
    ("point", "late"), [("before-create-call", ["create"]), ("before-delete-call", [])], ids=["create", "delete"]
)
def test_a_call_that_was_already_on_its_way_is_the_last_one(lab: CrashLab, point: str, late: list[str]) -> None:
    """Nothing can hold that one back. A deletion finds nothing any more; what a create leaves is nobody's address, and
    is found by its tags and deleted by whoever has the lease next."""
    with stopped_at(lab, point) as sleeper:
        lab.say(NEWER)
        assert take_over(lab).returncode == 0
        before, calls = (written(lab), lab.record()), len(lab.cloud.world()["journal"])
        wake(sleeper)
    assert sleeper.returncode == 1
    assert (written(lab), lab.record()) == before
    assert [verb for verb, _ in lab.cloud.world()["journal"][calls:]] == late
    lab.recover(Way.ONCE)
    assert [text.split(": ")[1] for text in lab.faults()] == ["no open request in the state"], "that call alone"


def test_a_file_that_it_was_about_to_replace_is_left_to_it_and_then_put_right(lab: CrashLab) -> None:
    """It holds the lock on the folder: the other one says so, deletes nothing, and finishes when it can."""
    with stopped_at(lab, "before-rename:3") as sleeper:
        lab.say(NEWER)
        done = take_over(lab)
        assert done.returncode == 1
        assert "is locked by another process" in done.stderr
        wake(sleeper)
    assert sleeper.returncode == 1
    lab.recover(Way.ONCE)
    assert lab.faults() == ()
