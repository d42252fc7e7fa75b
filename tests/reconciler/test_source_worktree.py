"""Plain files: read as they lie in a one-shot run, believed only when settled in the service."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from reconciler.errors import InputError, SourceError
from reconciler.source import Changing
from reconciler.source.worktree import WorktreeSource


class Clocks:
    """Monotonic and wall time that move only when told to. Wall time starts long after every file's own times."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.wall = 4e9

    def pass_by(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def stable(root: Path, clocks: Clocks, *files: str) -> WorktreeSource:
    return WorktreeSource(root, files, stable=True, monotonic=lambda: clocks.monotonic, wall=lambda: clocks.wall)


def test_reads_files_as_they_lie(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: one\n")
    (tmp_path / "link.yaml").symlink_to("compose.yaml")
    snapshot = WorktreeSource(tmp_path).read()
    assert snapshot.root == str(tmp_path)
    assert snapshot.files.read(f"{tmp_path}/compose.yaml") == b"name: one\n"
    assert snapshot.files.read(f"{tmp_path}/link.yaml") == b"name: one\n"
    assert snapshot.files.is_file(f"{tmp_path}/link.yaml")
    assert not snapshot.files.is_file(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        snapshot.files.read(f"{tmp_path}/none.yaml")
    with pytest.raises(IsADirectoryError):
        snapshot.files.read(str(tmp_path))


def test_revision_follows_the_content_and_nothing_else(tmp_path: Path) -> None:
    compose = tmp_path / "compose.yaml"
    compose.write_text("name: one\n")
    source = WorktreeSource(tmp_path)
    first = source.read().revision
    assert first.startswith("worktree:")
    os.utime(compose, (1, 1))
    assert source.read().revision == first
    compose.write_text("name: two\n")
    assert source.read().revision != first


def test_head_changes_with_every_file_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: one\n")
    (tmp_path / "more.yaml").write_text("a: 1\n")
    source = WorktreeSource(tmp_path)
    files = source.read().files
    files.read(f"{tmp_path}/more.yaml")
    files.is_file(f"{tmp_path}/compose.override.yaml")
    heads = [source.head(), source.head()]
    assert heads[0] == heads[1]
    (tmp_path / "unrelated.txt").write_text("x")
    assert source.head() == heads[0]
    for change in (
        lambda: (tmp_path / "more.yaml").write_text("a: 22\n"),
        lambda: (tmp_path / "compose.override.yaml").write_text("b: 1\n"),
        lambda: (tmp_path / "compose.yaml").unlink(),
    ):
        change()
        heads.append(source.head())
    assert len(set(heads)) == 4


def test_missing_and_empty_are_ignorance(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not there"):
        WorktreeSource(tmp_path / "nowhere").read()
    with pytest.raises(SourceError, match="is not there"):
        WorktreeSource(tmp_path / "nowhere").head()
    (tmp_path / "compose.yaml").write_text("\n")
    with pytest.raises(SourceError, match="is empty"):
        WorktreeSource(tmp_path).read().files.read(f"{tmp_path}/compose.yaml")


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    files = WorktreeSource(tmp_path, named=["/dev/zero"]).read().files
    for path in (f"{tmp_path}/pipe.yaml", "/dev/zero"):
        with pytest.raises(InputError, match="not a regular file"):
            files.read(path)


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "huge.yaml", "wb") as file:
        file.truncate(9 * 1024 * 1024)
    with pytest.raises(InputError, match="larger than"):
        WorktreeSource(tmp_path).read().files.read(f"{tmp_path}/huge.yaml")


def test_old_files_are_believed_at_once(tmp_path: Path, clocks: Clocks) -> None:
    (tmp_path / "compose.yaml").write_text("name: one\n")
    snapshot = stable(tmp_path, clocks).read()
    assert snapshot.files.read(f"{tmp_path}/compose.yaml") == b"name: one\n"
    assert not snapshot.files.is_file(f"{tmp_path}/compose.override.yaml")


def test_a_change_is_believed_after_two_equal_looks(tmp_path: Path, clocks: Clocks) -> None:
    compose = tmp_path / "compose.yaml"
    compose.write_text("name: one\n")
    source = stable(tmp_path, clocks)
    source.read()
    clocks.wall = compose.stat().st_mtime  # the files' own times prove nothing from here on
    compose.write_text("name: two\n")
    with pytest.raises(Changing) as caught:
        source.read()
    assert caught.value.look_again_s == 0.5
    clocks.monotonic += 0.3
    with pytest.raises(Changing) as caught:
        source.read()
    assert caught.value.look_again_s == pytest.approx(0.2)
    compose.write_text("name: three\n")
    clocks.monotonic += 0.3
    with pytest.raises(Changing):
        source.read()
    clocks.monotonic += 0.5
    assert source.read().files.read(str(compose)) == b"name: three\n"


def test_a_file_that_vanishes_for_a_moment_is_not_missing(tmp_path: Path, clocks: Clocks) -> None:
    compose = tmp_path / "compose.yaml"
    compose.write_text("name: one\n")
    source = stable(tmp_path, clocks)
    files = source.read().files
    clocks.wall = compose.stat().st_mtime
    compose.unlink()
    with pytest.raises(Changing):
        files.read(str(compose))
    with pytest.raises(Changing):
        files.is_file(str(compose))
    clocks.monotonic += 0.5
    with pytest.raises(FileNotFoundError):
        source.read().files.read(str(compose))


def test_a_fresh_file_nobody_knew_is_waited_for(tmp_path: Path, clocks: Clocks) -> None:
    source = stable(tmp_path, clocks)
    files = source.read().files
    (tmp_path / "more.yaml").write_text("a: 1\n")
    clocks.wall = (tmp_path / "more.yaml").stat().st_mtime
    with pytest.raises(Changing):
        files.read(f"{tmp_path}/more.yaml")
    clocks.monotonic += 0.5
    assert source.read().files.read(f"{tmp_path}/more.yaml") == b"a: 1\n"


def test_a_file_that_changes_while_it_is_read_is_not_believed(
    tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = tmp_path / "compose.yaml"
    compose.write_text("name: one\n")
    files = stable(tmp_path, clocks).read().files

    def read_and_be_late(path: str) -> bytes:
        data = Path(path).read_bytes()[:5]
        compose.write_text("name: three\n")
        return data

    monkeypatch.setattr("reconciler.source.worktree.read_regular", read_and_be_late)
    with pytest.raises(Changing, match="changed while it was read"):
        files.read(str(compose))


def test_no_state_in_between_is_ever_believed(tmp_path: Path) -> None:
    """E8, against a writer that truncates, writes in two parts, removes the file and renames a new one into place. The
    reader's clock goes with the writer's rounds, so that a writer the system lets wait is not taken for one at rest,
    and every step of it takes 50 real ms: files' times have a grain of some milliseconds, more on a busy machine."""
    compose, whole = tmp_path / "compose.yaml", b"name: one\n" * 50
    compose.write_bytes(whole)
    clock, stop = [0.0], threading.Event()

    def write() -> None:
        moved = time.monotonic()
        while not stop.is_set():
            with open(compose, "wb", buffering=0) as file:
                file.write(whole[:100])
                file.write(whole[100:])
            compose.unlink()
            (tmp_path / "new").write_bytes(whole)
            (tmp_path / "new").rename(compose)
            if time.monotonic() - moved > 0.05:
                moved, clock[0] = time.monotonic(), clock[0] + 0.2

    source = WorktreeSource(tmp_path, stable=True, monotonic=lambda: clock[0], wall=lambda: 0.0)
    writer = threading.Thread(target=write)
    writer.start()
    refused = 0
    try:
        for _ in range(3000):
            try:
                assert source.read().files.read(str(compose)) == whole
            except Changing:
                refused += 1
    finally:
        stop.set()
        writer.join()
    assert refused > 1000
    with pytest.raises(Changing):
        source.read()
    clock[0] += 1
    assert source.read().files.read(str(compose)) == whole


def test_reading_while_a_service_asks_for_head_is_safe(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: one\n")
    source = WorktreeSource(tmp_path)
    files, errors = source.read().files, []

    def ask() -> None:
        try:
            for _ in range(300):
                source.head()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the test reports it
            errors.append(exc)

    asker = threading.Thread(target=ask)
    asker.start()
    for number in range(300):
        files.is_file(f"{tmp_path}/{number}.yaml")
    asker.join()
    assert not errors
