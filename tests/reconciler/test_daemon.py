"""The service's loop: it survives everything that a pass can do, acts on every mark, and stops when told."""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from drivers.errors import Unavailable
from reconciler import daemon as module
from reconciler.clock import SystemClock
from reconciler.daemon import Daemon, Followed
from reconciler.engine import Engine
from reconciler.errors import InputError, SourceError
from reconciler.ports import Clock
from reconciler.reading import Reader
from reconciler.result import PassResult
from reconciler.tenure import Tenure
from reconciler.write import NotWritten, Outranked
from state.memory import MemoryStore
from state.store import Fenced, Held, StateBusy
from tests.builders import place, plan, recorded
from tests.reconciler.world import VirtualClock

SOON_S = 10.0
"""Seconds that a test waits at most for something that takes milliseconds."""
QUIET = PassResult(plan=plan(), known=recorded(), look_again_s=3600.0)
UNREAD = PassResult(plan=None, known=None, trouble="compose.yaml is empty", look_again_s=0.01)


class Passes:
    """Stands where an engine does: each pass is what the test put into the queue, or quiet."""

    def __init__(self, *outcomes: PassResult | Exception) -> None:
        self.outcomes = list(outcomes)
        self.begun: queue.Queue[int] = queue.Queue()
        self.tenure: Tenure | None = None
        self.closed = 0
        self.hold = threading.Event()
        self.hold.set()
        self._count = 0

    def run_once(self) -> PassResult:
        self._count += 1
        self.begun.put(self._count)
        assert self.hold.wait(SOON_S)
        outcome = self.outcomes.pop(0) if self.outcomes else QUIET
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def lose_lease(self) -> None:
        self.tenure = None

    def close(self) -> None:
        self.closed += 1

    def until(self, count: int) -> None:
        """Until that many passes have begun."""
        while self.begun.get(timeout=SOON_S) < count:
            pass


class Head:
    """Stands where a reader does."""

    def __init__(self, folder: Path) -> None:
        self.token, self.read_head = "one", "one"
        self.hangs = threading.Event()
        self.hangs.set()
        self.trouble: Exception | None = None
        self._folder = folder
        self.asked = threading.Semaphore(0)

    def head(self) -> str:
        self.asked.release()
        assert self.hangs.wait(SOON_S)
        if self.trouble is not None:
            raise self.trouble
        return self.token

    def watch_paths(self) -> tuple[str, ...]:
        return (str(self._folder / "HEAD"),)


class Bench:
    """A running daemon over such engines."""

    def __init__(self, folder: Path, *, clock: Clock | None = None, poll_s: float = 3600.0, **engines: Passes) -> None:
        self.told: queue.Queue[tuple[str, PassResult]] = queue.Queue()
        self.engines = engines
        self.heads = {name: Head(folder) for name in engines}
        followed = {
            name: Followed(cast(Reader, self.heads[name]), cast(Engine, engine)) for name, engine in engines.items()
        }
        self.alive = 0
        self.daemon = Daemon(
            followed,
            clock or SystemClock(),
            poll_interval_s=poll_s,
            tell=lambda key, result: self.told.put((key, result)),
            alive=self._count,
        )
        self.thread = threading.Thread(target=self.daemon.run, daemon=True)

    def _count(self) -> None:
        self.alive += 1

    def stop(self) -> None:
        self.daemon.stop()
        self.thread.join(SOON_S)
        assert not self.thread.is_alive()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAND_BY_S", 0.01)
    monkeypatch.setattr(module, "TROUBLE_S", 0.01)


@contextmanager
def running(folder: Path, *, poll_s: float = 3600.0, **engines: Passes) -> Iterator[Bench]:
    bench = Bench(folder, clock=None, poll_s=poll_s, **engines)
    bench.thread.start()
    try:
        yield bench
    finally:
        bench.stop()


TROUBLES: tuple[Callable[[], Exception], ...] = (
    lambda: Held("project 'shop' is being reconciled by host:1"),
    lambda: Fenced("the lease is no longer current"),
    lambda: StateBusy("somebody holds the database"),
    lambda: SourceError("the checkout is not there"),
    lambda: InputError("must be a mapping", place()),
    lambda: Outranked("another reconciler took over"),
    lambda: NotWritten("no space left"),
)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda make: type(make()).__name__)
def test_whatever_is_wrong_is_said_once_without_a_traceback_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: Callable[[], Exception]
) -> None:
    engine = Passes(trouble(), trouble(), trouble())
    with caplog.at_level(logging.INFO), running(tmp_path, shop=engine) as bench:
        assert bench.told.get(timeout=SOON_S) == ("shop", QUIET)
    said = [record.getMessage() for record in caplog.records if record.name == "reconciler.daemon"]
    assert said == [f"shop: {trouble()}", "shop: the trouble is over"]
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("error", [ValueError("a mistake of ours"), Unavailable("escaped"), OSError("disk")])
def test_a_mistake_of_ours_does_not_end_the_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    with running(tmp_path, shop=Passes(error)) as bench:
        assert bench.told.get(timeout=SOON_S)[0] == "shop"
    assert any(record.exc_info for record in caplog.records), "for those who mend it"


