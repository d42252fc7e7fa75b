"""Changes are noticed at once on real inotify; where that fails, it is known and repaired, and never fatal."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.agenda import Debounce
from reconciler.source.git import GitSource
from reconciler.source.worktree import WorktreeSource
from reconciler.timers import Jobs, Ticker
from reconciler.watch import Watcher
from reconciler.workqueue import Workqueue
from tests.reconciler.repositories import Repo

SOON_S = 5.0
"""How long a test waits for a real event before it fails."""


class Marks:
    """Takes marks, and lets a test wait for the next one."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, key: str) -> None:
        with self._changed:
            self.seen.append(key)
            self._changed.notify_all()

    def until(self, key: str, change: Callable[[], object]) -> None:
        """Until the change has marked this key, and with it all marks of what happened before have come."""
        with self._changed:
            start = len(self.seen)
        change()
        with self._changed:
            assert self._changed.wait_for(lambda: key in self.seen[start:], SOON_S)

    def after(self, change: Callable[[], object]) -> set[str]:
        """The keys that were marked since just before the change; at least one, or the wait has ended."""
        with self._changed:
            start = len(self.seen)
        change()
        with self._changed:
            self._changed.wait_for(lambda: len(self.seen) > start, SOON_S)
            return set(self.seen[start:])


@contextmanager
def watching(marks: Callable[[str], None], check_every_s: float = 3600, **paths: list[str]) -> Iterator[Watcher]:
    watcher = Watcher(marks, check_every_s=check_every_s)
    for key, names in paths.items():
        watcher.set_paths(key, names)
    watcher.start()
    watcher.check()
    try:
        yield watcher
    finally:
        watcher.stop()


def replace(path: Path, text: str) -> None:
    """As editors save: write beside, rename over."""
    beside = path.with_name(f"{path.name}~")
    beside.write_text(text)
    beside.rename(path)


def test_a_file_that_matters_marks_its_project_and_another_file_does_not(tmp_path: Path) -> None:
    compose, other = tmp_path / "compose.yaml", tmp_path / "other.txt"
    compose.write_text("a")
    marks = Marks()
    with watching(marks, app=[str(compose)], shop=[str(tmp_path / "shop.yaml")]) as watcher:
        assert watcher.health().ok
        assert marks.after(lambda: compose.write_text("b")) == {"app"}
        assert marks.after(lambda: replace(compose, "c")) == {"app"}
        marks.until("shop", lambda: replace(tmp_path / "shop.yaml", "d"))
        before = len(marks.seen)
        other.write_text("x")
        other.unlink()
        compose.read_text()
        marks.until("shop", lambda: replace(tmp_path / "shop.yaml", "e"))
        assert set(marks.seen[before:]) == {"shop"}
        assert marks.after(compose.unlink) == {"app"}


def test_a_commit_a_branch_switch_and_packing_are_noticed(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "app")
    repo.commit({"compose.yaml": "name: one\n"})
    repo.git("branch", "feature/x")
    source, marks = GitSource(str(repo.path)), Marks()
    with watching(marks, app=list(source.watch_paths())) as watcher:
        assert marks.after(lambda: repo.commit({"compose.yaml": "name: two\n"}))
        assert marks.after(lambda: repo.git("checkout", "-q", "feature/x"))
        watcher.set_paths("app", source.watch_paths())
        watcher.check()
        assert marks.after(lambda: repo.commit({"compose.yaml": "name: three\n"}))
        assert marks.after(lambda: repo.git("pack-refs", "--all", "--prune"))
        watcher.check()  # the directory of feature/x is gone with it
        assert marks.after(lambda: repo.commit({"compose.yaml": "name: four\n"}))


def test_a_commit_starts_a_pass_within_a_tenth_of_a_second(tmp_path: Path) -> None:
    """The aim for a change is p95 of 100 ms from the ref's update to the start of the pass."""
    repo = Repo(tmp_path / "app")
    repo.commit({"compose.yaml": "name: one\n"})
    source, queue = GitSource(str(repo.path)), Workqueue(debounce=lambda: Debounce(burst=100))
    with watching(queue.mark, app=list(source.watch_paths())):
        waits = []
        for number in range(3):
            id = repo.git("commit-tree", "-m", f"{number}", "HEAD^{tree}")
            while queue_is_due(queue):  # marks of the preparation
                pass
            ref = repo.path / ".git/refs/heads/main"
            start = time.monotonic()
            replace(ref, f"{id}\n")
            assert queue.get() == "app"
            waits.append(time.monotonic() - start)
            assert source.head() == id
            queue.done("app")
    assert min(waits) < 0.1


