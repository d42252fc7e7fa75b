"""Promise: however many machines are silent, a look ends in time, takes none for gone, and passes none over twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from drivers import probe
from drivers.aws.ec2 import health, looking
from drivers.base import Deployment, Phase
from tests.drivers.ec2crowd import crowd
from tests.drivers.ec2s import Ec2s

SIZE = 20


class Silent:
    """Machines that take all the time they are given and say nothing; the clock is moved by nothing else."""

    def __init__(self) -> None:
        self.now_s, self.well = 0.0, False
        self.asked: list[str] = []

    def __call__(self) -> float:
        return self.now_s

    def health(self, url: str, *, path: str, timeout_s: float) -> probe.Answer:
        if self.well:
            return probe.Answer(True)
        self.asked.append(url)
        self.now_s += timeout_s
        return probe.Answer(False, "silent")


class Crowd:
    """`SIZE` machines that have answered before they fell silent; one is asked after the other."""

    def __init__(self, platform: Ec2s, deployments: Sequence[Deployment], silent: Silent) -> None:
        self.platform, self.deployments, self.silent = platform, deployments, silent

    def starting(self, number: int = SIZE) -> list[Deployment]:
        """The first ones as they were before they ever answered, and the others."""
        changed = [replace(one, handle=_without_answer(one)) for one in self.deployments[:number]]
        return [*changed, *self.deployments[number:]]

    def look(self, deployments: Sequence[Deployment]) -> Counter[tuple[Phase, str]]:
        """What is said of all of them, in time."""
        began_s = self.silent.now_s
        seen = self.platform.driver.observe_many(deployments)
        assert self.silent.now_s - began_s <= 30.0
        assert seen.keys() == {one.id for one in deployments}
        return Counter((one.phase, one.detail) for one in seen.values())


def _without_answer(deployment: Deployment) -> dict[str, str]:
    return {key: text for key, text in deployment.handle.items() if key != health.ANSWERED}


@pytest.fixture
def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    platform, silent = Ec2s(tmp_path), Silent()
    deployments = crowd(platform, SIZE)
    platform.driver._clients.clock = silent
    monkeypatch.setattr(looking, "SIDE_BY_SIDE", 1)
    monkeypatch.setattr(probe, "health", silent.health)
    yield Crowd(platform, deployments, silent)
    platform.cloud.reset()


def test_all_that_start_are_asked_within_two_looks(crowded: Crowd) -> None:
    those = crowded.starting()
    seen = crowded.look(those)
    assert {phase for phase, _ in seen} == {Phase.CREATING}
    assert 0 < seen[Phase.CREATING, looking.PASSED_OVER] < SIZE
    crowded.look(those)
    assert len(set(crowded.silent.asked)) == SIZE, "those who were passed over came first"


def test_what_was_known_stays_where_there_was_no_time(crowded: Crowd) -> None:
    crowded.silent.well = True
    assert crowded.look(crowded.deployments) == {(Phase.READY, ""): SIZE}
    crowded.silent.well = False
    seen = crowded.look(crowded.deployments)
    assert {phase for phase, _ in seen} == {Phase.READY, Phase.DEGRADED}
    again = crowded.look(crowded.deployments)
    assert again[Phase.READY, ""] == 0, "by now all of them were asked"


def test_whom_nobody_here_ever_saw_is_unknown_and_not_gone(crowded: Crowd) -> None:
    seen = crowded.look(crowded.deployments)
    assert seen[Phase.UNKNOWN, looking.PASSED_OVER] > 0
    assert {phase for phase, _ in seen} == {Phase.DEGRADED, Phase.UNKNOWN}
    assert {phase for phase, _ in crowded.look(crowded.deployments)} == {Phase.DEGRADED}


def test_those_that_serve_do_not_wait_for_those_that_start(crowded: Crowd) -> None:
    those = crowded.starting(SIZE - 5)
    seen = crowded.look(those)
    assert seen[Phase.DEGRADED, "the server does not pass its health check"] == 5
    assert seen[Phase.CREATING, looking.PASSED_OVER] > 0


def test_the_memory_of_one_project_is_not_that_of_another(crowded: Crowd) -> None:
    these = crowded.starting()
    those = [replace(one, project="another") for one in these]
    keys = crowded.platform.driver._keys
    keys.file(those[0]).write_text(keys.file(these[0]).read_text())
    crowded.look(these)
    first = list(crowded.silent.asked)
    crowded.look(those)
    assert crowded.silent.asked[len(first) :] == first, "nobody of that one was passed over before"
    crowded.look(these)
    assert len(set(crowded.silent.asked)) == SIZE