def test_a_project_in_trouble_hinders_no_other(tmp_path: Path) -> None:
    stuck = Passes()
    stuck.hold.clear()
    with running(tmp_path, stuck=stuck, shop=Passes()) as bench:
        stuck.until(1)
        assert bench.told.get(timeout=SOON_S)[0] == "shop"
        stuck.hold.set()


def test_one_pass_per_project_at_a_time(tmp_path: Path) -> None:
    engine = Passes()
    engine.hold.clear()
    with running(tmp_path, shop=engine) as bench:
        engine.until(1)
        bench.daemon.mark_all()
        assert engine.begun.empty()
        engine.hold.set()
        engine.until(2)


def test_a_mark_leads_to_a_pass(tmp_path: Path) -> None:
    engine = Passes()
    with running(tmp_path, shop=engine) as bench:
        engine.until(1)
        bench.daemon.mark_all()
        engine.until(2)


def test_a_changed_file_leads_to_a_pass(tmp_path: Path) -> None:
    engine = Passes()
    with running(tmp_path, shop=engine) as bench:
        bench.told.get(timeout=SOON_S)
        (tmp_path / "HEAD").write_text("moved", encoding="utf-8")
        engine.until(2)


def test_what_the_watcher_missed_is_found_by_the_poll(tmp_path: Path) -> None:
    engine = Passes()
    with running(tmp_path, shop=engine) as bench:
        bench.told.get(timeout=SOON_S)
        bench.daemon._poll("shop")
        bench.heads["shop"].token = "two"
        bench.daemon._poll("shop")
        engine.until(2)


@pytest.mark.parametrize("trouble", [SourceError("gone"), OSError("stale handle")])
def test_a_source_in_trouble_is_marked_and_stops_no_poll(tmp_path: Path, trouble: Exception) -> None:
    first, second = Passes(), Passes()
    with running(tmp_path, first=first, second=second) as bench:
        first.until(1)
        second.until(1)
        bench.heads["first"].trouble = trouble
        bench.heads["second"].token = "two"
        for key in ("first", "second"):
            bench.daemon._poll(key)
        first.until(2)
        second.until(2)


def test_a_source_that_was_never_read_is_asked_less_and_less_often(tmp_path: Path) -> None:
    daemon = Bench(tmp_path, shop=Passes()).daemon
    pauses = [daemon._again_s("shop", UNREAD) for _ in range(30)]
    assert pauses[:4] == [0.01, 0.02, 0.04, 0.08]
    assert pauses[-1] == 0.01 * 2**10
    assert daemon._again_s("shop", QUIET) == 3600.0
    assert daemon._again_s("shop", UNREAD) == 0.01


def test_a_lease_that_is_only_late_is_given_back_and_taken_anew(tmp_path: Path) -> None:
    """Kept in the record by ourselves, it once held us off for the rest of its time."""
    engine = Passes(Fenced("it may run out during the call"))
    with running(tmp_path, shop=engine) as bench:
        bench.told.get(timeout=SOON_S)
        assert engine.closed == 1


def test_the_backstop_renews_leases_and_says_when_it_cannot(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 0.0, 20.0, 20.0, 20.0, 20.0])
    store = MemoryStore()
    engine = Passes()
    engine.tenure = Tenure(store, "shop", "a", lambda: next(times) + 1e9, ttl_s=60.0)
    bench = Bench(tmp_path, shop=engine)
    store.release(engine.tenure.lease)
    with caplog.at_level(logging.WARNING):
        bench.daemon._tick()
        bench.daemon._tick()
    assert [record.getMessage().split(":")[1].strip() for record in caplog.records] == [
        "the lease could not be renewed"
    ]


def test_a_source_that_hangs_keeps_no_lease_from_being_renewed(tmp_path: Path) -> None:
    """On a network file system that went away the backstop once hung with it, and every lease ran out."""
    clock, engine = VirtualClock(), Passes()
    store = MemoryStore()
    engine.tenure = Tenure(store, "shop", "a", clock.monotonic, ttl_s=60.0)
    bench = Bench(tmp_path, clock=clock, poll_s=30.0, shop=engine)
    bench.heads["shop"].trouble = AssertionError("the backstop asked a source")
    for _ in range(10):
        clock.sleep(20.0)
        bench.daemon._tick()
    engine.tenure.check()
    assert bench.alive == 10
    assert bench.daemon._queue.get() == "shop", "nobody polled it, so it is marked"


def test_what_was_polled_is_not_marked_by_the_backstop(tmp_path: Path) -> None:
    clock = VirtualClock()
    bench = Bench(tmp_path, clock=clock, poll_s=30.0, shop=Passes())
    bench.daemon._heads["shop"] = "one"
    for _ in range(10):
        bench.daemon._poll("shop")
        clock.sleep(30.0)
        bench.daemon._tick()
    assert bench.daemon._queue._agenda.next_due is None