def queue_is_due(queue: Workqueue) -> bool:
    """Take and finish what is due within 50 ms; False when nothing is."""
    taken: list[str | None] = []
    taker = threading.Thread(target=lambda: taken.append(queue.get()))
    queue.add_at("nothing", time.monotonic() + 0.05)
    taker.start()
    taker.join()
    assert taken[0] is not None
    queue.done(taken[0])
    return taken[0] != "nothing"


def test_a_replaced_directory_is_watched_again(tmp_path: Path) -> None:
    """E9: a plain observer stays alive, and silent for ever."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "compose.yaml").write_text("a")
    marks = Marks()

    def swap() -> None:
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        (fresh / "compose.yaml").write_text("b")
        app.rename(tmp_path / "old")
        fresh.rename(app)

    with watching(marks, app=[str(app / "compose.yaml")]) as watcher:
        assert marks.after(swap) == {"app"}
        watcher.check()
        assert marks.after(lambda: (app / "compose.yaml").write_text("c")) == {"app"}
        assert marks.after(lambda: shutil.rmtree(app)) == {"app"}
        watcher.check()
        assert marks.after(lambda: (app.mkdir(), (app / "compose.yaml").write_text("d"))) == {"app"}
        watcher.check()
        assert marks.after(lambda: (app / "compose.yaml").write_text("e")) == {"app"}
        assert watcher.health().ok


def test_a_release_switched_by_a_symbolic_link_is_noticed(tmp_path: Path) -> None:
    for name in ("r1", "r2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "compose.yaml").write_text(name)
    current = tmp_path / "current"
    current.symlink_to("r1")
    marks = Marks()

    def switch() -> None:
        (tmp_path / "next").symlink_to("r2")
        (tmp_path / "next").rename(current)

    with watching(marks, app=[str(current / "compose.yaml")]) as watcher:
        assert marks.after(lambda: (tmp_path / "r1/compose.yaml").write_text("x")) == {"app"}
        assert marks.after(switch) == {"app"}
        watcher.check()
        assert marks.after(lambda: (tmp_path / "r2/compose.yaml").write_text("y")) == {"app"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_an_unmounted_and_mounted_again_directory_is_watched_again(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, timeout=30).returncode != 0:
        pytest.skip("tmpfs cannot be mounted here")
    marks = Marks()
    with watching(marks, app=[str(folder / "compose.yaml")]) as watcher:
        assert marks.after((folder / "compose.yaml").touch) == {"app"}
        subprocess.run(["umount", str(folder)], check=True, timeout=30)
        assert marks.after(watcher.check) == {"app"}
        subprocess.run(mount, check=True, timeout=30)
        try:
            assert marks.after(watcher.check) == {"app"}
            assert marks.after((folder / "compose.yaml").touch) == {"app"}
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True, timeout=30)


def test_a_mark_that_raises_does_not_end_the_watching(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """E11: an exception in a handler ends watchdog's thread, and no error surfaces."""
    compose = tmp_path / "compose.yaml"
    marks, broken = Marks(), threading.Event()
    broken.set()
    raised = threading.Event()

    def mark(key: str) -> None:
        if broken.is_set():
            raised.set()
            raise RuntimeError("a fault in a test")
        marks(key)

    watcher = Watcher(mark, check_every_s=3600)
    watcher.set_paths("app", [str(compose)])
    with caplog.at_level(logging.CRITICAL):
        watcher._keeper.start()
        assert raised.wait(SOON_S)  # the first check marks, too
        raised.clear()
        compose.touch()
        assert raised.wait(SOON_S)
        broken.clear()
        assert marks.after(lambda: compose.write_text("a")) == {"app"}
    watcher.stop()


def test_an_observer_that_died_is_started_again(tmp_path: Path) -> None:
    compose = tmp_path / "compose.yaml"
    marks = Marks()
    with watching(marks, app=[str(compose)]) as watcher:
        watcher._observer.stop()
        watcher._observer.join(SOON_S)
        assert marks.after(watcher.check) == {"app"}  # for what happened while it was dead
        assert marks.after(compose.touch) == {"app"}
        assert watcher.health().ok


