"""The wall clock may be set at any moment; what is measured with ours does not notice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.clock import SystemClock
from tests.reconciler.world import LARGE, SMALL, VirtualClock, World


class _Machine(VirtualClock):
    """A machine whose wall clock can be set, and what the production clock makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.set_by = timedelta()
        self.steady = SystemClock(lambda: self.time + self.set_by, self.monotonic)

    def now(self) -> datetime:
        return self.steady.now()


HOUR = timedelta(hours=1)


SET = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["an hour on", "an hour back"])


@SET
def test_a_wall_clock_that_is_set_ends_no_wait_and_begins_none_anew(step: timedelta) -> None:
    machine = _Machine()
    began = machine.now()
    machine.set_by = step
    for _ in range(100):
        machine.sleep(0.6)
        machine.now()
    assert 54.0 <= (machine.now() - began).total_seconds() <= 66.0, "a minute is a minute, give or take a tenth"


@SET
def test_the_wall_clock_is_caught_up_with_and_time_never_goes_back(step: timedelta) -> None:
    machine, times = _Machine(), []
    machine.set_by = step
    for _ in range(700):
        machine.sleep(60.0)
        times.append(machine.now())
    assert times == sorted(times)
    assert times[-1] == machine.time + step


def test_a_sound_wall_clock_is_told_as_it_is() -> None:
    machine = _Machine()
    machine.sleep(12_345.0)
    assert machine.now() == machine.time
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(seconds=5)


@SET
def test_what_was_replaced_is_kept_for_its_bake_time_and_no_longer(step: timedelta) -> None:
    """An hour on, the bake time was over at once, and with it the way back; an hour back, it lasted an hour longer."""
    world = World(clock=(machine := _Machine()), llm=SMALL)
    world.passes()
    world.commit(llm=LARGE)
    while not world.engine.run_once().switched:
        world.later(1.0)
    machine.set_by = step
    world.engine.run_once()
    world.later(40.0)
    world.engine.run_once()
    assert world.live == ["llm", "llm"], "60 s of bake time are not over"
    world.passes(60.0)
    assert world.live == ["llm"]


@SET
def test_what_is_starting_keeps_its_patience(step: timedelta) -> None:
    """An hour on, whatever was starting had failed."""
    world = World(clock=(machine := _Machine()), llm=SMALL)
    world.platform.clock = lambda: machine.time  # its clock is its own
    world.engine.run_once()
    machine.set_by = step
    world.passes(60.0)
    assert world.verbs() == ["create"]
    assert world.live == ["llm"]


@SET
def test_no_poll_and_no_lease_is_lost(step: timedelta) -> None:
    """Leases and the queue go by clocks that nobody sets; see also `test_daemon` for the ticker."""
    world = World(clock=(machine := _Machine()), llm=SMALL)
    world.passes()
    assert world.engine.tenure is not None
    machine.set_by = step
    world.engine.tenure.check()
    world.later(120.0)
    world.engine.tenure.check()
    assert world.engine.run_once().trouble == ""
