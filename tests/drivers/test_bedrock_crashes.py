"""Bedrock's driver, cut off at every call that it makes: afterwards there is one whole thing, or nothing, and no more.

Every call of create, update, replacement and destruction is lost once on its way there and once on its way back;
besides, every answer of the driver is forgotten once, as by a reconciler that was killed before it could write it down.
Whoever drives does what the decision table would: look, ask again, look. `-s` shows the figures.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from drivers.aws.bedrock.throughput import Throughputs
from drivers.aws.bedrock.wish import Mode, mode_of
from drivers.aws.clients import Clients
from drivers.aws.errors import edge
from drivers.aws.place import Place
from drivers.aws.tags import as_lower_list, tags_of
from drivers.base import Deployment, Observation, Phase
from drivers.errors import DriverError
from infra.localaws.bedrock.catalogue import MODELS
from infra.localaws.localaws import LocalAws
from tests.drivers.bedrocks import REGION, SPECS, Bedrocks, Network, Remembering, settings

LOST = ("request-lost", "response-lost")
ROUNDS = 20
KINDS = {Mode.PROFILE: "profile", Mode.PROVISIONED: "throughput", Mode.IMPORT: "imported model"}
MODES = (*KINDS, Mode.ON_DEMAND)
WIDE = ",".join(f"{letter}:{hashlib.sha512(letter.encode()).hexdigest()}" for letter in "abc")
"""Tags that make a spec need more pieces than the one after it."""
RETAGGED = {"cloud.tags": "stage:test", "cloud.name": "Search"}


@dataclass
class Driving:
    """A reconciler in a few lines, whose process ends with every error and whose memory keeps what was answered.
    `forget` is the number of the answer that it does not keep."""

    bedrocks: Bedrocks
    forget: int = 0
    answers: int = 0
    broken_kinds: dict[Mode, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.memory = Remembering(self.bedrocks.bare())

    def ask(self, method: str, deployment: Deployment) -> Observation | None:
        driver = self.bedrocks.bare()
        driver._kinds = {**driver._kinds, **self.broken_kinds}
        try:
            seen: Observation = getattr(driver, method)(self.memory.known(deployment))
        except DriverError:
            return None
        self.answers += 1
        if self.answers == self.forget:
            return None
        if seen.handle is not None:
            self.memory.handles[deployment.id] = seen.handle
        return seen

    def serve(self, deployment: Deployment) -> None:
        for _ in range(ROUNDS):
            seen = self.ask("observe", deployment)
            if seen is not None and seen.phase is Phase.READY:
                return
            if seen is not None and seen.phase is Phase.ABSENT:
                self.ask("create", deployment)
            self.bedrocks.advance()
        raise AssertionError(f"{deployment.name} is not ready after {ROUNDS} rounds: {seen}")

    def bring(self, deployment: Deployment) -> None:
        """To a changed spec: asked for until an answer came."""
        for _ in range(ROUNDS):
            if self.ask("update", deployment) is not None:
                return self.serve(deployment)
        raise AssertionError(f"the update of {deployment.name} was never answered")

    def end(self, deployment: Deployment) -> None:
        begun = False
        for _ in range(ROUNDS):
            seen = self.ask("observe", deployment)
            if begun and seen is not None and seen.phase is Phase.ABSENT:
                return
            if seen is not None:
                begun = self.ask("delete", deployment) is not None or begun
            self.bedrocks.advance()
        raise AssertionError(f"{deployment.name} is still there after {ROUNDS} rounds: {seen}")


Make = Callable[[Mode], Callable[[], Bedrocks]]
Story = Callable[[Driving], Iterator[None]]
"""What happens; the part after `yield` is what is cut off."""


def creation(driving: Driving) -> Iterator[None]:
    yield
    driving.serve(first(driving))


def update(driving: Driving) -> Iterator[None]:
    driving.serve(first(driving))
    yield
    driving.bring(changed(driving))


def replacement(driving: Driving) -> Iterator[None]:
    driving.serve(first(driving))
    yield
    driving.serve(driving.bedrocks.deployment(2))
    driving.end(first(driving))


def destruction(driving: Driving) -> Iterator[None]:
    driving.serve(first(driving))
    yield
    driving.end(first(driving))


STORIES: dict[Story, int] = {creation: 1, update: 1, replacement: 2, destruction: 0}
"""With the number of the deployment that is there at the end, 0 for none."""


def first(driving: Driving) -> Deployment:
    bedrocks = driving.bedrocks
    return bedrocks.deployment(1, tags=WIDE) if bedrocks.mode is Mode.PROFILE else bedrocks.deployment(1)


def changed(driving: Driving) -> Deployment:
    """The first one with other tags; where it had none, it gets a profile by that."""
    before = first(driving)
    return replace(before, spec=replace(before.spec, options={**before.spec.options, **RETAGGED}))


def run(story: Story, driving: Driving, arm: Callable[[], None]) -> tuple[int, int]:
    """How many calls the story made after `arm`, and how many answers the driver gave."""
    steps = story(driving)
    next(steps)
    cloud = driving.bedrocks.cloud
    cloud.forget_calls()
    driving.answers = 0
    arm()
    next(steps, None)
    cloud.clear_faults()
    driving.forget = 0
    return len(cloud.calls()), driving.answers


def wrong(story: Story, driving: Driving) -> str:
    """What is not as it should be at the end; empty where all is well. Takes everything down."""
    left, mode = STORIES[story], driving.bedrocks.mode
    alive = changed(driving) if story is update else driving.bedrocks.deployment(2) if left == 2 else first(driving)
    kind = "profile" if mode is Mode.ON_DEMAND and story is update else KINDS.get(mode)
    expected = [kind] if left and kind else []
    if driving.bedrocks.books() != expected:
        return f"there is {driving.bedrocks.books()}, not {expected}"
    owned = {one.id: one.spec for one in driving.bedrocks.bare().owned(alive.lineage)}
    if owned != ({alive.id: alive.spec} if expected else {}):
        return f"the tags say {owned}"
    if left:
        seen = driving.ask("observe", alive)
        if seen is None or seen.phase is not Phase.READY:
            return f"it is {seen}"
        driving.end(alive)
    return f"after all {driving.bedrocks.books()} is left" if driving.bedrocks.books() else ""


class Table:
    """Every story, cut off at every point."""

    def __init__(self, make: Callable[[], Bedrocks]) -> None:
        self.make = make

    def points(self, story: Story) -> Iterator[tuple[str, Driving, Callable[[], None]]]:
        driving = Driving(self.make())
        calls, answers = run(story, driving, lambda: None)
        assert wrong(story, driving) == "", "not even without a fault"
        for number in range(1, calls + 1):
            for kind in LOST:
                driving = Driving(self.make())
                yield (
                    f"{kind} at {number}",
                    driving,
                    lambda k=kind, n=number, d=driving: d.bedrocks.cloud.fault(k, at=n),
                )
        for number in range(1, answers + 1):
            driving = Driving(self.make())
            yield f"answer {number} forgotten", driving, lambda n=number, d=driving: setattr(d, "forget", n)

    def failures(self, story: Story) -> tuple[int, list[str]]:
        """How many points there were, and what went wrong at which."""
        count, found = 0, []
        for point, driving, arm in self.points(story):
            count += 1
            try:
                run(story, driving, arm)
                trouble = wrong(story, driving)
            except AssertionError as failed:
                trouble = str(failed)
            if trouble:
                found.append(f"{point}: {trouble}")
        return count, found


@pytest.fixture
def make(aws: LocalAws, aws_clients: Clients, tmp_path: Path) -> Make:
    def of(mode: Mode) -> Callable[[], Bedrocks]:
        def made() -> Bedrocks:
            aws.reset()
            return Bedrocks(aws, aws_clients, settings(tmp_path), mode)

        return made

    return of


@pytest.mark.parametrize(
    "story",
    [pytest.param(story, marks=[] if story is creation else [pytest.mark.slow]) for story in STORIES],
    ids=lambda story: story.__name__,
)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_whatever_is_cut_off_ends_in_one_whole_thing_or_nothing(make: Make, mode: Mode, story: Story) -> None:
    points, failures = Table(make(mode)).failures(story)
    print(f"\nbedrock {mode.value:11} {story.__name__:11} {points:3} points, {len(failures)} failures")
    assert failures == []
    assert points > 4


@pytest.fixture
def make_hard(aws: LocalAws, aws_clients: Clients, tmp_path: Path, localhost_names: None) -> Make:
    """In an account that lets nobody in but by the operator's endpoint, and has accepted no model's terms."""
    always = {"cloud.public-ip": "false", "cloud.accept-eula": "true"}

    def of(mode: Mode) -> Callable[[], Bedrocks]:
        def made() -> Bedrocks:
            aws.reset()
            Network(aws_clients(Place(REGION, None), "ec2").calls).endpoint()
            for model in MODELS:
                aws.perform("bedrock-access", model=model.id, agreement="NOT_AVAILABLE")
            aws.baseline()
            return Bedrocks(aws, aws_clients, settings(tmp_path), mode, always)

        return made

    return of


@pytest.mark.parametrize(
    "story",
    [pytest.param(story, marks=[] if story is creation else [pytest.mark.slow]) for story in STORIES],
    ids=lambda story: story.__name__,
)
@pytest.mark.parametrize("mode", [Mode.ON_DEMAND, Mode.PROFILE], ids=lambda mode: mode.value)
def test_neither_does_it_matter_behind_an_endpoint_and_before_an_agreement(
    make_hard: Make, mode: Mode, story: Story
) -> None:
    points, failures = Table(make_hard(mode)).failures(story)
    print(f"\nbedrock {mode.value:11} {story.__name__:11} {points:3} points, {len(failures)} failures (private)")
    assert failures == []
    assert points > 6


class NamesByChance(Throughputs):
    """A driver as many are written: what it makes is called anew each time, and known by what was answered."""

    def __init__(self) -> None:
        self.numbers = itertools.count()

    def make(self, shelf: Any, deployment: Deployment, target: Any) -> None:
        name, tags = f"{deployment.name}-{next(self.numbers)}", as_lower_list(tags_of(deployment))
        with edge("buying model units", changes=True):
            shelf.client.calls.create_provisioned_model_throughput(
                provisionedModelName=name, modelId=target.sends, modelUnits=1, tags=tags
            )
        self.made = name

    def find(self, shelf: Any, deployment: Deployment, *, by_tags: bool = False) -> Any:
        named = replace(deployment, name=getattr(self, "made", deployment.name))
        return super().find(shelf, named, by_tags=by_tags)


def test_a_driver_that_names_by_chance_is_caught(make: Make) -> None:
    """The control: the table is able to see what it is there for."""
    bedrocks = make(Mode.PROVISIONED)()
    driving = Driving(bedrocks, broken_kinds={Mode.PROVISIONED: NamesByChance()})
    bedrocks.cloud.fault("response-lost", operation="CreateProvisionedModelThroughput")
    driving.serve(first(driving))
    assert bedrocks.books() == ["throughput", "throughput"]
    assert wrong(creation, driving) == "there is ['throughput', 'throughput'], not ['throughput']"


def test_the_stories_are_about_the_specs_they_mean() -> None:
    """A spec that is served in another way would prove nothing about this one."""
    for mode, specs in SPECS.items():
        assert [mode_of(spec) for spec in specs] == [mode, mode]
    assert set(SPECS) == set(MODES) == set(Mode)
