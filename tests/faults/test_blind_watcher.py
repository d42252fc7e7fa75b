"""Promise: a watcher that sees nothing any more, for whatever reason, delays a change until the next poll and hides
none.

Here it sees nothing from the beginning. How it goes blind, and how it is repaired (a replaced directory, an unmounted
one, an overflow, an error in a handler, the limit of watches), is in `test_watch`.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import cast

import pytest

from reconciler.clock import SystemClock
from reconciler.daemon import Daemon, Followed
from reconciler.engine import Engine
from reconciler.errors import SourceError
from reconciler.reading import Reader
from reconciler.result import PassResult
from reconciler.settings import ProjectSettings, default_settings
from reconciler.watch import Watcher
from reconciler.wiring import service_reader
from tests.builders import plan, recorded
from tests.faults.disks import small_disk
from tests.reconciler.repositories import Repo

SOON_S = 20.0
"""Seconds that a test waits at most for something that takes milliseconds."""


class _Blind(Watcher):
    """Looks at nothing, says nothing, and claims to be well."""

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def set_paths(self, key: str, paths: Sequence[str]) -> None:
        pass


class _Passes:
    """Stands where the engine does: each pass reads, and says which revision that was."""

    tenure = None

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._read: queue.Queue[str] = queue.Queue()

    def run_once(self) -> PassResult:
        with suppress(SourceError):
            self._read.put(self._reader.read().revision)
        return PassResult(plan=plan(), known=recorded(), look_again_s=3600.0)

    def close(self) -> None:
        """Nothing is held."""

    def until(self, revision: str) -> None:
        while self._read.get(timeout=SOON_S) != revision:
            pass


@contextmanager
def followed(checkout: Path) -> Iterator[_Passes]:
    """A service that follows the checkout without a watcher."""
    reader = service_reader(ProjectSettings(checkout=checkout), default_settings({"HOME": str(checkout.parent)}), {})
    passes = _Passes(reader)
    daemon = Daemon({"app": Followed(reader, cast(Engine, passes))}, SystemClock(), poll_interval_s=0.05)
    daemon._watcher = _Blind(daemon._queue.mark)
    thread = Thread(target=daemon.run)
    thread.start()
    try:
        yield passes
    finally:
        daemon.stop()
        thread.join()


def _commit(repo: Repo) -> str:
    return repo.commit({"compose.yaml": "name: app\nservices:\n  later: {image: app}\n"})


def _fresh_clone(repo: Repo) -> str:
    """As some deployments update: a new clone beside, then the directories change places."""
    beside = Repo(repo.path.with_name("beside"))
    beside.git("fetch", "-q", str(repo.path), "main")
    beside.git("reset", "-q", "--hard", "FETCH_HEAD")
    revision = _commit(beside)
    repo.path.rename(repo.path.with_name("old"))
    beside.path.rename(repo.path)
    return revision


def _packed(repo: Repo) -> str:
    revision = _commit(repo)
    repo.git("pack-refs", "--all", "--prune")
    return revision


@pytest.mark.parametrize("change", [_commit, _fresh_clone, _packed])
def test_the_poll_sees_what_nobody_told(tmp_path: Path, change: Callable[[Repo], str]) -> None:
    repo = Repo(tmp_path / "app")
    first = repo.commit({"compose.yaml": "name: app\nservices:\n  app: {image: app}\n"})
    with followed(repo.path) as passes:
        passes.until(first)
        passes.until(change(repo))


def test_the_poll_sees_a_checkout_whose_disk_was_away(tmp_path: Path) -> None:
    with small_disk(tmp_path / "app", "8m") as disk:
        first = Repo(disk).commit({"compose.yaml": "name: app\nservices:\n  app: {image: app}\n"})
        with followed(disk) as passes:
            passes.until(first)
            with small_disk(disk, "8m"):  # an empty one over it: what was there is away
                another = _commit(Repo(disk))
                passes.until(another)
            passes.until(first)
