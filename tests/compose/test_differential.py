"""The real docker compose 2.40.3 and our reader must agree on every project, apart from the listed departures."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests import parts
from tests.compose.departures import DEPARTURES, LENIENT, Departure
from tests.compose.generate import damaged, project
from tests.compose.oracle import Case, compose_refuses, differences, our_reading

GROUPS = (
    *("schema", "scalars", "merging", "resets", "extending", "including"),
    *("variables", "env_files", "discovery", "selection", "text"),
)
GENERATED = 390
DAMAGED = 130
BATCH = 65

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def binary() -> Path:
    return parts.docker_compose()


def cases(group: str) -> list[Case]:
    return list(import_module(f"tests.compose.cases.{group}").cases())


@pytest.mark.parametrize("group", GROUPS)
def test_both_read_every_hand_written_project_alike(group: str, binary: Path, tmp_path: Path) -> None:
    found = differences(binary, tmp_path, cases(group))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("first", range(0, GENERATED, BATCH))
def test_both_read_every_generated_project_alike(first: int, binary: Path, tmp_path: Path) -> None:
    found = differences(binary, tmp_path, (project(seed) for seed in range(first, first + BATCH)))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("first", range(0, DAMAGED, BATCH))
def test_both_read_every_damaged_project_alike(first: int, binary: Path, tmp_path: Path) -> None:
    """Typing errors: refused by both or by neither, unless a listed departure is why."""
    excused = {departure.ours for departure in DEPARTURES}
    projects = (damaged(seed) for seed in range(first, first + BATCH))
    found = differences(binary, tmp_path, projects, excused=excused)
    assert not found, "\n".join(found)


def test_generated_projects_are_a_mixture(tmp_path: Path) -> None:
    """A generator that made only wrong projects, or only right ones, would prove nothing."""
    readings = [our_reading(tmp_path / "demo", project(seed)) for seed in range(GENERATED)]
    accepted = [reading for reading in readings if reading.refused is None]
    assert 0.4 * GENERATED < len(accepted) < 0.9 * GENERATED
    assert sum(bool(reading.models) for reading in accepted) > 0.7 * len(accepted)


@pytest.mark.parametrize("departure", DEPARTURES, ids=lambda departure: departure.what)
def test_departures_are_real_and_say_why(departure: Departure, binary: Path, tmp_path: Path) -> None:
    assert compose_refuses(binary, tmp_path / "demo", departure.case) is None
    assert departure.ours in (our_reading(tmp_path / "demo", departure.case).refused or "")


@pytest.mark.parametrize("case", LENIENT, ids=str)
def test_what_cannot_change_a_model_is_left_to_compose(case: Case, binary: Path, tmp_path: Path) -> None:
    assert compose_refuses(binary, tmp_path / "demo", case)
    assert our_reading(tmp_path / "demo", case).models.keys() == {"llm"}
