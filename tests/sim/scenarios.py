"""What people do while the reconcilers work: each scenario is a short story, told at times that the seed chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from drivers import catalog
from drivers.base import ModelSpec
from drivers.errors import Unavailable
from drivers.fake import REFUSED_FLAG
from drivers.values import read
from reconciler.desired import DesiredModel
from reconciler.options import Level, Option
from tests.builders import model_spec, place
from tests.reconciler.wishes import wish
from tests.sim.mishaps import delete_files, deliver_again, edit_files, reboot, restore, rewind, strip_tags
from tests.sim.world import World

Story = Callable[[World], Iterator[float]]
"""Does something and yields the seconds until the next thing; the first `yield` ends what is given from the start."""

A, B, C = (model_spec(context_size=size) for size in (1024, 2048, 4096))


def want(key: str = "llm", spec: ModelSpec = A, *, driver: str = "fake", **given: Any) -> DesiredModel:
    return wish(key, spec, driver=driver, **given)


OTHER = want("other", A)


def optioned(spec: ModelSpec, key: str, text: str) -> DesiredModel:
    """One of which the file says this option."""
    entry = catalog.vocabulary().keys[key]
    asked = Option(key, text, read(entry.type, text, entry.choices), place(), Level.MODEL)
    return want(spec=replace(spec, options={key: text}), options={key: asked})


def timed(spec: ModelSpec, text: str) -> DesiredModel:
    """One that goes by itself after so long."""
    return optioned(spec, "cloud.ttl", text)


def add(world: World) -> Iterator[float]:
    world.commit("demo", OTHER)
    yield 60
    world.commit("demo", OTHER, want())
    yield 60


def remove(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want("third"), want())
    yield 80
    world.commit("demo", OTHER, want("third"))
    yield 200


def remove_and_come_back(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want("third"), want())
    yield 80
    world.commit("demo", OTHER, want("third"))
    yield 150
    world.commit("demo", OTHER, want("third"), want())
    yield 100


def rename(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want("third"), want("llm"))
    yield 80
    world.commit("demo", OTHER, want("third"), want("chat"))
    yield 200


def edit_in_place(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want(spec=model_spec(runtime_flags=("--one",))))
    yield 80
    world.commit("demo", OTHER, want(spec=model_spec(runtime_flags=("--two",))))
    yield 60


def edit_in_place_twice(world: World) -> Iterator[float]:
    yield from edit_in_place(world)
    world.commit("demo", OTHER, want(spec=model_spec(runtime_flags=("--three",))))
    yield 60


def edit_with_replacement(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want(spec=A))
    yield 80
    world.commit("demo", OTHER, want(spec=B))
    yield 120


def edits_in_a_row(world: World) -> Iterator[float]:
    for spec in (A, B, C):
        world.commit("demo", OTHER, want(spec=spec))
        yield 50


def there_and_back(world: World) -> Iterator[float]:
    for spec in (A, B, A, B):
        world.commit("demo", OTHER, want(spec=spec))
        yield 70


def switch_of_platform(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want(driver="fake"))
    yield 80
    world.commit("demo", OTHER, want(driver="other"))
    yield 150


def switch_there_and_back(world: World) -> Iterator[float]:
    for driver in ("fake", "other", "fake"):
        world.commit("demo", OTHER, want(driver=driver))
        yield 90


def protect(world: World) -> Iterator[float]:
    asked = Option("cloud.protect", "true", True, place(), Level.MODEL)
    world.commit("demo", OTHER, want("third"), want(options={"cloud.protect": asked}))
    yield 80
    world.commit("demo", OTHER, want("third"))
    yield 300


def drift(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want())
    yield 100
    world.in_the_console("llm")
    yield 100


def two_projects(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want())
    world.commit("shop", OTHER, want())
    yield 80
    world.commit("demo", OTHER, want(spec=B))
    yield 40
    world.commit("shop", OTHER, want("third"), want(spec=C))
    yield 80


def no_capacity(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want())
    yield 80
    world.platforms["fake"].capacity = 3  # a stranger and these two
    world.commit("demo", OTHER, want(spec=B))
    yield 150
    world.platforms["fake"].capacity = None
    yield 30


def removed_while_in_use(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want("third"), want())
    yield 80
    for _, _, thing in world.live():
        thing.answering = 1
    world.commit("demo", OTHER, want("third"))
    yield 300
    for _, _, thing in world.live():
        thing.answering = 0
    yield 10


def failed_start(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want(spec=A))
    yield 80
    world.platforms["fake"].failing["llm"] = "out of memory"
    world.commit("demo", OTHER, want(spec=B))
    yield 200
    world.platforms["fake"].failing.clear()
    world.commit("demo", OTHER, want(spec=C))
    yield 60


def given_up(world: World) -> Iterator[float]:
    """A spec that fails however often it is tried."""
    world.commit("demo", OTHER)
    world.platforms["fake"].failing["llm"] = "out of memory"
    yield 60
    world.commit("demo", OTHER, want(spec=A))
    yield 4000
    world.platforms["fake"].failing.clear()
    world.commit("demo", OTHER, want(spec=B))
    yield 60


def time_is_up(world: World) -> Iterator[float]:
    """What has a time goes after it, whoever uses it, also where it was made anew; a change gives it another one."""
    world.commit("demo", OTHER, timed(A, "100s"))
    yield 60
    world.in_the_console("llm")
    yield 150
    world.commit("demo", OTHER, timed(B, "80s"))
    yield 100


def time_is_up_in_vain(world: World) -> Iterator[float]:
    """Attempts that fail do not begin the time anew."""
    world.commit("demo", OTHER)
    world.platforms["fake"].failing["llm"] = "out of memory"
    yield 60
    world.commit("demo", OTHER, timed(A, "1200s"))
    yield 4500
    world.platforms["fake"].failing.clear()
    yield 100


def time_is_changed(world: World) -> Iterator[float]:
    """More time, in place, at the last moment; then a replacement while the old one's time runs out, and more again."""
    world.commit("demo", OTHER, timed(A, "80s"))
    yield 78
    world.commit("demo", OTHER, timed(A, "200s"))
    yield 102
    world.commit("demo", OTHER, timed(B, "100s"))
    yield 60
    world.commit("demo", OTHER, timed(B, "150s"))
    yield 100


