"""Promise: a record that was lost or damaged is never taken for an empty one. Either everything works, or the command
says what to do, and then everything works; what runs on the platform is taken over, not made again, and not deleted.

Real commands on a real file, and a platform that has the things which the record should know. Single errors are in
`tests/state/test_sqlite_files.py`, `recover` itself in `test_commands_recover`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.cloud.crashes import CHOICE, CrashLab, Way
from state.backup import backup_if_due
from state.sqlite import SqliteStore
from tests.builders import NOON

pytestmark = [pytest.mark.slow, pytest.mark.host, pytest.mark.timeout(300)]
PAGE = 4096


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CrashLab]:
    """Two models that are served, a copy of the record, and nothing left to do."""
    with CrashLab(tmp_path, os.environ, "create") as made:
        made.recover(Way.ONCE)
        with closing(SqliteStore.open(database(made))) as store:
            assert backup_if_due(store, NOON) is not None
        yield made


def database(lab: CrashLab) -> Path:
    return lab.lab.state_dir / "state.db"


def delete(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    os.truncate(path, 0)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def swap_for_text(path: Path) -> None:
    path.write_text("not a database\n" * 1000, encoding="utf-8")


@pytest.mark.parametrize("harm", [delete, empty, cut, swap_for_text])
def test_what_is_lost_is_said_and_recovered_and_nothing_is_made_twice(
    lab: CrashLab, harm: Callable[[Path], None]
) -> None:
    before = lab.cloud.world()["journal"]
    harm(database(lab))
    _refused_then_recovered(lab)
    assert lab.cloud.world()["journal"] == before


def test_wherever_it_is_overwritten_it_is_right_or_refused(lab: CrashLab) -> None:
    """64 bytes of each page in turn, at its head, in its middle and at its end: what is noticed has a way back, what is
    not noticed lay where nothing is."""
    sound = database(lab).read_bytes()
    before, refused = lab.cloud.world()["journal"], 0
    places = [page * PAGE + (0, PAGE // 2, PAGE - 64)[page % 3] for page in range(len(sound) // PAGE)]
    for place in places:
        data = bytearray(sound)
        data[place : place + 64] = b"\xa5" * 64
        database(lab).write_bytes(data)
        done = lab.lab.reconcile(*lab.command())
        assert "Traceback" not in done.stderr
        if done.returncode != 0:
            refused += 1
            assert "reconcile recover" in done.stderr, done.stderr
        assert lab.cloud.world()["journal"] == before, f"at {place}"
        database(lab).write_bytes(sound)
    assert refused >= 5
    data = bytearray(sound)
    data[PAGE : 2 * PAGE] = b"\xa5" * PAGE
    database(lab).write_bytes(data)
    _refused_then_recovered(lab)
    assert lab.cloud.world()["journal"] == before


@pytest.mark.parametrize("behind", ["a replacement", "a create"])
def test_an_older_copy_takes_over_what_was_made_since(lab: CrashLab, behind: str) -> None:
    """As a restored backup does. What it never heard of is found by its tags; nothing is made a second time."""
    if behind == "a create":
        lab.begin()
    copy = lab.lab.folder / "older.db"
    shutil.copyfile(database(lab), copy)
    lab.say(CHOICE | {"context_size": 1024, "runtime_flags": ["--top-k", "7"]} if behind != "a create" else CHOICE)
    lab.recover(Way.ONCE)
    before = lab.cloud.world()["journal"]
    shutil.copyfile(copy, database(lab))
    lab.recover(Way.ONCE)
    assert lab.faults() == ()
    assert lab.cloud.world()["journal"] == before


def _refused_then_recovered(lab: CrashLab) -> None:
    done = lab.lab.reconcile(*lab.command())
    assert done.returncode == 1
    assert "reconcile recover" in done.stderr
    assert "Traceback" not in done.stderr
    done = lab.lab.reconcile("recover", "--config", str(lab.lab.configuration), "--yes")
    assert done.returncode == 0, done.stderr
    lab.recover(Way.ONCE)
    assert lab.faults() == ()