def test_a_storm_of_files_makes_few_passes_and_the_real_change_is_among_them(tmp_path: Path) -> None:
    compose = tmp_path / "compose.yaml"
    queue, passes, content = Workqueue(), [], []

    def work() -> None:
        while (key := queue.get()) is not None:
            passes.append(key)
            content.append(compose.read_text() if compose.exists() else "")
            queue.done(key)
            if content[-1] == "the last":
                finished.set()

    finished = threading.Event()
    worker = threading.Thread(target=work)
    worker.start()
    with watching(queue.mark, app=[str(compose)]):
        start = time.monotonic()
        for number in range(5000):
            (tmp_path / f"{number}.tmp").touch()
            (tmp_path / f"{number}.tmp").unlink()
            if number % 10 == 0:
                compose.write_text(f"{number}")
        replace(compose, "the last")
        assert finished.wait(SOON_S)
        took = time.monotonic() - start
    queue.close()
    worker.join(SOON_S)
    assert len(passes) <= 4 + took + 1


def test_lost_events_mark_everything(tmp_path: Path) -> None:
    """E10: the handler is not told of an overflow; only a log line says so."""
    marks = Marks()
    with watching(marks, app=[str(tmp_path / "a")], shop=[str(tmp_path / "b")]):
        tell = logging.getLogger("watchdog.observers.inotify_c").warning
        assert marks.after(lambda: tell("Inotify queue overflowed; filesystem events were lost"))
        assert set(marks.seen[-2:]) == {"app", "shop"}


LIMITED = """
import sys
from pathlib import Path
from reconciler.watch import Watcher
Path("/proc/sys/user/max_inotify_watches").write_text("0")
watcher = Watcher(lambda key: None)
watcher.set_paths("app", [sys.argv[1] + "/compose.yaml"])
watcher.start()
print(watcher.health().ok, watcher.health().reason)
Path("/proc/sys/user/max_inotify_watches").write_text("1000")
print(watcher.check().ok)
watcher.stop()
"""


def test_the_limit_of_watches_is_a_named_degradation_that_heals(tmp_path: Path) -> None:
    """With a user namespace of its own, so that the limit is nobody else's."""
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    if "unshare" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("False the system's limit of inotify watches is reached")
    assert "True" in lines


def test_all_files_of_a_work_tree_are_watched(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: one\n")
    source, marks = WorktreeSource(tmp_path), Marks()
    source.read().files.is_file(f"{tmp_path}/sub/more.yaml")
    with watching(marks, app=list(source.watch_paths())) as watcher:
        assert marks.after(lambda: (tmp_path / ".env").touch()) == {"app"}
        assert marks.after((tmp_path / "sub").mkdir) == {"app"}
        watcher.check()
        assert marks.after((tmp_path / "sub/more.yaml").touch) == {"app"}


def test_forgetting_a_project_ends_its_marks(tmp_path: Path) -> None:
    marks = Marks()
    with watching(marks, app=[str(tmp_path / "a")], shop=[str(tmp_path / "b")]) as watcher:
        watcher.set_paths("app", [])
        watcher.check()
        before = len(marks.seen)
        (tmp_path / "a").touch()
        assert "shop" in marks.after((tmp_path / "b").touch)
        assert "app" not in marks.seen[before:]


def test_a_ticker_goes_on_after_a_tick_that_raised_and_ends_when_told(caplog: pytest.LogCaptureFixture) -> None:
    ticks, third = [], threading.Event()

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            third.set()
        raise RuntimeError("a fault in a test")

    ticker = Ticker("test", 0.001, tick)
    with caplog.at_level(logging.CRITICAL):
        ticker.start()
        assert third.wait(SOON_S)
        ticker.stop()
    assert not ticker.is_alive
    count = len(ticks)
    ticker.nudge()
    assert len(ticks) == count


def test_a_nudged_ticker_does_not_wait_for_its_interval() -> None:
    ticked = threading.Event()
    ticker = Ticker("test", 3600, ticked.set)
    ticker.start()
    ticker.nudge()
    assert ticked.wait(SOON_S)
    ticker.stop()


def test_a_slow_job_does_not_starve_a_quick_one() -> None:
    """E12: with the scheduler's defaults the quick one ran 0 of 7 times."""
    release, quick = threading.Event(), threading.Event()
    jobs = Jobs(workers=1)
    jobs.every("slow", 0.05, lambda: release.wait(SOON_S))
    jobs.every("quick", 0.05, quick.set)
    jobs.start()
    try:
        threading.Timer(0.3, release.set).start()
        assert quick.wait(SOON_S)
        jobs.drop("quick")
        jobs.drop("quick")
    finally:
        release.set()
        jobs.stop()
