"""Promise: while somebody switches branches 10,000 times, nothing between two branches is believed: no reading that
is half of each, none without models. E8: 60 such switches gave a naive reader 748 missing files and 41 empty ones."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.compose.load import LoadRequest
from reconciler.desired import DesiredSettings
from reconciler.errors import InputError, SourceError
from reconciler.reading import Reader
from reconciler.source import Snapshot, Source
from reconciler.source.git import GitSource
from reconciler.source.worktree import WorktreeSource
from tests.faults.flipping import BRANCHES, FILES, text
from tests.reconciler.repositories import Repo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

REAL, IMITATED = 250, 9_750
WHOLE = {branch: frozenset({f"{branch}-a", f"{branch}-b"}) for branch in BRANCHES}


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Two branches that have nothing in common but the names of their files."""
    made = Repo(tmp_path / "flips")
    for branch in BRANCHES:
        made.git("checkout", "-q", "--orphan", branch)
        made.commit({name: text(branch, name) for name in FILES})
    return made


@contextmanager
def flipping(repo: Repo) -> Iterator[threading.Event]:
    """Somebody switches all the time; the event says that all the switches were made."""
    command = [sys.executable, "-m", "tests.faults.flipping", str(repo.path), str(REAL), str(IMITATED)]
    over = threading.Event()
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:

        def wait() -> None:
            assert process.stdout is not None
            if process.stdout.read() == "done\n":
                over.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        try:
            yield over
        finally:
            process.kill()
            waiter.join()


def reader(source: Source) -> Reader:
    def request(snapshot: Snapshot) -> LoadRequest:
        return LoadRequest(cwd=snapshot.root, environment={})

    return Reader(source, request, DesiredSettings())


def reading(seen: Counter[frozenset[str]], reads: Reader) -> None:
    """Read once and count the set of models that came of it; the empty set counts what was refused."""
    try:
        seen[frozenset(reads.read().desired.judged)] += 1
    except (SourceError, InputError):
        seen[frozenset()] += 1


def test_nothing_between_two_branches_is_ever_believed(repo: Repo) -> None:
    """The reader of a work tree has a clock that goes slower than the real one: a writer that the system lets wait for
    long is not one at rest."""
    rested = 0.0
    commits = GitSource(str(repo.path))
    settled = WorktreeSource(
        repo.path, stable=True, monotonic=lambda: time.monotonic() / 100 + rested, wall=lambda: 0.0
    )
    by_commit, by_tree, naive = reader(commits), reader(settled), reader(WorktreeSource(repo.path))
    of_commits, of_tree, of_naive = Counter[frozenset[str]](), Counter[frozenset[str]](), Counter[frozenset[str]]()
    with flipping(repo) as over:
        while not over.is_set():
            reading(of_commits, by_commit)
            reading(of_tree, by_tree)
            reading(of_naive, naive)
    commits.close()
    assert set(of_commits) == set(WHOLE.values()), "a commit is never half there, and never missing"
    assert set(of_tree) == {frozenset()}, "it never rested"
    assert set(of_naive) - set(WHOLE.values()), "what this guards against does not happen: the test shows nothing"
    assert of_commits.total() > 500
    for _ in range(3):  # a look may find a file that nobody had asked for before
        rested += 10.0
        reading(of_tree, by_tree)
    assert set(of_tree) & set(WHOLE.values()), "it rests, and is believed"
