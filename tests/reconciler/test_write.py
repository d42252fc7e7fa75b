"""Our files: whole or untouched, fenced by epoch, and never over what somebody else wrote."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from reconciler.write import (
    Damaged,
    NotOurs,
    NotWritten,
    Outranked,
    Stamp,
    compose,
    read_stamp,
    remove_ours,
    stamp_epoch,
    write_fenced,
)

NOW = datetime(2026, 8, 23, 12, 0, 0, tzinfo=UTC)
BODY = "services:\n  app:\n    environment:\n      LLM_URL: http://127.0.0.1:8080/v1/\n"


def stamp(epoch: int = 3, serial: int = 17, lineage: str = "0f0e", project: str = "demo") -> Stamp:
    return Stamp(lineage, project, epoch, serial)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "compose.models.yaml"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_says_whose_it_is_and_stays_valid_yaml(target: Path) -> None:
    written = write_fenced(target, BODY, stamp(), now=NOW)
    text = target.read_text()
    assert text == compose(stamp(), BODY)
    assert text.splitlines()[0] == "# Written by compose-model-reconciler. Edits are overwritten."
    assert text.splitlines()[1].startswith("# lineage: 0f0e project: demo epoch: 3 serial: 17 sha256: ")
    assert yaml.safe_load(text) == yaml.safe_load(BODY)
    assert written.changed
    assert written.checksum == hashlib.sha256(text.encode()).hexdigest()
    assert read_stamp(target) == stamp()
    assert names(target.parent) == [target.name]


def test_the_same_body_is_not_written_again_for_a_serial_or_an_epoch(target: Path) -> None:
    first = write_fenced(target, BODY, stamp(), now=NOW)
    before = target.stat()
    again = write_fenced(target, BODY, stamp(epoch=4, serial=99), now=NOW)
    assert not again.changed
    assert again.checksum == first.checksum
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert write_fenced(target, BODY + "# more\n", stamp(epoch=4), now=NOW).changed


def test_take_over_raises_the_epoch_and_fences_the_predecessor(target: Path) -> None:
    write_fenced(target, BODY, stamp(epoch=3), now=NOW)
    assert stamp_epoch(target, stamp(epoch=4))
    assert read_stamp(target) == stamp(epoch=4)
    kept = target.read_bytes()
    for attempt in (
        lambda: write_fenced(target, "x: 1\n", stamp(epoch=3), now=NOW),
        lambda: write_fenced(target, BODY, stamp(epoch=3), now=NOW),
        lambda: stamp_epoch(target, stamp(epoch=3)),
        lambda: remove_ours(target, stamp(epoch=3), now=NOW),
    ):
        with pytest.raises(Outranked):
            attempt()
    assert target.read_bytes() == kept
    assert target.read_text().endswith(BODY)


def test_an_epoch_is_not_stamped_where_there_is_nothing_of_ours(target: Path) -> None:
    assert not stamp_epoch(target, stamp())
    assert not target.exists()
    write_fenced(target, BODY, stamp(epoch=3), now=NOW)
    target.write_text(target.read_text() + "# mine\n")
    edited = target.read_bytes()
    assert not stamp_epoch(target, stamp(epoch=4))
    assert target.read_bytes() == edited


@pytest.mark.parametrize("content", ["services: {}\n", "", "# Written by somebody else\n", "\0\xff"])
def test_a_file_that_is_not_ours_is_left_alone(target: Path, content: str) -> None:
    target.write_text(content)
    for attempt in (
        lambda: write_fenced(target, BODY, stamp(), now=NOW, adopt=True),
        lambda: remove_ours(target, stamp(), now=NOW),
        lambda: stamp_epoch(target, stamp()),
    ):
        with pytest.raises(NotOurs, match="not written by us"):
            attempt()
    assert target.read_text() == content
    assert read_stamp(target) is None
    assert names(target.parent) == [target.name]


def test_links_directories_and_pipes_are_never_written_over(target: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text(compose(stamp(), BODY))  # ours in content, and still a link
    before = victim.read_bytes()
    for make in (
        lambda: target.symlink_to(victim),
        lambda: target.symlink_to(tmp_path / "dangling"),
        target.mkdir,
        lambda: os.mkfifo(target),
    ):
        make()
        assert read_stamp(target) is None
        with pytest.raises(NotOurs, match="not a regular file"):
            write_fenced(target, "x: 1\n", stamp(), now=NOW, adopt=True)
        with pytest.raises(NotOurs, match="not a regular file"):
            remove_ours(target, stamp(), now=NOW)
        assert os.path.lexists(target)
        target.rmdir() if target.is_dir() and not target.is_symlink() else target.unlink()
    assert victim.read_bytes() == before
    assert not (tmp_path / "dangling").exists()


def test_another_installation_or_project_is_not_overwritten_unless_adopted(target: Path) -> None:
    write_fenced(target, BODY, stamp(epoch=9), now=NOW)
    for other in (stamp(lineage="ffff"), stamp(project="shop")):
        with pytest.raises(NotOurs, match="belongs to project demo"):
            write_fenced(target, BODY, other, now=NOW)
    assert write_fenced(target, BODY, stamp(epoch=1, lineage="ffff"), now=NOW, adopt=True).changed
    assert read_stamp(target) == stamp(epoch=1, lineage="ffff")


def test_adopting_does_not_lift_the_fence_within_one_lineage(target: Path) -> None:
    write_fenced(target, BODY, stamp(epoch=9), now=NOW)
    with pytest.raises(Outranked):
        write_fenced(target, "x: 1\n", stamp(epoch=8), now=NOW, adopt=True)


def test_an_edit_of_our_file_is_kept_once_and_overwritten(target: Path) -> None:
    write_fenced(target, BODY, stamp(), now=NOW)
    edited = target.read_text().replace("8080", "9090")
    target.write_text(edited)
    written = write_fenced(target, BODY, stamp(), now=NOW)
    assert written.changed
    assert written.backup == target.with_name("compose.models.yaml.bak-20260823T120000Z")
    assert written.backup.read_text() == edited
    assert target.read_text() == compose(stamp(), BODY)
    target.write_text(edited)  # the very same edit again
    assert write_fenced(target, BODY, stamp(), now=NOW.replace(hour=13)).backup == written.backup
    target.write_text(edited + "# another\n")
    second = write_fenced(target, BODY, stamp(), now=NOW)
    assert second.backup == target.with_name("compose.models.yaml.bak-20260823T120000Z-2")
    assert len(names(target.parent)) == 3


def test_a_damaged_second_line_counts_as_an_edit(target: Path) -> None:
    write_fenced(target, BODY, stamp(), now=NOW)
    target.write_text(target.read_text().replace("epoch: 3", "epoch: three"))
    assert read_stamp(target) == Damaged()
    written = write_fenced(target, BODY, stamp(), now=NOW)
    assert written.backup is not None
    assert read_stamp(target) == stamp()


def test_removing_takes_only_our_file_and_keeps_an_edit(target: Path) -> None:
    assert not remove_ours(target, stamp(), now=NOW)
    write_fenced(target, BODY, stamp(), now=NOW)
    assert remove_ours(target, stamp(epoch=4), now=NOW)
    assert names(target.parent) == []
    write_fenced(target, BODY, stamp(), now=NOW)
    target.write_text(target.read_text() + "# mine\n")
    assert remove_ours(target, stamp(), now=NOW)
    assert names(target.parent) == ["compose.models.yaml.bak-20260823T120000Z"]


def test_the_mode_is_as_asked_whatever_the_umask(target: Path) -> None:
    before = os.umask(0o077)
    try:
        write_fenced(target, BODY, stamp(), now=NOW)
        assert target.stat().st_mode & 0o777 == 0o644
        assert write_fenced(target, BODY, stamp(), now=NOW, mode=0o600).changed
        assert target.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NotWritten, match="cannot be opened"):
        write_fenced(tmp_path / "no" / "file", BODY, stamp(), now=NOW)
    assert read_stamp(tmp_path / "no" / "file") is None


def test_two_writers_never_write_at_once(target: Path) -> None:
    write_fenced(target, BODY, stamp(), now=NOW)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(NotWritten, match="locked by another process"):
            write_fenced(target, "x: 1\n", stamp(), now=NOW, lock_within_s=0)
        assert read_stamp(target) == stamp()  # reading needs no lock
    finally:
        os.close(handle)
    assert write_fenced(target, "x: 1\n", stamp(), now=NOW, lock_within_s=0).changed


def test_what_a_killed_writer_left_behind_is_swept_and_nothing_else(target: Path) -> None:
    left = target.with_name(".compose.models.yaml.0123456789ab.tmp")
    other = target.with_name(".compose.models.yaml.notes.tmp")
    left.write_text("half")
    other.write_text("mine")
    write_fenced(target, BODY, stamp(), now=NOW)
    assert names(target.parent) == [other.name, target.name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, timeout=30
    )
    if mounted.returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here: run the tests as root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=30)


def test_a_full_disk_leaves_the_old_file_intact(small_disk: Path) -> None:
    target = small_disk / "compose.models.yaml"
    write_fenced(target, BODY, stamp(), now=NOW)
    before = target.read_bytes()
    with pytest.raises(NotWritten, match=r"No space left on device; the old one is intact"):
        write_fenced(target, "x: 1\n" * 20_000, stamp(), now=NOW)
    assert target.read_bytes() == before
    assert names(small_disk) == [target.name]
    assert write_fenced(target, "x: 1\n", stamp(), now=NOW).changed


def test_an_edit_that_cannot_be_saved_is_not_overwritten(small_disk: Path) -> None:
    target = small_disk / "compose.models.yaml"
    write_fenced(target, BODY, stamp(), now=NOW)
    target.write_text(target.read_text() + "# mine\n" * 5_000)
    edited = target.read_bytes()
    with pytest.raises(NotWritten, match="could not be saved"):
        write_fenced(target, BODY, stamp(), now=NOW)
    assert target.read_bytes() == edited
    assert names(small_disk) == [target.name]


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from reconciler.write import Stamp, write_fenced
target, number = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    number += 1
    write_fenced(target, f"n: {number}\\n" * 3000, Stamp("0f0e", "demo", 1, number), now=datetime.now(UTC))
"""


def test_kill_9_in_the_middle_leaves_the_old_or_the_new_version(target: Path) -> None:
    """S12, with a real process and a real SIGKILL at random moments."""
    chance = random.Random(20260823)
    versions = set()
    for _ in range(25):
        command = [sys.executable, "-c", WRITER, str(target)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            for _ in range(chance.randrange(1, 4000)):
                os.sched_yield()
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait(timeout=30)
        if target.exists():
            found = read_stamp(target)
            assert isinstance(found, Stamp)
            body = f"n: {found.serial}\n" * 3000
            assert target.read_text() == compose(found, body)
            versions.add(found.serial)
    assert versions, "no round got as far as a first write"
    write_fenced(target, BODY, stamp(), now=NOW)
    assert names(target.parent) == [target.name]
