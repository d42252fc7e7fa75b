"""Points at which a process can be told to end: around every effect, and not there unless somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import crashpoints
from reconciler.crashpoints import EFFECTS, POINTS, VARIABLES, Misnamed, around
from reconciler.engine import Engine
from tests.reconciler.world import LARGE, SMALL, World


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where passed points are written down; this process's own files stay out of it."""
    monkeypatch.setattr(crashpoints._Points, "watch_files", lambda self: None)
    crashpoints._points.cache_clear()
    yield tmp_path / "points"
    crashpoints._points.cache_clear()


def _observed(world: World, points: Path, **manner: object) -> Engine:
    """The world's reconciler with the points around its ports."""
    engine = world.start(**manner)
    engine._store, engine._ports = around({"CMR_POINTS": str(points)}, engine._store, engine._ports)
    return engine


def _names(points: Path) -> list[str]:
    return [line.partition(":")[0] for line in points.read_text(encoding="ascii").splitlines()]


def test_without_a_variable_nothing_is_around_anything() -> None:
    engine = World().engine
    assert around({}, engine._store, engine._ports) == (engine._store, engine._ports)
    assert around({"CMR_CRASH_AT": ""}, engine._store, engine._ports)[0] is engine._store


def test_every_variable_is_explained() -> None:
    assert crashpoints.__doc__ is not None
    assert all(f"{name}=" in crashpoints.__doc__ for name in VARIABLES)


def test_a_replacement_passes_its_effects_in_the_order_of_the_protocol(points: Path) -> None:
    world = World(llm=SMALL)
    world.passes()
    world.engine.close()
    _observed(world, points)
    world.commit(llm=LARGE)
    world.passes()
    world.engine.close()
    passed = [name.removeprefix("before-") for name in _names(points) if name.startswith("before-")]
    protocol = ("acquire", "claim", "create-intent", "create-call", "create-answer", "publish", "switch")
    protocol += ("delete-intent", "delete-call", "delete-answer", "forget", "release")
    places = [passed.index(effect) for effect in protocol if effect != "publish"]
    assert places == sorted(places)
    assert passed[passed.index("switch") - 1] == "publish", "files first, then the record"
    assert set(protocol) <= set(passed)


def test_renewals_and_restarts_of_services_are_points_too(points: Path) -> None:
    world = World()
    world.engine.close()
    _observed(world, points, roll_out=True)
    world.commit(llm=SMALL)
    world.passes()
    world.later(world.engine.tenure.lease.ttl_s if world.engine.tenure else 0)
    assert world.running.rolled_out
    assert {"before-renew", "after-renew", "before-roll-out", "after-roll-out"} <= set(_names(points))


def test_every_effect_has_a_point_on_both_sides() -> None:
    assert len(set(POINTS)) == 2 * len(EFFECTS)


@pytest.mark.parametrize("text", ["create-call", "before-lunch", "after-switch:twice", "after-switch:1x"])
def test_a_point_that_does_not_exist_is_refused(points: Path, text: str) -> None:
    engine = World().engine
    with pytest.raises(Misnamed, match="there is no point"):
        around({"CMR_CRASH_AT": text}, engine._store, engine._ports)