def recreated(world: World) -> Iterator[float]:
    """There is no room for two, and the file says that the old one goes first."""
    for number, spec in enumerate((A, B, C)):
        world.commit("demo", OTHER, optioned(spec, "cloud.update-strategy", "recreate"))
        world.platforms["fake"].capacity = 3 if number else None  # a stranger and these two
        yield 90
    world.platforms["fake"].capacity = None  # somebody else may have taken a name of ours, and the room


def scheduled_away(world: World) -> Iterator[float]:
    """Away from five past noon until the next morning, in the middle of a change."""
    for spec in (A, B):
        world.commit("demo", OTHER, optioned(spec, "cloud.schedule", "up@0 11 * * *; down@5 12 * * *"))
        yield 250


def scheduled(world: World) -> Iterator[float]:
    """A quarter of an hour there and one away, again and again, and a change in between; then always there."""
    for spec in (A, B):
        world.commit("demo", OTHER, optioned(spec, "cloud.schedule", "up@0,30 * * * *; down@15,45 * * * *"))
        yield 2000
    world.commit("demo", OTHER, want(spec=C))
    yield 60


def suspended(world: World) -> Iterator[float]:
    """What is suspended stays as it is, whatever else the file says of it."""
    world.commit("demo", OTHER, want(spec=A))
    yield 80
    world.commit("demo", OTHER, optioned(B, "cloud.suspend", "true"))
    yield 150
    world.commit("demo", OTHER, want(spec=B))
    yield 60


def refused_model(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want(spec=A))
    yield 80
    world.commit("demo", want("other", B), refused={"llm": "unknown option 'cloud.regoin'"})
    yield 100
    world.commit("demo", want("other", B), want(spec=B))
    yield 60


def rejected_model(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want(spec=A))
    yield 80
    world.commit("demo", OTHER, want(spec=model_spec(runtime_flags=(REFUSED_FLAG,), context_size=9)))
    yield 100
    world.commit("demo", OTHER, want(spec=B))
    yield 60


