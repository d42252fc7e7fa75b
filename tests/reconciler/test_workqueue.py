"""Marks are never lost, never doubled, and one project is never worked on twice at a time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.agenda import Agenda, Debounce
from reconciler.workqueue import Workqueue


def test_a_single_event_is_answered_after_the_quiet_time() -> None:
    debounce = Debounce()
    assert debounce.due is None
    debounce.mark(10.0)
    assert debounce.due == pytest.approx(10.01)


def test_a_burst_is_answered_once_after_its_end_but_not_later_than_the_longest_wait() -> None:
    debounce = Debounce()
    for step in range(3):
        debounce.mark(10 + step * 0.007)
    assert debounce.due == pytest.approx(10.024)
    for step in range(3, 30):
        debounce.mark(10 + step * 0.007)
    assert debounce.due == pytest.approx(10.08)
    debounce.answered(10.08)
    assert debounce.due is None


def test_two_changes_in_short_order_are_both_answered_quickly() -> None:
    debounce = Debounce()
    for start in (10.0, 10.3):
        debounce.mark(start)
        assert debounce.due == pytest.approx(start + 0.01)
        debounce.answered(start + 0.01)


def answers_in_storm(debounce: Debounce, until: float) -> list[float]:
    now, answers = 0.0, []
    while now < until:
        debounce.mark(now)
        if debounce.due is not None and debounce.due <= now:
            debounce.answered(now)
            answers.append(now)
        now += 0.001
    return answers


def test_a_storm_is_answered_once_a_second_after_the_first_few() -> None:
    debounce = Debounce()
    answers = answers_in_storm(debounce, 20.0)
    assert answers[0] <= 0.081
    assert len(answers) <= 3 + 20
    gaps = [later - earlier for earlier, later in itertools.pairwise(answers[3:])]
    assert min(gaps) >= 0.99
    assert max(gaps) <= 1.09
    debounce.answered(20.1)
    debounce.mark(60.0)  # after the storm, quick again
    assert debounce.due == pytest.approx(60.01)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=60))
def test_an_event_is_never_answered_before_it_happened_nor_forgotten(gaps: Sequence[float]) -> None:
    debounce, now = Debounce(), 0.0
    for gap in gaps:
        now += gap
        if debounce.due is not None and debounce.due <= now:
            debounce.answered(now)
        debounce.mark(now)
        assert debounce.due is not None
        assert now <= debounce.due <= now + 1.1 or debounce.due <= now + 0.08


def test_the_earlier_of_two_timers_wins_and_a_mark_beats_a_later_timer() -> None:
    agenda = Agenda()
    agenda.add("a", 50.0)
    agenda.add("a", 30.0)
    agenda.add("a", 40.0)
    assert agenda.next_due == 30.0
    assert agenda.take(29.9) is None
    agenda.mark("a", 10.0)
    assert agenda.next_due == pytest.approx(10.01)
    assert agenda.take(10.01) == "a"
    assert agenda.next_due is None  # the pass looks at everything: the timer is served by it, too


def test_a_mark_during_work_makes_another_pass_due_after_it() -> None:
    agenda = Agenda()
    agenda.add("a", 0.0)
    assert agenda.take(0.0) == "a"
    agenda.add("a", 1.0)
    agenda.mark("a", 1.0)
    assert agenda.take(99.0) is None
    assert agenda.next_due is None
    agenda.done("a")
    assert agenda.take(99.0) == "a"
    agenda.done("a")
    assert agenda.take(99.0) is None


def test_who_waited_longest_comes_first() -> None:
    agenda = Agenda()
    for key, when in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        agenda.add(key, when)
    assert [agenda.take(9.0) for _ in range(4)] == ["b", "c", "a", None]
    assert agenda.in_work == {"a", "b", "c"}


def test_a_forgotten_project_is_not_due_any_more() -> None:
    agenda = Agenda()
    agenda.add("a", 0.0)
    agenda.forget("a")
    agenda.forget("never heard of")
    assert agenda.take(9.0) is None
    agenda.add("b", 0.0)
    assert agenda.take(0.0) == "b"
    agenda.mark("b", 0.0)
    agenda.forget("b")
    agenda.done("b")
    assert agenda.take(9.0) is None


@given(st.lists(st.tuples(st.sampled_from(["add", "mark", "take", "done"]), st.sampled_from("abc")), max_size=80))
def test_whatever_happens_every_mark_is_served_by_a_pass_that_starts_after_it(steps: Sequence[tuple[str, str]]) -> None:
    agenda, now = Agenda(), 0.0
    unserved: dict[str, float] = {}
    for what, key in steps:
        now += 0.01
        if what == "add":
            agenda.add(key, now)
            unserved.setdefault(key, now)
        elif what == "mark":
            agenda.mark(key, now)
            unserved.setdefault(key, now)
        elif what == "take":
            busy = agenda.in_work
            taken = agenda.take(now)
            if taken is not None:
                assert taken not in busy
                assert taken in unserved
                del unserved[taken]
        else:
            agenda.done(key)
    for key in agenda.in_work:
        agenda.done(key)
    while (taken := agenda.take(now + 1000)) is not None:
        del unserved[taken]
        agenda.done(taken)
    assert unserved == {}


def test_get_waits_for_a_mark_and_close_ends_the_waiting() -> None:
    queue, got, both = Workqueue(), [], threading.Event()

    def work() -> None:
        while (key := queue.get()) is not None:
            got.append(key)
            queue.done(key)
            if len(got) == 2:
                both.set()

    worker = threading.Thread(target=work)
    worker.start()
    queue.mark("a")
    queue.add("b")
    queue.add_at("later", 1e12)
    assert both.wait(5)
    queue.close()
    worker.join(5)
    assert not worker.is_alive()
    assert sorted(got) == ["a", "b"]
    assert queue.get() is None


def test_one_project_is_never_worked_on_by_two_while_others_go_on() -> None:
    queue = Workqueue()
    inside: dict[str, int] = {"a": 0, "b": 0}
    both, overlaps, done = threading.Barrier(2, timeout=10), [], []

    def work() -> None:
        first = True
        while (key := queue.get()) is not None:
            inside[key] += 1
            if inside[key] > 1:
                overlaps.append(key)
            if first:
                both.wait()  # proves that a and b are in work at the same time
                first = False
            queue.add(key) if len(done) < 200 else None
            inside[key] -= 1
            done.append(key)
            queue.done(key)
            if len(done) >= 200:
                queue.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    queue.add("a")
    queue.add("b")
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)
    assert not overlaps
    assert len(done) >= 200


def test_drain_names_the_passes_that_did_not_end() -> None:
    queue = Workqueue()
    queue.add("a")
    assert queue.get() == "a"
    queue.close()
    assert queue.drain(0.01) == {"a"}
    threading.Timer(0.01, queue.done, ["a"]).start()
    assert queue.drain(5) == frozenset()
