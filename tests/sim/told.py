"""Stories that nobody wrote down: Hypothesis puts deeds of people in a row, and shrinks a row that breaks a rule.

The written stories of `scenarios.py` are what somebody thought of; these are the rest: a model renamed while its
platform is full, protected and dropped in one commit, switched there and back while somebody deletes by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st

from reconciler.desired import DesiredModel
from reconciler.options import Level, Option
from tests.builders import model_spec, place
from tests.sim.mishaps import deliver_again, strip_tags
from tests.sim.scenarios import OTHER, Story, want
from tests.sim.world import DRIVERS, World

KEYS = ("llm", "chat")
"""Models that come, change and go; three more are always there, so that one gone is no mass delete."""
STEADY = (OTHER, want("third"), want("fourth"))
SPECS = (
    model_spec(context_size=1024),
    model_spec(context_size=2048),
    model_spec(context_size=1024, runtime_flags=("--one",)),  # another flag is changed in place
    model_spec(context_size=1024, runtime_flags=("--two",)),
)
PROTECTION = {"cloud.protect": Option("cloud.protect", "true", True, place(), Level.MODEL)}


class Deed(NamedTuple):
    """What somebody does, to which model, and how long (seconds) nobody does anything afterwards."""

    what: str
    key: str
    spec: int
    driver: str
    pause_s: int


DEEDS = (
    *("want", "want", "want", "drop", "rename", "protect", "by hand", "stripped", "full", "room", "failing", "mended"),
    *("muffled", "heard", "late", "broken"),
)
deeds = st.builds(
    Deed,
    st.sampled_from(DEEDS),
    st.sampled_from(KEYS),
    st.integers(0, len(SPECS) - 1),
    st.sampled_from(DRIVERS),
    st.sampled_from((5, 30, 90, 200)),
)
stories = st.lists(deeds, min_size=1, max_size=6)


def told(row: Sequence[Deed]) -> Story:
    """The story of these deeds. It ends well: what is full has room again, and what was lost by accident comes back."""

    def story(world: World) -> Iterator[float]:
        wanted = _Wanted(world)
        wanted.commit()
        yield 60
        for deed in row:
            wanted.do(deed)
            yield deed.pause_s
        wanted.end_well()
        yield 60

    return story


@dataclass
class _Wanted:
    """What the file asks for at present."""

    world: World
    models: dict[str, DesiredModel] = field(default_factory=dict)

    def do(self, deed: Deed) -> None:
        world, platform = self.world, self.world.platforms[deed.driver]
        other = KEYS[1 - KEYS.index(deed.key)]
        match deed.what:
            case "want":
                self._want(deed)
            case "protect":
                self._want(deed, options=PROTECTION)
            case "drop":
                self.models.pop(deed.key, None)
                self.commit()
            case "rename" if deed.key in self.models:
                there = self.models.pop(deed.key)
                self.models[other] = want(other, there.spec, driver=there.driver)
                self.commit()
            case "by hand":
                world.in_the_console(deed.key)
            case "stripped":
                strip_tags(world, deed.key)
            case "muffled":
                world.muffled.add(deed.driver)
            case "heard":
                world.muffled.discard(deed.driver)
            case "late":
                deliver_again(world, deed.key)
            case "full":
                platform.capacity = len(platform.things)
            case "room":
                platform.capacity = None
            case "failing":
                platform.failing[deed.key] = "out of memory"
            case "mended":
                platform.failing.clear()
            case "broken":
                world.places["demo"].trouble = "compose.yaml is empty"

    def end_well(self) -> None:
        """Everybody gets what they ask for in the end. Both models gone at once would wait for a person's word."""
        self.world.muffled.clear()
        for platform in self.world.platforms.values():
            platform.capacity = None
            platform.failing.clear()
        if not self.models:
            self.models["llm"] = want("llm", SPECS[0])
        # A spec that was given up stays given up until a commit changes it.
        flags = ("--in-the-end",)
        self.models = {
            key: want(key, model_spec(context_size=3072, runtime_flags=flags), driver=model.driver)
            for key, model in self.models.items()
        }
        self.commit()

    def commit(self) -> None:
        self.world.commit("demo", *STEADY, *self.models.values())
        self.world.places["demo"].trouble = ""

    def _want(self, deed: Deed, **given: Any) -> None:
        self.models[deed.key] = want(deed.key, SPECS[deed.spec], driver=deed.driver, **given)
        self.commit()
