"""Promise: every command in an example's README does what is said there; every example's plan is the one beside it.

A command is a line in a block that is marked `sh`. One that is to end with something else than 0 says so in a comment
behind it, `# exit code 3`, for the reader and for this test.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.lab import Lab
from tests import parts

EXAMPLES = parts.CHECKOUT / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if (path / "compose.yaml").is_file())
ON_THIS_MACHINE = ("quickstart",)
"""Examples whose commands start a real model and real containers."""

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_EXIT_CODE = re.compile(r"\s+# exit code (\d+).*$")


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a README that is to be run."""

    text: str
    exit_code: int


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A home of its own, with docker's compose plugin in it; whatever was started in there is ended."""
    made = Lab(tmp_path / "lab", os.environ)
    plugins = tmp_path / "lab" / "home" / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-compose").symlink_to(parts.docker_compose().resolve())
    made.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{made.environment['PATH']}"
    made.environment["APP_IMAGE"] = parts.IMAGE
    yield made
    made.clean_up()


@pytest.mark.parametrize("name", NAMES)
def test_every_example_has_what_an_example_needs(name: str) -> None:
    assert commands(name)
    assert (EXAMPLES / name / "expected-plan.txt").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_is_the_expected_one(lab: Lab, name: str) -> None:
    done = lab.reconcile("--dry-run", cwd=EXAMPLES / name)
    assert done.stdout == (EXAMPLES / name / "expected-plan.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ON_THIS_MACHINE])
def test_every_command_of_the_readme_works(lab: Lab, tmp_path: Path, name: str) -> None:
    _run_all(lab, tmp_path, name)


@pytest.mark.docker
@pytest.mark.llama
@pytest.mark.parametrize("name", ON_THIS_MACHINE)
def test_every_command_of_the_readme_works_on_this_machine(
    lab: Lab, tmp_path: Path, engine: parts.Engine, name: str
) -> None:
    parts.llama_server()
    parts.smollm2()
    if "DOCKER_HOST" in engine.environment:
        lab.environment["DOCKER_HOST"] = engine.environment["DOCKER_HOST"]
    written = _run_all(lab, tmp_path, name)
    expected = (EXAMPLES / name / "expected-compose.models.yaml").read_text(encoding="utf-8")
    assert expected in [_masked(text) for text in written]
    assert lab.servers() == (), "the last command of the README leaves a model server running"


def commands(name: str) -> tuple[Command, ...]:
    """The commands of an example's README, in order."""
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    lines = (line for block in _BLOCK.findall(text) for line in block.splitlines() if line.strip())
    return tuple(_command(line) for line in lines)


def _command(line: str) -> Command:
    said = _EXIT_CODE.search(line)
    return Command(_EXIT_CODE.sub("", line), int(said[1]) if said else 0)


def _run_all(lab: Lab, tmp_path: Path, name: str) -> list[str]:
    """Run them one after the other in a copy that lies as the example does in a checkout; the override files seen."""
    folder = tmp_path / "examples" / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("compose.models.yaml*"))
    (tmp_path / ".parts").symlink_to(parts.PARTS)
    written: list[str] = []
    for command in commands(name):
        done = subprocess.run(
            ["bash", "-c", command.text],
            cwd=folder,
            env=lab.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        said = f"{command.text}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == command.exit_code, said
        override = folder / "compose.models.yaml"
        written += [override.read_text(encoding="utf-8")] if override.exists() else []
    return written


def _masked(override: str) -> str:
    """What is the same on every machine: no header, no port, no folder of this user."""
    body = "".join(line for line in override.splitlines(keepends=True) if not line.startswith("# "))
    return re.sub(r'path: ".*/', 'path: "KEYS/', re.sub(r"internal:\d+", "internal:PORT", body))
