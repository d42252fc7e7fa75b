"""What holds for every test: nothing leaves this machine, what was skipped is counted, an engine we started is stopped.

The parts themselves are found by `tests.parts`; fixtures here only hand them out once per session.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from tests import parts
from tests.egress import GUARD

# Whoever started pytest may want no bytecode; the commands started by tests are to start as they do for users.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure(config: pytest.Config) -> None:
    """One name for this run of the suite; the workers of xdist inherit it through the environment."""
    if not hasattr(config, "workerinput"):
        os.environ[parts.RUN] = uuid.uuid4().hex
    GUARD.install()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with real model servers or containers, and those that look at what of them is there, run one after the
    other, on one worker: two servers at a time are slower on two cores than one after the other, and the engine is one
    for all, with one project of a name. The other worker does the rest. A second group mark beside this one would make
    a group of its own."""
    for item in items:
        if any(item.get_closest_marker(name) for name in ("llama", "docker", "host")):
            item.add_marker(pytest.mark.xdist_group("real"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Side by side those tests would disturb each other now and then: better no run than one that fails by chance."""
    if hasattr(session.config, "workerinput"):
        ungrouped = [
            item.nodeid
            for item in session.items
            if item.get_closest_marker("xdist_group") and not item.nodeid.endswith("@real")
        ]
        if ungrouped:
            raise pytest.UsageError(
                f"{ungrouped[0]} is not kept on one worker: this pytest-xdist does not group for this pytest; "
                "run `make install` for the versions of pyproject.toml, and use --dist loadgroup"
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that tried to leave this machine fails, also where the code under test swallowed the error."""
    before = len(GUARD.refused)
    yield
    tried = GUARD.refused[before:]
    if tried and item.get_closest_marker("tries_to_leave") is None:
        pytest.fail(f"tried to leave this machine: {', '.join(sorted(set(tried)))}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the Docker engine that this run started, if it started one; the workers are done by now."""
    if not hasattr(session.config, "workerinput"):
        parts.stop_engine()


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """How many tests were skipped, and for which reason: a skipped test is a promise nobody checked."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(_reason(report) for report in skipped)
    terminalreporter.section("skipped tests", sep="-")
    terminalreporter.write_line(f"{len(skipped)} skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"  {count:4d}  {reason}")


def _reason(report: pytest.TestReport) -> str:
    place = report.longrepr
    text = place[2] if isinstance(place, tuple) else str(place)
    return text.removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def engine() -> parts.Engine:
    """A Docker engine that answers, with the image of the tests in it; started by this run where none answered."""
    return parts.engine()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, state and cache folder of the test's own, for everything that is started with this environment."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return folder
