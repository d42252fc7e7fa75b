"""Looking at deployments: at one by its tags, at many with one listing, their machines side by side.

Machines that do not answer take their time, and a method has thirty seconds. For whom there is none left, what was
known stays, and they come first the next time: however many there are, everybody has a turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from drivers.aws.ec2 import health, standing
from drivers.aws.ec2.platform import Platform, of_deployment, tagged_with
from drivers.aws.ec2.statuses import Statuses
from drivers.aws.ec2.things import Machine
from drivers.aws.patience import OutOfTime, carried
from drivers.aws.tags import DEPLOYMENT, LINEAGE
from drivers.base import Deployment, Observation, Phase, unknown
from drivers.errors import DriverError

SIDE_BY_SIDE = 64
"""Machines that are asked at a time: one that is silent takes two seconds."""
PASSED_OVER = "many machines do not answer, and there was no time left for this one"
Judge = Callable[[Platform, Deployment, Sequence[Machine], Statuses], Observation]


class _Memory(NamedTuple):
    """What a look leaves to the next one at the same projects; without it that begins anew."""

    waiting: frozenset[str] = frozenset()
    """Those for which there was no time."""
    last: Mapping[str, Observation] = MappingProxyType({})
    """What those were worth that once answered."""


class Looking:
    """`judged` says what a deployment with these machines is worth."""

    def __init__(self, judged: Judge) -> None:
        self._judged = judged
        self._memories: dict[frozenset[tuple[str, str]], _Memory] = {}

    def many(self, by_platform: Mapping[Platform, Sequence[Deployment]]) -> Mapping[str, Observation]:
        """One listing per place; only what is not in it is looked at one by one."""
        everybody = {one.id: one for deployments in by_platform.values() for one in deployments}
        scope = frozenset((one.lineage, one.project) for one in everybody.values())
        memory = self._memories.get(scope, _Memory())
        looked: dict[str, Observation | None] = {}
        for platform, deployments in by_platform.items():
            looked |= self._in_place(platform, deployments, memory.waiting)
        found = {id: seen or memory.last.get(id) or _as_known(everybody[id]) for id, seen in looked.items()}
        self._memories[scope] = _Memory(
            frozenset(id for id, seen in looked.items() if seen is None),
            {id: seen for id, seen in found.items() if seen.phase in (Phase.READY, Phase.DEGRADED)},
        )
        return found

    def _in_place(
        self, platform: Platform, deployments: Sequence[Deployment], waiting: frozenset[str]
    ) -> Mapping[str, Observation | None]:
        lineages = dict.fromkeys(deployment.lineage for deployment in deployments)
        listed: dict[str, list[Machine]] = defaultdict(list)
        try:
            for machine in platform.machines(tagged_with(LINEAGE, *lineages)):
                listed[machine.tags.get(DEPLOYMENT, "")].append(machine)
        except DriverError as trouble:
            return {deployment.id: unknown(trouble) for deployment in deployments}
        statuses = Statuses(platform, [machine.id for those in listed.values() for machine in those])
        one = partial(self._one, platform, listed, statuses)
        turns = sorted(deployments, key=partial(_turn, waiting))
        with ThreadPoolExecutor(max_workers=min(SIDE_BY_SIDE, len(turns))) as pool:
            looked = pool.map(carried(one), turns)
            return {deployment.id: seen for deployment, seen in zip(turns, looked, strict=True)}

    def _one(
        self, platform: Platform, listed: Mapping[str, Sequence[Machine]], statuses: Statuses, deployment: Deployment
    ) -> Observation | None:
        """None where there was no time."""
        there = listed.get(deployment.id, ())
        try:
            if not _is_whole(there, deployment):
                there = machines_of(platform, deployment)
            return self._judged(platform, deployment, there, statuses)
        except OutOfTime:
            return None
        except DriverError as trouble:
            return unknown(trouble)


def machines_of(platform: Platform, deployment: Deployment) -> tuple[Machine, ...]:
    """Its machines by their tags, and the one that is remembered, should somebody have changed its tags."""
    found = platform.machines(*of_deployment(deployment))
    if _is_whole(found, deployment) or standing.INSTANCE not in deployment.handle:
        return found
    remembered = platform.machine(deployment.handle[standing.INSTANCE])
    return (*found, remembered) if remembered is not None else found


def _turn(waiting: frozenset[str], deployment: Deployment) -> tuple[bool, bool]:
    """Who only has to be healthy takes a moment, and comes before those that are asked a real question."""
    return health.ANSWERED not in deployment.handle, deployment.id not in waiting


def _as_known(deployment: Deployment) -> Observation:
    """What to say of one that nobody here has seen before: it is on its way, as far as that is remembered of it."""
    if standing.INSTANCE in deployment.handle and health.ANSWERED not in deployment.handle:
        return health.creating(deployment, deployment.handle, PASSED_OVER)
    return Observation(phase=Phase.UNKNOWN, detail=PASSED_OVER)


def _is_whole(found: Sequence[Machine], deployment: Deployment) -> bool:
    """Whether a listing has what is known to exist."""
    remembered = deployment.handle.get(standing.INSTANCE)
    return bool(found) and (remembered is None or any(machine.id == remembered for machine in found))
