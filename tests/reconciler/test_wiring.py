"""The composition root: one object for each thing that several threads share, and a service put together for real."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from drivers.aws.settings import has_credentials
from drivers.base import Driver
from drivers.registry import constructor
from reconciler.commands.serve import _follow
from reconciler.daemon import Followed
from reconciler.settings import ProjectSettings, Timing, default_settings, read_settings
from reconciler.wiring import Drivers, RuleBook
from state.memory import MemoryStore
from tests.reconciler.repositories import Repo


class _Meeting(Drivers):
    """Makes drivers so slowly that every thread that may begin to make one does."""

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(default_settings({"HOME": str(folder)}), {})
        self._all = threading.Barrier(threads)

    def _make(self, name: str) -> Driver:
        with suppress(threading.BrokenBarrierError):
            self._all.wait(0.2)
        return cast(Driver, object())


def test_threads_that_ask_at_once_get_the_same_driver(tmp_path: Path) -> None:
    """Two of them once each had their own, and each its own memory of pulls under way and servers being stopped."""
    drivers = _Meeting(tmp_path, 3)
    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(drivers, ["llamacpp"] * 3))) == 1


def test_a_driver_is_the_same_in_every_pass(tmp_path: Path) -> None:
    drivers = Drivers(default_settings({"HOME": str(tmp_path)}), {})
    assert drivers("llamacpp") is drivers("llamacpp")


def test_an_operator_may_wait_less_for_late_calls_to_a_cloud_and_never_more_than_its_driver() -> None:
    standard = default_settings({"HOME": "/home/ada"})
    own = constructor("aws-bedrock").capabilities.settle_s  # type: ignore[attr-defined]
    for asked_s, expected_s in ((1.0, 1.0), (10_000.0, own)):
        rules = RuleBook(replace(standard, timing=Timing(cloud_settle_s=asked_s)), {})
        assert rules["aws-bedrock"].capabilities.settle_s == expected_s
        assert rules["llamacpp"].capabilities == RuleBook(standard, {})["llamacpp"].capabilities


def test_a_service_that_is_restarted_with_a_broken_commit_goes_on_from_the_recorded_one(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "shop")
    good = repo.commit({"compose.yaml": "name: shop\nservices:\n  app: {image: app}\n"})
    settings, store = default_settings({"HOME": str(tmp_path)}), MemoryStore()

    def follow() -> Followed:
        return _follow(ProjectSettings(checkout=repo.path), settings, store, Drivers(settings, {}))

    before = follow()
    assert before.engine.run_once().trouble == ""
    before.engine.close()
    repo.commit({"compose.yaml": "services: ["})
    after = follow()
    result = after.engine.run_once()
    assert "compose.yaml" in result.trouble
    assert result.plan is not None
    assert result.plan.revision == good
    assert after.engine.tenure is not None, "the lease is held, so that what runs is looked after"
    source = store.load("shop").source
    assert source is not None
    assert source.revision == good


@pytest.mark.parametrize(
    ("environment", "settings", "is_swept"),
    [
        ({}, "", False),
        ({"AWS_DEFAULT_REGION": "us-west-2"}, "", False),
        ({"AWS_ACCESS_KEY_ID": "key"}, "", True),
        ({"AWS_PROFILE": "work"}, "", True),
        ({}, "aws: {region: us-west-2}", True),
    ],
)
def test_only_platforms_that_the_host_is_set_up_for_are_swept(
    tmp_path: Path, environment: dict[str, str], settings: str, is_swept: bool
) -> None:
    """Else a host without any cloud would load SDKs and look for credentials every ten minutes."""
    environment = environment | {"HOME": str(tmp_path)}
    rules = RuleBook(read_settings(tmp_path / "reconciler.yaml", settings.encode(), environment), environment)
    assert ("aws-sagemaker" in list(rules)) is is_swept
    assert "llamacpp" in list(rules)
    assert len(rules) == len(list(rules))
    assert rules["aws-sagemaker"].capabilities.billable, "whatever is named in a file is known"


def test_credentials_in_a_file_of_the_users_are_credentials(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    assert not has_credentials(environment)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").touch()
    assert has_credentials(environment)
