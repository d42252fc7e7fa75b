"""A process of its own that uses a state: `python -m tests.state.process COMMAND PATH`, driven line by line.

hold     takes the lease, says `held EPOCH`; then commits once per line on stdin and says `committed N` or the refusal
commit   takes the lease and commits for ever, saying `committed N` after each
open     opens and closes the state with a migration that dies after as many statements as the third argument says
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from drivers.base import Phase
from state.connect import open_database
from state.place import Place
from state.record import Append, Change, PutDeployment
from state.schema import Migration
from state.sqlite import SqliteStore
from state.store import StateError
from tests.builders import deployment_record, event

CHECKOUT = Path(__file__).resolve().parents[2]
TTL_S = 3600.0
MIGRATION = (
    "CREATE TABLE prices (model TEXT PRIMARY KEY)",
    "INSERT INTO prices SELECT DISTINCT model FROM deployments",
    "ALTER TABLE projects ADD COLUMN paused INTEGER NOT NULL DEFAULT 0",
    "DROP TABLE outputs",
)
MODELS = 3


@contextmanager
def started(command: str, path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The process, killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.state.process", command, str(path), *arguments],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line the process says; empty when it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> str:
    """Give it a line, and hear what it says to it."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return line_of(process)


def changes(number: int) -> list[Change]:
    """Several rows that belong together: in a sound state all of them carry the same number."""
    records = [
        deployment_record(n, model=f"m{n}", phase=Phase.CREATING, detail=str(number)) for n in range(1, MODELS + 1)
    ]
    return [*map(PutDeployment, records), Append(event(text=str(number)))]


def dying_migration(after: int) -> Migration:
    """A migration whose process is gone after so many statements."""

    def migrate(connection: sqlite3.Connection) -> None:
        for number, statement in enumerate(MIGRATION):
            if number == after:
                os._exit(9)
            connection.execute(statement)
        if after == len(MIGRATION):
            os._exit(9)

    return migrate


def _hold(path: Path) -> None:
    store = SqliteStore.open(path)
    lease = store.acquire("demo", f"child/{os.getpid()}", TTL_S)
    print("held", lease.epoch, flush=True)
    for _ in sys.stdin:
        try:
            print("committed", store.commit(lease, changes(0)), flush=True)
        except StateError as exc:
            print(type(exc).__name__, flush=True)


def _commit(path: Path) -> None:
    store = SqliteStore.open(path)
    lease = store.acquire("demo", f"child/{os.getpid()}", TTL_S)
    for number in count(store.load("demo").serial + 1):
        print("committed", store.commit(lease, changes(number)), flush=True)


def _open(path: Path, after: int) -> None:
    open_database(Place(path), busy_timeout_s=0, migrations={1: dying_migration(after)}, target=2)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["hold", path]:
            _hold(Path(path))
        case ["commit", path]:
            _commit(Path(path))
        case ["open", path, after]:
            _open(Path(path), int(after))
