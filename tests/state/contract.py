"""What every store promises. A store is done when a subclass of `StoreContract` with its `bench` passes.

The bench is a small laboratory: several processes' views of one state, a clock that only moves when told to, and a
way to let a process die.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import pytest

from drivers.base import Phase
from state.clock import Clock
from state.record import (
    Append,
    Change,
    DropDeployment,
    DropModel,
    DropOutput,
    PutDeployment,
    PutModel,
    PutOutput,
    PutSource,
    Recorded,
)
from state.store import KEPT_EVENTS, Fenced, Held, Lease, Store
from tests.builders import (
    LINEAGE,
    NOON,
    deployment,
    deployment_id,
    deployment_record,
    event,
    model_record,
    output_record,
    source_record,
)

TTL_S = 60.0


@dataclass
class Hands:
    """A clock moved by hand."""

    seconds: float = 1000.0
    boot_id: str = "boot-1"
    started: datetime = field(default=NOON)

    def clock(self) -> Clock:
        return Clock(now=self.now, monotonic=self.read, since_boot=self.read, boot_id=self.boot_id)

    def read(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.started + timedelta(seconds=self.seconds)

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


class Bench(Protocol):
    hands: Hands

    def open(self) -> Store:
        """The state (lineage `LINEAGE`) as one more process sees it."""
        ...

    def kill(self, store: Store, holder: str) -> None:
        """The process dies without a word that has the store open and calls itself `holder`."""
        ...


def committed(store: Store, *changes: Change, project: str = "demo") -> Recorded:
    """What a pass that makes these changes leaves behind."""
    lease = store.acquire(project, "host-a/1", TTL_S)
    store.commit(lease, changes)
    store.release(lease)
    return store.load(project)


class StoreContract:
    """Collected in subclasses that bring a `bench` fixture."""

    @pytest.fixture
    def store(self, bench: Bench) -> Store:
        return bench.open()

    # What is recorded

    def test_unknown_project_is_empty_at_epoch_zero(self, store: Store) -> None:
        assert store.load("nowhere") == Recorded(project="nowhere", lineage=LINEAGE, serial=0, epoch=0)
        assert store.projects() == ()

    def test_everything_put_is_loaded_again(self, bench: Bench, store: Store) -> None:
        made = deployment_record(1, failure="ü\nzwei", request_open=True, applied_digest="0123456789ab")
        model = model_record(protected=True, next_try_at=NOON, missing_reads=2, removal_confirmed_at=NOON)
        source, output = source_record("llm"), output_record(applied="1" * 64)
        committed(store, PutDeployment(made), PutModel(model), PutSource(source), PutOutput(output))
        assert bench.open().load("demo") == Recorded(
            project="demo",
            lineage=LINEAGE,
            serial=1,
            epoch=1,
            deployments={made.deployment.id: made},
            models={"llm": model},
            source=source,
            outputs={output.path: output},
            newest_id=made.deployment.id,
        )

    def test_put_replaces_what_was_there(self, store: Store) -> None:
        committed(store, PutDeployment(deployment_record(1, phase=Phase.CREATING)), PutModel(model_record()))
        later = deployment_record(1, phase=Phase.FAILED, failure="no memory")
        after = committed(store, PutDeployment(later), PutModel(model_record(attempts=1)))
        assert after.deployments == {deployment_id(1): later}
        assert after.models["llm"].attempts == 1

    def test_drop_forgets_and_dropping_nothing_is_fine(self, store: Store) -> None:
        committed(
            store,
            PutDeployment(deployment_record(1)),
            PutModel(model_record()),
            PutOutput(output_record("/srv/x.yaml")),
        )
        drops = (DropDeployment(deployment_id(1)), DropModel("llm"), DropOutput("/srv/x.yaml"))
        after = committed(store, *drops, DropDeployment("never"), DropModel("never"), DropOutput("never"))
        assert (after.deployments, after.models, after.outputs) == ({}, {}, {})

    def test_last_change_to_a_key_wins(self, store: Store) -> None:
        one = PutDeployment(deployment_record(1))
        assert committed(store, one, DropDeployment(deployment_id(1))).deployments == {}
        assert committed(store, DropDeployment(deployment_id(1)), one).deployments.keys() == {deployment_id(1)}

    def test_path_that_is_no_valid_text_is_kept(self, store: Store) -> None:
        output = output_record("/srv/\udcff'\"\n.yaml")
        assert committed(store, PutOutput(output)).outputs == {output.path: output}

    def test_newest_id_outlives_its_deployment(self, store: Store) -> None:
        committed(store, PutDeployment(deployment_record(7)), PutDeployment(deployment_record(3, model="m")))
        after = committed(store, DropDeployment(deployment_id(7)), PutDeployment(deployment_record(5, model="n")))
        assert after.newest_id == deployment_id(7)

    def test_what_was_loaded_does_not_change_afterwards(self, store: Store) -> None:
        before = committed(store, PutDeployment(deployment_record(1)))
        committed(store, DropDeployment(deployment_id(1)))
        assert before.deployments.keys() == {deployment_id(1)}
        with pytest.raises(TypeError):
            before.deployments["x"] = deployment_record(2)  # type: ignore[index]

    def test_projects_are_apart_and_sorted(self, store: Store) -> None:
        mine = deployment_record(1, deployment=deployment(1, project="zoo", name="zoo-1"))
        committed(store, PutDeployment(mine), PutModel(model_record()), project="zoo")
        committed(store, PutDeployment(deployment_record(2)))
        assert store.projects() == ("demo", "zoo")
        assert store.load("zoo").deployments == {deployment_id(1): mine}
        assert store.load("demo").models == {}

    def test_serial_rises_by_one_in_every_commit_of_any_project(self, store: Store) -> None:
        demo, zoo = store.acquire("demo", "a", TTL_S), store.acquire("zoo", "a", TTL_S)
        assert [store.commit(lease, ()) for lease in (demo, zoo, demo)] == [1, 2, 3]
        assert store.load("zoo").serial == 3

    # What is refused

    def test_second_active_deployment_is_refused_and_changes_nothing(self, store: Store) -> None:
        before = committed(store, PutDeployment(deployment_record(1)))
        self.refused(store, PutDeployment(deployment_record(2)), PutModel(model_record()))
        assert replace(store.load("demo"), epoch=before.epoch) == before

    def test_switch_is_one_commit_in_either_order(self, store: Store) -> None:
        committed(store, PutDeployment(deployment_record(1)))
        retired = PutDeployment(deployment_record(1, active=False, retired_at=NOON))
        after = committed(store, PutDeployment(deployment_record(2)), retired)
        assert {id: record.active for id, record in after.deployments.items()} == {
            deployment_id(1): False,
            deployment_id(2): True,
        }

    def test_models_and_projects_each_have_their_active_one(self, store: Store) -> None:
        committed(store, PutDeployment(deployment_record(1)), PutDeployment(deployment_record(2, model="other")))
        theirs = deployment_record(1, deployment=deployment(1, project="zoo", name="zoo-1"))
        committed(store, PutDeployment(theirs), project="zoo")
        assert store.load("demo").deployments[deployment_id(1)].active
        assert store.load("zoo").deployments[deployment_id(1)].active

    def test_external_name_is_never_used_twice(self, store: Store) -> None:
        committed(store, PutDeployment(deployment_record(1)))
        self.refused(store, PutDeployment(deployment_record(2, model="b", deployment=deployment(2, name="demo-llm-1"))))
        theirs = deployment_record(1, deployment=deployment(1, project="zoo"))
        self.refused(store, PutDeployment(theirs), project="zoo")

    def test_deployment_of_another_project_or_lineage_is_refused(self, store: Store) -> None:
        self.refused(store, PutDeployment(deployment_record(1, deployment=deployment(1, project="zoo"))))
        self.refused(store, PutDeployment(deployment_record(1, deployment=deployment(1, lineage="else"))))
        assert store.load("demo").serial == 0

    # The lease and the fence

    def test_epoch_rises_with_every_acquisition(self, store: Store) -> None:
        epochs = []
        for _ in range(3):
            lease = store.acquire("demo", "a", TTL_S)
            epochs.append(lease.epoch)
            store.release(lease)
        assert epochs == [1, 2, 3]
        assert store.load("demo").epoch == 3

    def test_floor_lifts_the_epoch_above_what_was_seen_elsewhere(self, store: Store) -> None:
        store.release(store.acquire("demo", "a", TTL_S, floor=41))
        assert store.load("demo").epoch == 42
        assert store.acquire("demo", "a", TTL_S, floor=5).epoch == 43

    def test_a_lease_says_which_one_it_succeeds(self, store: Store) -> None:
        """Where that is lower than the floor, the record is older than whatever the floor was seen on."""
        assert store.acquire("demo", "a", TTL_S, floor=41).succeeds == 0
        store.release(store.acquire("shop", "a", TTL_S))
        assert store.acquire("shop", "a", TTL_S, floor=7).succeeds == 1

    def test_lease_tells_when_it_was_asked_for(self, bench: Bench, store: Store) -> None:
        lease = store.acquire("demo", "host-a/1", TTL_S)
        assert lease == Lease(
            project="demo", holder="host-a/1", epoch=1, ttl_s=TTL_S, acquired_monotonic=bench.hands.seconds
        )
        bench.hands.pass_by(7)
        assert store.renew(lease).acquired_monotonic == lease.acquired_monotonic + 7

    def test_held_lease_is_refused_and_names_its_holder(self, bench: Bench, store: Store) -> None:
        lease = store.acquire("demo", "host-a/1", TTL_S)
        bench.hands.pass_by(TTL_S - 1)
        with pytest.raises(Held, match="host-a/1"):
            bench.open().acquire("demo", "host-b/2", TTL_S)
        store.commit(lease, [Append(event())])

    def test_second_acquisition_by_the_same_holder_is_held(self, store: Store) -> None:
        store.acquire("demo", "a", TTL_S)
        with pytest.raises(Held):
            store.acquire("demo", "a", TTL_S)

    def test_projects_are_leased_apart(self, bench: Bench, store: Store) -> None:
        store.acquire("demo", "a", TTL_S)
        assert bench.open().acquire("zoo", "b", TTL_S).epoch == 1

    def test_renewed_lease_lasts_from_its_renewal(self, bench: Bench, store: Store) -> None:
        lease = store.acquire("demo", "a", TTL_S)
        bench.hands.pass_by(TTL_S - 1)
        store.renew(lease)
        bench.hands.pass_by(TTL_S - 1)
        with pytest.raises(Held):
            bench.open().acquire("demo", "b", TTL_S)

    def test_released_lease_is_free_at_once_and_writes_no_more(self, bench: Bench, store: Store) -> None:
        lease = store.acquire("demo", "a", TTL_S)
        store.release(lease)
        assert bench.open().acquire("demo", "b", TTL_S).epoch == 2
        self.fenced(store, lease)

    def test_released_lease_writes_no_more_even_if_nobody_took_it(self, store: Store) -> None:
        lease = store.acquire("demo", "a", TTL_S)
        store.release(lease)
        self.fenced(store, lease)

    def test_dead_holder_is_followed_at_once(self, bench: Bench, store: Store) -> None:
        store.acquire("demo", "a", TTL_S)
        bench.kill(store, "a")
        assert bench.open().acquire("demo", "b", TTL_S).epoch == 2

    def test_stopped_holder_is_followed_when_its_time_is_up_and_fenced(self, bench: Bench, store: Store) -> None:
        stopped = store.acquire("demo", "a", TTL_S)
        bench.hands.pass_by(TTL_S)
        other = bench.open()
        lease = other.acquire("demo", "b", TTL_S)
        assert lease.epoch == 2
        self.fenced(store, stopped)
        assert other.commit(lease, [PutModel(model_record())]) == 1

    def test_late_release_by_a_fenced_holder_frees_nothing(self, bench: Bench, store: Store) -> None:
        stopped = store.acquire("demo", "a", TTL_S)
        bench.hands.pass_by(TTL_S)
        other = bench.open()
        other.acquire("demo", "b", TTL_S)
        store.release(stopped)
        with pytest.raises(Held):
            bench.open().acquire("demo", "c", TTL_S)

    def test_death_of_a_fenced_holder_frees_nothing(self, bench: Bench, store: Store) -> None:
        store.acquire("demo", "a", TTL_S)
        bench.hands.pass_by(TTL_S)
        other = bench.open()
        other.acquire("demo", "b", TTL_S)
        bench.kill(store, "a")
        with pytest.raises(Held, match="b"):
            bench.open().acquire("demo", "c", TTL_S)

    def test_expired_lease_that_nobody_took_still_writes(self, bench: Bench, store: Store) -> None:
        # Whether there is time left for a *call* is the holder's own deadline; what it has done must be written down.
        lease = store.acquire("demo", "a", TTL_S)
        bench.hands.pass_by(10 * TTL_S)
        assert store.commit(lease, [Append(event())]) == 1
        assert store.renew(lease).epoch == lease.epoch

    def test_epoch_of_another_holder_does_not_pass_the_fence(self, store: Store) -> None:
        lease = store.acquire("demo", "a", TTL_S)
        self.fenced(store, replace(lease, holder="b"))
        self.fenced(store, replace(lease, epoch=lease.epoch + 1))
        self.fenced(store, replace(lease, project="zoo"))

    # Events

    def test_events_come_oldest_first_with_rising_numbers(self, store: Store) -> None:
        committed(store, Append(event("created")), Append(event("ready", model="llm", text="ü")))
        committed(store, Append(event("switched")))
        found = store.events("demo")
        assert [each.kind for _, each in found] == ["created", "ready", "switched"]
        assert found[1][1] == event("ready", model="llm", text="ü")
        numbers = [number for number, _ in found]
        assert numbers == sorted(set(numbers))

    def test_events_are_the_newest_and_only_those_after(self, store: Store) -> None:
        committed(store, *(Append(event(f"e{n}")) for n in range(5)))
        committed(store, Append(event("theirs")), project="zoo")
        everything = store.events("demo")
        assert self.kinds(store.events("demo", limit=2)) == ["e3", "e4"]
        assert self.kinds(store.events("demo", after=everything[2][0])) == ["e3", "e4"]
        assert self.kinds(store.events("demo", limit=1, after=everything[1][0])) == ["e4"]
        assert store.events("demo", after=everything[-1][0]) == ()
        assert store.events("demo", limit=0) == ()

    def test_old_events_go_and_numbers_never_come_back(self, store: Store) -> None:
        committed(store, *(Append(event(f"e{n}")) for n in range(KEPT_EVENTS + 3)))
        kept = store.events("demo", limit=KEPT_EVENTS + 10)
        assert len(kept) == KEPT_EVENTS
        assert kept[0][1].kind == "e3"
        committed(store, Append(event("next")))
        assert store.events("demo", limit=1)[0][0] == kept[-1][0] + 1

    def test_refused_commit_leaves_no_event(self, store: Store) -> None:
        committed(store, PutDeployment(deployment_record(1)))
        self.refused(store, PutDeployment(deployment_record(2)), Append(event()))
        assert store.events("demo") == ()

    # Helpers

    def kinds(self, events: Sequence[tuple[int, object]]) -> list[str]:
        return [getattr(each, "kind") for _, each in events]  # noqa: B009

    def refused(self, store: Store, *changes: Change, project: str = "demo") -> None:
        lease = store.acquire(project, "host-a/1", TTL_S)
        serial = store.load(project).serial
        with pytest.raises(ValueError):
            store.commit(lease, changes)
        assert store.load(project).serial == serial
        store.release(lease)

    def fenced(self, store: Store, lease: Lease) -> None:
        before = store.load(lease.project)
        with pytest.raises(Fenced):
            store.commit(lease, [PutModel(model_record("forbidden"))])
        with pytest.raises(Fenced):
            store.renew(lease)
        assert store.load(lease.project) == before
