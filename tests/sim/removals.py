"""Each safety mechanism taken out, one at a time, as a small patch of the running code: never a changed rule."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from drivers.base import Observation, Phase
from reconciler import adoption as adoption_
from reconciler import (
    answers,
    beginning,
    case,
    diff,
    engine,
    intents,
    inventory,
    leaving,
    lifetime,
    observe,
    policy,
    refresh,
    sweep,
)
from reconciler.apply import Applier
from reconciler.case import Case
from reconciler.desired import DesiredModel
from reconciler.sweep import Sweeps
from reconciler.tenure import Tenure
from state.memory import MemoryStore
from state.record import DeploymentRecord, Intent, ModelRecord
from tests.sim.faults import Fault
from tests.sim.places import Files
from tests.sim.world import World


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mechanism, how it is taken out, and in which stories its absence can show: in all, unless some are named."""

    mechanism: str
    without: Callable[[], AbstractContextManager[None]]
    instead: str
    """What is done without it, in a few words."""
    scenarios: tuple[str, ...] = ()
    often: tuple[str, Fault] | None = None
    """The kind of effect and the fault that the mechanism is for, where chance would need too long to find both."""
    unseen: tuple[str, ...] = ()
    """Rules that see the missing mechanism itself. They are not looked at, so that its consequences must show."""


@contextlib.contextmanager
def _patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def intent_write() -> Iterator[None]:
    """The call first, then the record of it, as simple tools do."""
    create, call = Applier._create, Applier._call

    def unwritten_create(self: Any, step: Any) -> Any:
        self._commit = lambda *changes: None
        return create(self, step)

    def call_then_commit(self: Any, *given: Any) -> Any:
        vars(self).pop("_commit", None)
        return call(self, *given)

    with _patched(Applier, "_create", unwritten_create), _patched(Applier, "_call", call_then_commit):
        yield


def derived_name() -> AbstractContextManager[None]:
    """Every call asks for a thing with a name of its own."""
    issue = intents.before_create

    def renamed(record: DeploymentRecord, now: datetime) -> DeploymentRecord:
        deployment = record.deployment
        fresh = f"{deployment.name[:40]}-{int(now.timestamp() * 1000):x}"
        return issue(replace(record, deployment=replace(deployment, name=fresh)), now)

    return _patched(intents, "before_create", renamed)


def settle_time() -> AbstractContextManager[None]:
    def at_once(self: Case, record: DeploymentRecord, since: datetime | None = None) -> datetime:
        return since or record.issued_at or record.created_at

    return _patched(Case, "settled_at", at_once)


def absence_by_name() -> AbstractContextManager[None]:
    """A delete that was answered is a delete that was done."""
    believe = refresh._believe

    def trusting(record: DeploymentRecord, seen: Observation, now: datetime) -> DeploymentRecord:
        if record.intent is Intent.DELETE and not record.request_open:
            seen = Observation(phase=Phase.ABSENT)
        return believe(record, seen, now)

    return _patched(refresh, "_believe", trusting)


def state_fence() -> AbstractContextManager[None]:
    """Whoever once had the lease writes on. (It renews nothing: then nobody would take over.)"""
    commit = MemoryStore.commit

    def unfenced(self: Any, lease: Any, changes: Any) -> int:
        with _patched(MemoryStore, "_fence", lambda self, lease: None):
            return commit(self, lease, changes)

    return _patched(MemoryStore, "commit", unfenced)


def file_fence() -> AbstractContextManager[None]:
    return _patched(Files, "_refuse", lambda self, epoch: None)


def take_over_stamp() -> AbstractContextManager[None]:
    return _patched(Files, "claim", lambda self, stamp: None)


def birth() -> AbstractContextManager[None]:
    def again(book: ModelRecord, want: DesiredModel, now: datetime) -> ModelRecord:
        return replace(book, born_at=now, born_digest=want.spec.digest)

    return _patched(intents, "newborn", again)


def time_in_place() -> AbstractContextManager[None]:
    """What a deployment was made for counts, also where the file only gives it another time."""

    def by_its_own_words(self: Case, record: DeploymentRecord) -> case.Rest | None:
        ends = None if record is self.same else lifetime.deployment_ends_at(record, self.book)
        if self.rest is not None or ends is None or self.moment.now < ends:
            return self.rest
        return case.Rest("its time is up", ends, "")

    return _patched(Case, "rests", by_its_own_words)


def suspension() -> AbstractContextManager[None]:
    return _patched(DesiredModel, "suspended", False)


def timetable() -> AbstractContextManager[None]:
    return _patched(case, "down", lambda text, now: None)