def test_a_poll_that_hangs_keeps_no_other_from_its_own(tmp_path: Path) -> None:
    engines = {name: Passes() for name in ("a", "b", "c", "d")}
    bench = Bench(tmp_path, clock=None, poll_s=0.05, **engines)
    stuck = [bench.heads[name] for name in ("a", "b", "c")]
    for head in stuck:
        head.hangs.clear()
    bench.thread.start()
    try:
        for head in stuck:
            assert head.asked.acquire(timeout=SOON_S)
        for _ in range(3):
            assert bench.heads["d"].asked.acquire(timeout=SOON_S)
    finally:
        for head in stuck:
            head.hangs.set()
        bench.stop()


def test_the_supervisor_hears_no_more_from_us_when_a_pass_hangs(tmp_path: Path) -> None:
    clock = VirtualClock()
    bench = Bench(tmp_path, clock=clock, shop=Passes(), other=Passes())
    bench.daemon._begun["shop"] = clock.monotonic()
    clock.sleep(module.LONGEST_PASS_S)
    bench.daemon._tick()
    assert bench.alive == 1
    clock.sleep(1.0)
    bench.daemon._tick()
    assert bench.alive == 1
    del bench.daemon._begun["shop"]
    bench.daemon._tick()
    assert bench.alive == 2


def test_a_pass_that_ended_is_none_in_progress(tmp_path: Path) -> None:
    engine = Passes(ValueError("a mistake of ours"))
    engine.hold.clear()
    with running(tmp_path, shop=engine) as bench:
        engine.until(1)
        assert set(bench.daemon._begun) == {"shop"}
        engine.hold.set()
        bench.told.get(timeout=SOON_S)
    assert bench.daemon._begun == {}


def test_stop_waits_for_the_pass_and_gives_every_lease_back(tmp_path: Path) -> None:
    first, second = Passes(), Passes()
    bench = Bench(tmp_path, first=first, second=second)
    first.hold.clear()
    bench.thread.start()
    first.until(1)
    bench.daemon.stop()
    assert bench.thread.is_alive()
    first.hold.set()
    bench.thread.join(SOON_S)
    assert not bench.thread.is_alive()
    assert (first.closed, second.closed) == (1, 1)


def test_a_lease_that_cannot_be_given_back_keeps_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Passes(), Passes()

    def busy() -> None:
        raise StateBusy("somebody holds the database")

    monkeypatch.setattr(first, "close", busy)
    with running(tmp_path, first=first, second=second) as bench:
        bench.told.get(timeout=SOON_S)
    assert second.closed == 1


def test_chores_are_done_and_one_that_fails_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    chores: dict[str, tuple[float, Callable[[], object]]] = {"bad": (0.01, lambda: 1 / 0), "good": (0.02, done.set)}
    daemon = Daemon({}, SystemClock(), poll_interval_s=3600.0, chores=chores)
    thread = threading.Thread(target=daemon.run, daemon=True)
    thread.start()
    assert done.wait(SOON_S)
    daemon.stop()
    thread.join(SOON_S)
    assert not thread.is_alive()
    assert "bad failed; it is tried again in its turn" in caplog.text


def test_stop_before_the_start_is_not_lost(tmp_path: Path) -> None:
    bench = Bench(tmp_path, shop=Passes())
    bench.daemon.stop()
    bench.daemon.stop()
    bench.thread.start()
    bench.thread.join(SOON_S)
    assert not bench.thread.is_alive()


def test_signals_of_any_number_at_any_moment_stop_it(tmp_path: Path) -> None:
    """The handlers run in the thread that waits: nothing in them may need a lock that this thread holds."""
    bench = Bench(tmp_path, shop=Passes())
    before = signal.signal(signal.SIGUSR1, lambda *_: bench.daemon.stop())

    def send() -> None:
        for _ in range(50):
            os.kill(os.getpid(), signal.SIGUSR1)

    try:
        sender = threading.Thread(target=send)
        sender.start()
        bench.daemon.run()
        sender.join(SOON_S)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_no_thread_and_no_file_stays_behind(tmp_path: Path) -> None:
    def count() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    with running(tmp_path, shop=Passes()):
        pass
    before = count()
    for _ in range(3):
        with running(tmp_path, shop=Passes()) as bench:
            bench.told.get(timeout=SOON_S)
    after = count()
    assert after[1] <= before[1]
    assert after[0] <= before[0] + 1, "workers end by themselves, the last one a moment later"


def test_the_supervisor_hears_from_us(tmp_path: Path) -> None:
    import socket

    from reconciler.notify import notifier

    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address)
        notifier({"NOTIFY_SOCKET": address})("READY=1")
        assert supervisor.recv(100) == b"READY=1"
        for _ in range(10_000):  # one that reads no more must not stop us
            notifier({"NOTIFY_SOCKET": address})("WATCHDOG=1")
    notifier({"NOTIFY_SOCKET": address})("STOPPING=1")
    notifier({})("READY=1")
