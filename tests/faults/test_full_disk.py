"""Promise: a full disk, whichever it is, breaks nothing: what is there stays whole and is used, the message says which
one it is, and with the space the work goes on.

Real commands on real small disks: the record's, the override file's, the values' and the log's. That of the models is
in `test_modelstore_faults`, single files are in `test_write`, the record's inner life is in `test_sqlite_space`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.cloud.crashes import PROJECT, CrashLab, Way
from infra.lab import wait_for
from tests.faults.disks import fill, free, small_disk
from tests.faults.stopping import stopped_at, wake

pytestmark = [pytest.mark.slow, pytest.mark.host, pytest.mark.timeout(120)]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CrashLab]:
    """A model that is served, and a commit that replaces it."""
    with CrashLab(tmp_path, os.environ, "replace") as made:
        yield made


@contextmanager
def on_a_small_disk(folder: Path, size: str) -> Iterator[Path]:
    """The folder and what lies in it are on a disk of that size."""
    aside = folder.with_name(f"{folder.name}-aside")
    folder.rename(aside)
    with small_disk(folder, size):
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        shutil.rmtree(aside)
        yield folder


def values(lab: CrashLab) -> dict[str, str]:
    return lab.lab.values(PROJECT, "app")


def test_the_records_disk_is_full(lab: CrashLab) -> None:
    """What runs is looked after in the space kept for that; nothing new is begun."""
    before = values(lab)
    with on_a_small_disk(lab.lab.state_dir, "12m") as disk:
        fill(disk)
        done = lab.lab.reconcile(*lab.command())
        assert done.returncode == 3
        assert "guard 'space'" in done.stdout + done.stderr
        assert values(lab) == before
        assert [verb for verb, _ in lab.cloud.world()["journal"]] == ["create", "create"], "nothing was begun"
        free(disk)
        lab.recover(Way.ONCE)
        assert lab.faults() == ()


@pytest.mark.parametrize("point", ["before-claim", "before-publish:2"])
@pytest.mark.parametrize("which", ["the values", "the override file"])
def test_a_disk_for_files_is_full(lab: CrashLab, which: str, point: str) -> None:
    """From the beginning, or when the new one is ready: every file is whole, and what any of them names stays."""
    folder = lab.lab.state_dir / "projects" / PROJECT
    if which == "the override file":
        folder = lab.lab.folder / "output"
        folder.mkdir()
        lab.lab.override = lab.lab.override.rename(folder / lab.lab.override.name)
    with on_a_small_disk(folder, "64k") as disk:
        before = values(lab)
        with stopped_at(lab, point) as run:
            fill(disk)
            said = wake(run)
        assert run.returncode == 1
        assert re.search(rf"{folder}/\S+ could not be written: No space left on device; the old one is intact", said)
        alive = {f"http://10.9.8.7:{thing['port']}/v1/" for thing in lab.cloud.world()["things"] if not thing["going"]}
        assert values(lab)["LLM_URL"] in alive, "the values may have been written before the override file was not"
        assert before["LLM_URL"] in lab.lab.override.read_text(encoding="utf-8")
        assert "delete" not in [verb for verb, _ in lab.cloud.world()["journal"]]
        free(disk)
        lab.recover(Way.ONCE)
        assert lab.faults() == ()


def test_the_logs_disk_is_full(lab: CrashLab) -> None:
    """A log that nobody can write is no reason to stop, nor one to end badly."""
    with small_disk(lab.lab.folder / "log", "64k") as disk:
        lab.lab.log = disk / "serve.log"
        lab.lab.log.touch()
        fill(disk)
        with lab.lab.serve() as service:
            wait_for("the change is done", lambda: not lab.faults(), within_s=30)
            assert service.process.poll() is None
            assert service.stop() == 0
        assert lab.lab.log.read_bytes() == b""