def epoch_floor() -> AbstractContextManager[None]:
    """Leases are counted by the record alone, whatever the files say."""

    def unheeding(*given: Any, floor: int, **named: Any) -> Tenure:
        return Tenure(*given, **named)

    return _patched(beginning, "Tenure", unheeding)


@contextlib.contextmanager
def local_deadline() -> Iterator[None]:
    with _patched(Tenure, "check", lambda self: None), _patched(Tenure, "_refuse_interrupted", lambda self: None):
        yield


def mass_delete_guard() -> AbstractContextManager[None]:
    return _patched(policy, "_mass_delete", lambda *given: iter(()))


def adopt_on_start() -> AbstractContextManager[None]:
    """A new lease asks no platform at once; in its turn each is asked as usual."""
    due_s = sweep._due_s

    def in_its_turn(sweeps: Sweeps, name: str, is_needed: bool, *given: Any) -> float:
        return due_s(sweeps, name, is_needed and bool(sweeps.tried_s), *given)

    return _patched(sweep, "_due_s", in_its_turn)


def sweep_of_all() -> AbstractContextManager[None]:
    """Nobody asks the platforms that neither the file nor the record names."""
    due = inventory.due

    def needed_only(sweeps: Sweeps, needed: Collection[str], *given: Any) -> list[str]:
        return [name for name in due(sweeps, needed, *given) if name in needed]

    return _patched(inventory, "due", needed_only)


def tombstone_reads() -> AbstractContextManager[None]:
    return _patched(leaving, "REMOVAL_READS", 1)


def tombstone_grace() -> AbstractContextManager[None]:
    missing = refresh._missing

    def long_ago(book: Any, now: datetime) -> Any:
        return replace(missing(book, now), missing_since=now - timedelta(days=1))

    return _patched(refresh, "_missing", long_ago)


def bake_time() -> AbstractContextManager[None]:
    return _patched(answers, "retire", lambda case, record, since: answers.unless_busy(case, record, "replaced"))


def ignorance_waits() -> AbstractContextManager[None]:
    """What a platform does not mention is not there."""
    usual = observe._asking

    def asking(*given: Any) -> Callable[[], Mapping[str, Observation]]:
        def ask() -> Mapping[str, Observation]:
            absent = Observation(phase=Phase.ABSENT)
            return {id: absent if seen.phase is Phase.UNKNOWN else seen for id, seen in usual(*given)().items()}

        return ask

    return _patched(observe, "_asking", asking)


def protection() -> AbstractContextManager[None]:
    return _patched(engine, "_protect", lambda known, reading: known)


def running_services() -> AbstractContextManager[None]:
    return _patched(engine, "busy", lambda *given: {})


def last_look_at_files() -> AbstractContextManager[None]:
    return _patched(engine, "may_go", lambda *given, **named: True)


def delete_again() -> AbstractContextManager[None]:
    def once(case: Case, record: DeploymentRecord) -> Iterator[Any]:
        yield case.hold(record, "its deletion was asked for")

    return _patched(diff, "_ANSWERS", {**diff._ANSWERS, diff.Answer.FINISH: once})


def adoption() -> AbstractContextManager[None]:
    """What is found and not recorded is left where it is."""
    return _patched(inventory, "adopt", lambda recorded, *given, **named: recorded)


def noticing_the_past() -> AbstractContextManager[None]:
    return _patched(Tenure, "_refuse_the_past", lambda self, serial, newest_id: None)


@contextlib.contextmanager
def doubts() -> Iterator[None]:
    """What an older record says of a deployment is all that ever became of it, and what is found never served."""
    adopted = adoption_._adopted

    def undoubted(*given: Any) -> DeploymentRecord:
        return replace(adopted(*given), doubted_at=None, adopted=False)

    with _patched(beginning, "doubted", lambda *given: iter(())), _patched(adoption_, "_adopted", undoubted):
        yield


def settled_listing() -> AbstractContextManager[None]:
    """The first listing after the record went back is believed to tell all."""
    return _patched(inventory, "settled", lambda *given: {})


def due_restarts() -> AbstractContextManager[None]:
    return _patched(engine, "restarts_due", lambda known, outputs: known)


def seeing_out() -> AbstractContextManager[None]:
    return _patched(diff, "_ANSWERS", {**diff._ANSWERS, diff.Answer.SEE_OUT: answers.wait})


@contextlib.contextmanager
def blind_to(rules: Sequence[str]) -> Iterator[None]:
    """The rules of these names are not looked at."""
    violated = World.violated

    def unless_unseen(self: World, rule: str, text: str) -> None:
        if rule not in rules:
            violated(self, rule, text)

    with _patched(World, "violated", unless_unseen):
        yield


