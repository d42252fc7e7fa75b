"""Holding a lease: renewed in time, checked before every call, given back."""

from __future__ import annotations

import pytest

from reconciler.tenure import MAX_CALL_S, Tenure
from state.clock import Clock as StoreClock
from state.memory import MemoryStore
from state.record import DeploymentRecord, DropDeployment, PutDeployment, PutModel
from state.store import Fenced, Held, Lease
from tests.builders import deployment, model_record
from tests.builders import deployment_record as record_of
from tests.reconciler.world import VirtualClock


class _Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        time = self.clock.monotonic
        self.store = MemoryStore(clock=StoreClock(now=self.clock.now, monotonic=time, since_boot=time, boot_id="one"))

    def tenure(self, holder: str = "a", *, floor: int = 0) -> Tenure:
        return Tenure(self.store, "demo", holder, self.clock.monotonic, ttl_s=60.0, floor=floor)


def test_it_is_renewed_when_a_quarter_of_its_time_is_over() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    began = tenure.lease.acquired_monotonic
    bench.clock.sleep(15)
    tenure.keep()
    assert tenure.lease.acquired_monotonic == began
    bench.clock.sleep(1)
    tenure.keep()
    assert tenure.lease.acquired_monotonic == began + 16


def test_no_call_is_begun_that_may_outlive_the_lease() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    bench.clock.sleep(60 - MAX_CALL_S)
    tenure.check()
    bench.clock.sleep(1)
    with pytest.raises(Fenced, match="'demo' may run out during the call"):
        tenure.check()


def test_one_that_slept_learns_that_somebody_took_over() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    bench.clock.sleep(3600)
    other = bench.tenure("b")
    assert other.lease.epoch == tenure.lease.epoch + 1
    with pytest.raises(Fenced):
        tenure.keep()


def test_one_that_slept_begins_no_pass_any_more_although_it_was_not_replaced() -> None:
    """Somebody may have had it in a past that a store which went back has undone (rough seed 9072)."""
    bench = _Bench()
    tenure = bench.tenure()
    assert tenure.begin()
    bench.clock.sleep(3600)
    assert not tenure.begin()
    tenure.keep()
    assert not tenure.begin()


def test_a_renewal_that_was_refused_ends_the_lease_whatever_the_clock_says() -> None:
    """An older copy of the record, in which somebody else has the lease, takes none of its time away."""
    bench = _Bench()
    other = bench.tenure("b")
    copy = bench.store.snapshot()
    other.release()
    tenure = bench.tenure()
    bench.clock.sleep(16)
    tenure.check()
    bench.store.rewind(copy, leases=True)
    with pytest.raises(Fenced):
        tenure.keep()
    with pytest.raises(Fenced, match="somebody else's by now"):
        tenure.check()


def test_a_pass_that_slept_through_its_lease_is_over_although_nobody_took_it() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    tenure.begin()
    bench.clock.sleep(3600)
    tenure.keep()
    tenure.keep()
    with pytest.raises(Fenced, match="what it read is old"):
        tenure.check()


def test_two_at_once_are_not_possible_and_a_released_one_is_free() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    with pytest.raises(Held, match="a"):
        bench.tenure("b")
    tenure.release()
    bench.tenure("b")


def test_the_epoch_is_above_everything_on_disk() -> None:
    assert _Bench().tenure(floor=41).lease.epoch == 42


def _record(number: int, bench: _Bench) -> DeploymentRecord:
    return record_of(number, deployment=deployment(number, lineage=bench.store.lineage), active=True)


def _put(model: str) -> PutModel:
    return PutModel(model_record(model))


def test_a_record_that_went_back_under_our_lease_is_not_written_on() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    copy = bench.store.snapshot()
    tenure.commit(_put("one"))
    tenure.commit(_put("two"))
    bench.store.rewind(copy, leases=True)
    with pytest.raises(Fenced, match="went back from 2 to 0"):
        tenure.commit(_put("three"))


def test_a_record_that_went_back_is_noticed_when_it_is_read() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    copy = bench.store.snapshot()
    tenure.commit(_put("one"))
    assert tenure.load().serial == 1
    bench.store.rewind(copy, leases=True)
    with pytest.raises(Fenced, match="went back from 1 to 0"):
        tenure.load()


def test_a_record_that_went_back_to_before_our_lease_is_noticed_when_it_is_read() -> None:
    """Nothing was written under it, so no serial tells; a pass went on and wrote the files (rough seed 3090)."""
    bench = _Bench()
    copy = bench.store.snapshot()
    tenure = bench.tenure()
    bench.store.rewind(copy, leases=True)
    with pytest.raises(Fenced, match="has lease 0, ours is 1: an older copy"):
        tenure.load()
    assert tenure.went_back


def test_one_that_was_replaced_is_told_so_when_it_reads() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    bench.clock.sleep(3600)
    bench.tenure("b")
    with pytest.raises(Fenced, match="we were replaced"):
        tenure.load()
    assert not tenure.went_back


def test_one_that_is_stopped_while_it_renews_is_interrupted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is new when it wakes up, and what the pass has read is old (rough seeds 7194 and 9072)."""
    bench = _Bench()
    tenure = bench.tenure()
    tenure.begin()
    bench.clock.sleep(20)
    renew = bench.store.renew

    def slowly(lease: Lease) -> Lease:
        bench.clock.sleep(100)
        return renew(lease)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryStore, "renew", lambda store, lease: slowly(lease))
        tenure.keep()
    with pytest.raises(Fenced, match="what it read is old"):
        tenure.check()


def test_others_that_write_on_top_of_an_old_copy_do_not_hide_it() -> None:
    """The serial belongs to all projects; the newest id to this one."""
    bench = _Bench()
    tenure = bench.tenure()
    copy = bench.store.snapshot()
    tenure.commit(PutDeployment(_record(1, bench)))
    tenure.load()
    bench.store.rewind(copy, leases=True)
    other = Tenure(bench.store, "shop", "a", bench.clock.monotonic)
    other.commit(_put("one"))
    other.commit(_put("two"))
    with pytest.raises(Fenced, match="went back"):
        tenure.load()


def test_what_contradicts_an_old_copy_is_no_error_of_ours() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    first = _record(1, bench)
    tenure.commit(PutDeployment(first))
    copy = bench.store.snapshot()
    tenure.commit(DropDeployment(first.deployment.id))
    bench.store.rewind(copy, leases=True)
    with pytest.raises(Fenced, match="went back"):
        tenure.commit(PutDeployment(_record(2, bench)))


def test_a_pass_that_was_stopped_for_too_long_writes_nothing_it_resolved() -> None:
    bench = _Bench()
    tenure = bench.tenure()
    tenure.begin()
    bench.clock.sleep(3600)
    tenure.keep()
    with pytest.raises(Fenced, match="what it read is old"):
        tenure.commit(_put("one"))


def test_a_pass_that_wakes_up_before_its_lease_is_renewed_writes_nothing_either() -> None:
    """A deletion was resolved on what the file had said two minutes ago (rough seeds 20319, 24527 and 24917)."""
    bench = _Bench()
    tenure = bench.tenure()
    tenure.begin()
    bench.clock.sleep(61)
    with pytest.raises(Fenced, match="what it read is old"):
        tenure.commit(_put("one"))
