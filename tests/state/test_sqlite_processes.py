"""Real processes on one state: killed, stopped, contending. The kernel's part cannot be imitated."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from state.clock import Clock, system_clock
from state.record import Append, PutModel
from state.sqlite import SqliteStore
from state.store import Held, Lease
from tests.builders import LINEAGE, event, model_record
from tests.state.process import MODELS, TTL_S, line_of, started, tell


@pytest.fixture
def path(tmp_path: Path) -> Path:
    SqliteStore.create(tmp_path / "state.db", lineage=LINEAGE).close()
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(path)
    yield store
    store.close()


def later(seconds: float) -> Clock:
    """The machine's clock, as it will read when so many seconds have gone by."""
    clock = system_clock()
    return replace(clock, since_boot=lambda: clock.since_boot() + seconds)


def test_killed_in_the_middle_of_commits_the_state_is_old_or_new(path: Path) -> None:
    serial, epoch = 0, 0
    for kills in range(8):
        with started("commit", path) as process:
            said = [line_of(process) for _ in range(1 + kills % 4)]
            process.send_signal(signal.SIGKILL)
            process.wait()
        acknowledged = int(said[-1].removeprefix("committed "))
        store = SqliteStore.open(path)
        found = store.load("demo")
        details = {record.detail for record in found.deployments.values()}
        assert len(found.deployments) == MODELS
        assert details == {str(found.serial)}
        assert store.events("demo", limit=1)[0][1].text == str(found.serial)
        assert found.serial >= acknowledged > serial
        assert found.epoch == epoch + 1
        serial, epoch = found.serial, found.epoch
        store.close()


def test_second_process_is_told_who_holds_the_lease(path: Path, store: SqliteStore) -> None:
    with started("hold", path) as process:
        assert line_of(process) == "held 1"
        with pytest.raises(Held, match=f"child/{process.pid}"):
            store.acquire("demo", "me", TTL_S)
        assert tell(process) == "committed 1"


def test_killed_holder_is_followed_at_once(path: Path, store: SqliteStore) -> None:
    with started("hold", path) as process:
        assert line_of(process) == "held 1"
        process.kill()
        process.wait()
        assert store.acquire("demo", "me", TTL_S).epoch == 2


def test_stopped_holder_is_not_followed_before_its_time_is_up(path: Path) -> None:
    with started("hold", path) as process:
        assert line_of(process) == "held 1"
        process.send_signal(signal.SIGSTOP)
        early = SqliteStore.open(path, clock=later(TTL_S / 2))
        with pytest.raises(Held):
            early.acquire("demo", "me", TTL_S)
        early.close()


def test_stopped_holder_is_fenced_when_it_wakes(path: Path) -> None:
    with started("hold", path) as process:
        assert line_of(process) == "held 1"
        process.send_signal(signal.SIGSTOP)
        follower = SqliteStore.open(path, clock=later(TTL_S + 1))
        lease = follower.acquire("demo", "me", TTL_S)
        follower.commit(lease, [PutModel(model_record())])
        process.send_signal(signal.SIGCONT)
        assert tell(process) == "Fenced"
        assert follower.load("demo").deployments == {}
        # Its death now frees nothing: the lock that counts is the follower's.
        process.kill()
        process.wait()
        third = SqliteStore.open(path, clock=later(TTL_S + 1))
        with pytest.raises(Held, match="me"):
            third.acquire("demo", "third", TTL_S)
        third.close()
        follower.close()


def test_lease_of_an_earlier_boot_is_void(path: Path) -> None:
    # A lock cannot outlive a boot; this one is held by a process that the row does not speak of.
    clock = system_clock()
    earlier = SqliteStore.open(path, clock=replace(clock, boot_id="an earlier boot"))
    earlier.acquire("demo", "ghost", TTL_S)
    store = SqliteStore.open(path, clock=clock)
    assert store.acquire("demo", "me", TTL_S).epoch == 2
    store.close()
    earlier.close()


def test_children_do_not_inherit_the_lock(path: Path, store: SqliteStore) -> None:
    other = SqliteStore.open(path)
    other.acquire("demo", "parent", TTL_S)
    # A model server that outlives its reconciler; even one started carelessly, with all descriptors left open.
    child = subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        close_fds=False,
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        other.close()
        assert store.acquire("demo", "me", TTL_S).epoch == 2
    finally:
        child.kill()
        child.communicate()


def test_threads_share_one_store(store: SqliteStore) -> None:
    lease = store.acquire("demo", "me", TTL_S)
    serials: list[int] = []

    def work() -> None:
        for _ in range(10):
            serials.append(store.commit(lease, [Append(event())]))
            store.load("demo")
            store.renew(lease)

    run_all([work] * 4)
    assert sorted(serials) == list(range(1, 41))
    assert len(store.events("demo")) == 40


def test_one_of_many_contenders_wins(path: Path, store: SqliteStore) -> None:
    stores = [SqliteStore.open(path) for _ in range(4)]
    won: list[Lease] = []
    lost: list[Held] = []

    def contend(contender: SqliteStore, name: str) -> None:
        try:
            won.append(contender.acquire("demo", name, TTL_S))
        except Held as exc:
            lost.append(exc)

    run_all([partial(contend, each, str(number)) for number, each in enumerate(stores)])
    assert (len(won), len(lost)) == (1, 3)
    assert store.load("demo").epoch == 1
    for each in stores:
        each.close()


def run_all(jobs: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