MUTANTS: Mapping[str, Mutant] = {
    mutant.mechanism: mutant
    for mutant in (
        Mutant("intent write", intent_write, "the call, then its record"),
        Mutant(
            "intent write, unseen",
            intent_write,
            "the same, and S7 does not look",
            ("edits_in_a_row", "failed_start", "there_and_back"),
            ("create", Fault.CRASH_SENT),
            unseen=("S7",),
        ),
        Mutant("derived name", derived_name, "every call with a name of its own"),
        Mutant(
            "derived name, unseen",
            derived_name,
            "the same, and S13 does not look",
            (),
            ("create", Fault.DELAYED),
            unseen=("S7", "S13"),
        ),
        Mutant(
            "settle time", settle_time, "absence is believed at once", ("edits_in_a_row",), ("create", Fault.DELAYED)
        ),
        Mutant(
            "absence by name",
            absence_by_name,
            "a delete that was answered is done",
            ("edits_in_a_row",),
            ("delete", Fault.LYING),
        ),
        Mutant(
            "delete again", delete_again, "a deletion is asked for once", ("edits_in_a_row",), ("delete", Fault.LYING)
        ),
        Mutant("state fence", state_fence, "the store takes what an old lease writes"),
        Mutant("file fence", file_fence, "the files take what an old lease writes"),
        Mutant(
            "take-over stamp",
            take_over_stamp,
            "a new lease leaves the files' epoch alone",
            ("there_and_back",),
            ("publish", Fault.PAUSE_BEFORE),
        ),
        Mutant(
            "local deadline",
            local_deadline,
            "nobody looks at the clock before a call",
            ("edits_in_a_row",),
            ("commit", Fault.PAUSE_AFTER),
        ),
        Mutant("epoch floor", epoch_floor, "a lost record counts its leases from one", ("lost_after_years",)),
        Mutant(
            "adopt on start",
            adopt_on_start,
            "a new lease takes its record for the whole truth",
            ("rewound_state", "lost_state", "lost_while_moving"),
        ),
        Mutant(
            "sweep of all",
            sweep_of_all,
            "only what file and record name is asked",
            ("lost_while_moving",),
        ),
        Mutant(
            "mass-delete guard", mass_delete_guard, "a file without models removes them all", ("everything_vanishes",)
        ),
        Mutant(
            "tombstone: readings",
            tombstone_reads,
            "one good reading is proof",
            ("gone_and_unreadable",),
            ("read", Fault.UNREADABLE),
        ),
        Mutant("tombstone: grace", tombstone_grace, "two good readings are proof at once", ("remove", "rename")),
        Mutant("birth", birth, "every attempt has its time anew", ("time_is_up_in_vain",)),
        Mutant("time in place", time_in_place, "more time comes too late", ("time_is_changed",)),
        Mutant("suspension", suspension, "what is suspended is changed", ("suspended",)),
        Mutant("timetable", timetable, "no schedule has anything down", ("scheduled_away",)),
        Mutant("bake time", bake_time, "what was replaced goes at once"),
        Mutant(
            "ignorance waits",
            ignorance_waits,
            "what a platform does not say is absent",
            ("edit_in_place", "edit_in_place_twice"),
            ("observe", Fault.THROTTLE),
        ),
        Mutant("protection", protection, "the file alone protects", ("protect",)),
        Mutant(
            "running services",
            running_services,
            "nobody asks the containers",
            ("edits_in_a_row",),
            ("roll_out", Fault.RESTART_FAILED),
        ),
        Mutant("adoption", adoption, "what is found is left alone", (), ("load", Fault.REWOUND)),
        Mutant("noticing the past", noticing_the_past, "an older record is worked on", ("rewound_while_running",)),
        Mutant("doubts", doubts, "an older record is believed", ("rewound_and_broken",)),
        Mutant(
            "settled listing",
            settled_listing,
            "the first listing tells all",
            ("rewound_while_replacing",),
            ("create", Fault.DELAYED),
        ),
        Mutant(
            "due restarts",
            due_restarts,
            "an older record of a restart counts",
            ("rewound_and_wanted_again",),
            ("roll_out", Fault.CRASH_AFTER),
        ),
        Mutant("seeing out", seeing_out, "what is being deleted is left alone", ("half_deleted",)),
        Mutant(
            "last look",
            last_look_at_files,
            "a delete trusts its plan",
            ("unwritable_files",),
            ("publish", Fault.NOT_WRITTEN),
        ),
    )
}
