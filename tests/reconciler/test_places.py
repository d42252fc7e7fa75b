"""Promise: where a deployment goes is in the record before it is asked for, and who lists is told where files lead."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pytest

from drivers.base import Deployment, ModelSpec, Observation
from drivers.errors import Denied
from drivers.fake import FakeDriver
from reconciler.policy import Policy
from reconciler.settings import Settings
from reconciler.wiring import aws_settings
from tests.reconciler.world import LARGE, SMALL, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Its platform has places."""
    monkeypatch.setattr(FakeDriver, "destination", lambda self, spec: {"region": "here"}, raising=False)
    return World()


def test_where_it_goes_is_written_down_before_it_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the place in the answer only, a lost answer and a changed setting left a GPU where nobody looked."""
    recorded: list[Mapping[str, str]] = []
    create = FakeDriver.create

    def watched(driver: FakeDriver, deployment: Deployment) -> Observation:
        recorded.append(world.store.load("demo").deployments[deployment.id].deployment.handle)
        assert deployment.handle == recorded[-1]
        return create(driver, deployment)

    monkeypatch.setattr(FakeDriver, "create", watched)
    world.commit(llm=SMALL)
    world.passes()
    assert recorded == [{"region": "here"}]


def test_one_that_cannot_say_where_it_goes_is_asked_for_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(driver: FakeDriver, spec: ModelSpec) -> Mapping[str, str]:
        raise Denied("no region")

    monkeypatch.setattr(FakeDriver, "destination", nowhere)
    world.commit(llm=SMALL)
    world.passes()
    assert world.live == ["llm"]


def test_who_lists_is_told_what_the_file_asks_for_and_what_the_record_has(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Collection[ModelSpec]] = []

    def owned_at(driver: FakeDriver, lineage: str, specs: Collection[ModelSpec]) -> Iterable[Deployment]:
        told.append(tuple(specs))
        return driver.owned(lineage)

    world.commit(llm=SMALL)
    world.passes()
    monkeypatch.setattr(FakeDriver, "owned_at", owned_at, raising=False)
    world.crash()
    world.start()
    world.commit(llm=LARGE)
    world.engine.run_once()
    assert told[0] == (LARGE, SMALL)


def test_where_a_policy_lets_files_go_is_where_aws_is_searched() -> None:
    policy = Policy(allowed_regions=("eu-west-1", "europe-west4"))
    settings = Settings(state="memory:", state_dir=Path("/x"), models_dir=Path("/y"), policy=policy)
    assert aws_settings(settings).regions == ("eu-west-1",)
