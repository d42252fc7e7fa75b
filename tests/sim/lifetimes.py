"""`cloud.ttl` as the world sees it: from when on the time of something may be up, and from when on it must be. And
whether something may be down by its `cloud.schedule`.

Time counts from the birth of a spec. The world knows when each of its deployments was minted: the oldest one is
its birth, unless the record went back since and the birth with it. Then the newest one is the latest that it may be.
One that another time was given to in place is as old as before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from drivers.base import Deployment, ModelSpec
from drivers.naming import minted_at
from drivers.values import duration
from reconciler.desired import DesiredModel
from reconciler.timetable import down
from tests.builders import NOON

if TYPE_CHECKING:
    from tests.sim.world import Place, World

TTL, SCHEDULE, SUSPEND = "cloud.ttl", "cloud.schedule", "cloud.suspend"
LATE_S = 120.0
"""How long a call may be on its way that was decided on in time."""


def _down_s(world: World, spec: ModelSpec) -> float:
    """For how long it has been down by its schedule, in seconds, for anybody who looked lately; negative while it is
    up. What is decided while it is down may take a while to be done, and the wall clock may have been set."""
    if SCHEDULE not in spec.options:
        return -math.inf
    offs = (0, -LATE_S / 2, -LATE_S, -world.slack_s, world.slack_s)
    found = (down(spec.options[SCHEDULE], world.true_time() + timedelta(seconds=off)) for off in offs)
    return max(((world.true_time() - one.since).total_seconds() for one in found if one), default=-math.inf)


def _is_down(world: World, spec: ModelSpec, *, for_s: float = 0.0) -> bool:
    """Whether it is down by its schedule, and was that for so many seconds, on whatever clock of ours."""
    offs = (-for_s - world.slack_s, -for_s / 2, 0.0, world.slack_s)
    times = (world.true_time() + timedelta(seconds=off) for off in offs)
    return SCHEDULE in spec.options and all(down(spec.options[SCHEDULE], time) for time in times)


def comings(world: World, place: Place, model: str) -> int:
    """How often a model may have come up by its schedule so far, beyond the times that a commit asked for it."""
    schedules = ((time, wanted[model].spec.options.get(SCHEDULE)) for time, wanted in place.commits if model in wanted)
    text, since = next(((text, time) for time, text in schedules if text), (None, 0.0))
    if text is None:
        return 0
    seconds = range(int(since - world.slack_s), int(world.scheduler.time + world.slack_s) + 60, 60)
    states = [down(text, NOON + timedelta(seconds=second)) is None for second in seconds]
    return sum(up and not before for before, up in itertools.pairwise([False, *states]))


def may_be_up(
    world: World, place: Place, deployment: Deployment, *, and_s: float = 0.0, read: DesiredModel | None = None
) -> bool:
    """Whether it has had its time, and so many seconds more: by what it was made for, or by what is wanted now. Whoever
    `read` that only its time is another one now goes by that alone."""
    wanted = read or place.commits[-1][1].get(deployment.model)
    specs = [deployment.spec, *([wanted.spec] if wanted is not None else [])]
    if read is not None and _timeless(read.spec) == _timeless(deployment.spec):
        specs = [read.spec]
    if any(_down_s(world, spec) >= and_s - world.slack_s - 1 for spec in specs):
        return True
    ends = (_earliest_end(world, place, deployment.model, spec) for spec in specs)
    return any(world.scheduler.time >= end + and_s - world.slack_s - 1 for end in ends)


def model_may_be_up(world: World, place: Place, model: str) -> bool:
    """The same of whatever was ever wanted of a model."""
    specs = {wanted[model].spec.digest: wanted[model].spec for _, wanted in place.commits if model in wanted}
    if any(_down_s(world, spec) > -math.inf for spec in specs.values()):
        return True
    ends = [_earliest_end(world, place, model, spec) for spec in specs.values() if TTL in spec.options]
    return any(world.scheduler.time >= end - world.slack_s - 1 for end in ends)


def must_be_up(world: World, place: Place, model: str, spec: ModelSpec) -> bool:
    """Whether the time of a spec is up for certain, or it is down by its schedule. One whose birth went out of the
    record, of which nothing is left that would tell it, is born once more."""
    if _is_down(world, spec):
        return True
    births = _births(world, place, model, spec)
    inherited = _births(world, place, model, spec, exactly=False)
    if not inherited or TTL not in spec.options:
        return False
    went_back = not births or world.rewound_at >= births[0] - world.slack_s
    book = world.store.load(place.name).models.get(model)
    if went_back and (book is None or book.born_digest != spec.digest):
        return False
    born = inherited[-1] if went_back else births[0]
    return world.scheduler.time >= born + _ttl_s(spec) + world.slack_s


def goes_first(place: Place, model: str) -> bool:
    """Whether the file ever asked that what runs goes before its successor is made (`cloud.update-strategy`)."""
    asked = (wanted[model].strategy for _, wanted in place.commits if model in wanted)
    return "recreate" in asked


def has_its_time(world: World, place: Place, model: str, spec: ModelSpec) -> bool:
    """Whether it is to go by itself, and that is still to come."""
    return TTL in spec.options and not must_be_up(world, place, model, spec)


def before_create(world: World, deployment: Deployment) -> None:
    """S17: nothing is asked for whose time is up, or that is down by its schedule."""
    if _is_down(world, deployment.spec, for_s=LATE_S):
        world.violated("S17", f"{deployment.name} was asked for while its schedule has it down")
    place = world.places[deployment.project]
    births = _births(world, place, deployment.model, deployment.spec)
    if TTL in deployment.spec.options and births and world.rewound_at < births[0] - world.slack_s:
        late_s = world.sent_at - births[0] - _ttl_s(deployment.spec) - world.slack_s
        if late_s > LATE_S:
            world.violated("S17", f"{deployment.name} was asked for {late_s:.0f} s after its time was up")


def before_change(world: World, deployment: Deployment) -> None:
    """S18: nothing is made, or changed, of what the file suspends."""
    if deployment.spec.options.get(SUSPEND) == "true":
        world.violated("S18", f"{deployment.name} is being made what its file suspends")


def after_resolving(
    world: World, place: Place, deployment: Deployment, wanted: Mapping[str, DesiredModel], works: bool
) -> bool:
    """Whether its time may be up, for one whose last good reading asks for `wanted`. S18: else nothing is deleted of
    what that suspends."""
    read = wanted.get(deployment.model)
    is_over = may_be_up(world, place, deployment, read=read if works else None)
    if read is not None and read.suspended and not is_over:
        world.violated("S18", f"{deployment.name} was deleted, and its file suspends it")
    return is_over


def _earliest_end(world: World, place: Place, model: str, spec: ModelSpec) -> float:
    births = _births(world, place, model, spec, exactly=False)
    return births[0] + _ttl_s(spec) if births and TTL in spec.options else math.inf


def _ttl_s(spec: ModelSpec) -> float:
    return duration(spec.options[TTL]) or math.inf


def _timeless(spec: ModelSpec) -> ModelSpec:
    return replace(spec, options={key: text for key, text in spec.options.items() if key != TTL})


def _births(world: World, place: Place, model: str, spec: ModelSpec, *, exactly: bool = True) -> list[float]:
    """When deployments of this very spec were minted, or of one that differs in its time alone, in virtual seconds
    (within `World.slack_s`), oldest first."""
    owners = (record.deployment for record in world.issued.values())
    ours = (one for one in owners if (one.project, one.model) == (place.name, model))
    same = (one for one in ours if (one.spec == spec if exactly else _timeless(one.spec) == _timeless(spec)))
    return sorted((minted_at(one.id) - NOON).total_seconds() for one in same)