def source_breaks(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want("third"), want(spec=A))
    yield 80
    world.commit("demo", OTHER, want("third"), want(spec=B))
    yield 10
    world.places["demo"].trouble = "compose.yaml is empty"
    yield 200
    world.places["demo"].trouble = ""
    world.commit("demo", OTHER, want("third"))
    yield 20
    world.places["demo"].trouble = "compose.yaml has changed while it was read"
    yield 200
    world.places["demo"].trouble = ""
    yield 30


def gone_and_unreadable(world: World) -> Iterator[float]:
    """The model is missing in one commit, and the next ones cannot be read for long."""
    world.commit("demo", OTHER, want("third"), want())
    yield 80
    world.commit("demo", OTHER, want("third"))
    yield 8
    world.places["demo"].trouble = "compose.yaml has merge-conflict markers"
    yield 400
    world.places["demo"].trouble = ""
    world.commit("demo", OTHER, want("third"), want())
    yield 60


def silence(world: World) -> Iterator[float]:
    """A platform that cannot be asked for longer than any call may be on its way."""
    world.commit("demo", OTHER, want(spec=A))
    yield 80
    world.commit("demo", OTHER, want(spec=B))
    yield 90
    world.platforms["fake"].silent = True
    yield 700
    world.platforms["fake"].silent = False
    yield 20


def unwritable_files(world: World) -> Iterator[float]:
    """What files name that cannot be written any more is kept, and goes when they can."""
    world.commit("demo", OTHER, want("third"), want(spec=A))
    yield 80
    world.places["demo"].files.unwritable = True
    world.commit("demo", OTHER, want("third"))
    yield 300
    world.places["demo"].files.unwritable = False
    yield 30


def everything_vanishes(world: World) -> Iterator[float]:
    """A file that lost its models is an accident until a person says otherwise."""
    everything = OTHER, want("third"), want()
    world.commit("demo", *everything)
    yield 80
    world.commit("demo")
    yield 400
    world.commit("demo", *everything)
    yield 30


def rewound_state(world: World) -> Iterator[float]:
    """The service is stopped, a copy from before the last change is put in place, the service starts again."""
    world.commit("demo", OTHER, want("third"), want(spec=A))
    yield 80
    copy = world.store.snapshot()
    world.commit("demo", OTHER, want("third"), want(spec=B))
    yield 100
    restore(world, copy)
    yield 100
    world.commit("demo", OTHER, want(spec=A))
    yield 100


def rewound_while_running(world: World) -> Iterator[float]:
    """A database that lost its last commits when another machine took over."""
    for spec in (A, B, A):
        world.commit("demo", OTHER, want(spec=spec))
        world.commit("shop", OTHER, want(spec=spec))
        yield 70
        rewind(world)
        yield 70


def rewound_and_broken(world: World) -> Iterator[float]:
    """The record goes back to before anything served, and what serves breaks before anybody looks."""
    world.commit("demo", OTHER, want())
    yield 20
    copy = world.store.snapshot()
    yield 60
    restore(world, copy)
    for _, _, thing in world.live():
        thing.fails = "out of memory"
    yield 100


def rewound_and_wanted_again(world: World) -> Iterator[float]:
    """The record and the file go back to what services were restarted for before the last time."""
    world.commit("demo", OTHER, want(spec=A))
    yield 60
    copy = world.store.snapshot()
    world.commit("demo", OTHER, want(spec=B))
    yield 50
    restore(world, copy)
    world.commit("demo", OTHER, want(spec=A))
    yield 100


def rewound_while_replacing(world: World) -> Iterator[float]:
    """What is asked for just now was asked for by nobody, and something else is wanted."""
    world.commit("demo", OTHER, want(spec=A))
    yield 15
    copy = world.store.snapshot()
    yield 50
    world.commit("demo", OTHER, want(spec=B))
    yield 5
    restore(world, copy)
    world.commit("demo", OTHER, want(spec=C))
    yield 100


def half_deleted(world: World) -> Iterator[float]:
    """Somebody begins to delete it; where that takes two steps, the second one never comes."""
    world.commit("demo", OTHER, want())
    yield 80
    for driver, _, thing in list(world.live()):
        if thing.deployment is not None and thing.deployment.model == "llm":
            world.excuse(thing.deployment)
            with suppress(Unavailable):  # not now
                world.platforms[driver].delete(thing.deployment)
    yield 100


