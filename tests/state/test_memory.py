"""The store in memory: the contract, and the faults it can play for the simulator."""

from __future__ import annotations

import pytest

from state.memory import MemoryStore
from state.record import PutDeployment
from state.store import Fenced, Store
from tests.builders import LINEAGE, deployment_id, deployment_record
from tests.state.contract import TTL_S, Hands, StoreContract, committed


class MemoryBench:
    def __init__(self) -> None:
        self.hands = Hands()
        self.shared = MemoryStore(lineage=LINEAGE, clock=self.hands.clock())

    def open(self) -> Store:
        return self.shared

    def kill(self, store: Store, holder: str) -> None:
        self.shared.died(holder)


@pytest.fixture
def bench() -> MemoryBench:
    return MemoryBench()


class TestMemoryStore(StoreContract):
    def test_rewound_store_forgets_and_fences_whoever_wrote_since(self, bench: MemoryBench) -> None:
        store = bench.shared
        committed(store, PutDeployment(deployment_record(1)))
        old = store.snapshot()
        running = store.acquire("demo", "a", TTL_S)
        store.commit(running, [PutDeployment(deployment_record(2, model="m"))])
        store.rewind(old)
        assert store.load("demo").deployments.keys() == {deployment_id(1)}
        with pytest.raises(Fenced):
            store.commit(running, [PutDeployment(deployment_record(3, model="n"))])
        assert store.acquire("demo", "b", TTL_S, floor=running.epoch).epoch == running.epoch + 1

    def test_a_copy_may_bring_its_leases_along(self, bench: MemoryBench) -> None:
        """They are rows like all others: whoever had one then has it again, whoever has one now is fenced."""
        store = bench.shared
        before = store.acquire("demo", "a", TTL_S)
        old = store.snapshot()
        store.release(before)
        running = store.acquire("demo", "b", TTL_S)
        store.rewind(old, leases=True)
        with pytest.raises(Fenced):
            store.commit(running, [PutDeployment(deployment_record(1))])
        assert store.commit(before, [PutDeployment(deployment_record(1))]) == 1

    def test_snapshot_is_not_touched_by_later_commits(self, bench: MemoryBench) -> None:
        store = bench.shared
        empty = store.snapshot()
        committed(store, PutDeployment(deployment_record(1)))
        store.rewind(empty)
        assert store.projects() == ()