def lost_state(world: World) -> Iterator[float]:
    """The record is gone, an empty one with the same identity takes its place."""
    empty = world.store.snapshot()
    world.commit("demo", OTHER, want("third"), want(spec=A))
    yield 80
    world.commit("demo", OTHER, want("third"), want(spec=B))
    yield 40
    restore(world, empty)
    yield 60
    world.commit("demo", OTHER, want("third"))
    yield 200


def lost_after_years(world: World) -> Iterator[float]:
    """As `lost_state`, of a project with thousands of leases behind it: the files remember the last one's number."""
    empty = world.store.snapshot()
    world.store.acquire("demo", "the years", 0.0, floor=9000)
    world.commit("demo", OTHER, want(spec=A))
    yield 200
    restore(world, empty)
    yield 60
    world.commit("demo", OTHER, want(spec=B))
    yield 60


def lost_while_moving(world: World) -> Iterator[float]:
    """What the lost record knew is on a platform that the file does not name any more."""
    empty = world.store.snapshot()
    world.commit("demo", OTHER, want(driver="other"))
    yield 80
    world.commit("demo", OTHER, want(driver="fake"))
    yield 20
    restore(world, empty)
    yield 100


def rebooted(world: World) -> Iterator[float]:
    """The host is started anew, once while all is well and once in the middle of a change."""
    world.commit("demo", OTHER, want(spec=A))
    yield 80
    reboot(world)
    yield 60
    world.commit("demo", OTHER, want(spec=B))
    yield 15
    reboot(world)
    yield 60


def stripped_tags(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want())
    yield 80
    strip_tags(world, "llm")
    yield 100
    world.commit("demo", OTHER, want(spec=B))
    yield 60


def stripped_while_starting(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want())
    yield 15
    strip_tags(world, "llm")
    yield 100


def late_echo(world: World) -> Iterator[float]:
    """Every call to a platform times out and takes effect minutes later, while people change their minds."""
    world.commit("demo", OTHER, want("third"), want(spec=A))
    yield 80
    world.muffled.add("fake")
    for spec in (B, C):
        world.commit("demo", OTHER, want("third"), want(spec=spec))
        yield 150
    world.commit("demo", OTHER, want("third"))
    yield 250
    world.muffled.clear()
    world.commit("demo", OTHER, want("third"), want(spec=B))
    yield 60


def revived(world: World) -> Iterator[float]:
    """A create arrives when its deployment is deleted, verified absent and forgotten."""
    for spec in (A, B):
        world.commit("demo", OTHER, want(spec=spec))
        yield 80
    for _ in range(5):
        yield 250
        if deliver_again(world, "llm"):
            break
    yield 30


def edited_files(world: World) -> Iterator[float]:
    world.commit("demo", OTHER, want(spec=A))
    yield 60
    edit_files(world, "demo")
    yield 30
    world.commit("demo", OTHER, want(spec=B))
    yield 25
    edit_files(world, "demo")
    yield 10
    delete_files(world, "demo")
    yield 60


SCENARIOS: dict[str, Story] = {
    story.__name__: story
    for story in (
        add, remove, remove_and_come_back, rename, edit_in_place, edit_in_place_twice, edit_with_replacement,
        edits_in_a_row, there_and_back, switch_of_platform, switch_there_and_back, protect, drift, two_projects,
        no_capacity, removed_while_in_use, failed_start, given_up, refused_model, rejected_model, source_breaks,
        gone_and_unreadable, silence, unwritable_files, everything_vanishes, rewound_state, rewound_while_running,
        rewound_and_broken, rewound_and_wanted_again, rewound_while_replacing, half_deleted, lost_state,
        lost_after_years, lost_while_moving, rebooted, stripped_tags, stripped_while_starting, edited_files,
        late_echo, revived, time_is_up, time_is_up_in_vain, time_is_changed, recreated,
        scheduled, scheduled_away, suspended,
    )
}  # fmt: skip
TOLD_ON: Mapping[str, tuple[str, str]] = {"rebooted": ("local", "names")}
"""The two platforms of stories that would say nothing on others."""
