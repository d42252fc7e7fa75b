"""Where the real parts are that tests run against. `make parts` puts them under `.parts/`; an environment variable
may point elsewhere. A part that cannot be had skips its tests, with the reason and the remedy printed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PARTS = CHECKOUT / ".parts"
ENGINE = CHECKOUT / "infra" / "engine" / "engine.sh"

RUN = "RECONCILE_TEST_RUN"
"""The variable with the name of this run of the suite, which all its workers share."""

IMAGE = "local/reconciler-test-app"
"""A static busybox: sh, wget (without -T: use `timeout N wget`), env, sleep and the like."""


def llama_server() -> Path:
    """A real llama-server."""
    return _part("RECONCILE_LLAMA_SERVER", PARTS / "bin" / "llama-server", "llama-server")


def smollm2() -> Path:
    """A real small model: SmolLM2 135M as GGUF, 94 MB."""
    return _part("RECONCILE_TEST_MODEL", PARTS / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf", None)


def docker_compose() -> Path:
    """The real docker compose binary (2.40.3), stand-alone."""
    return _part("RECONCILE_TEST_COMPOSE", PARTS / "bin" / "docker-compose", None)


def registry() -> Path:
    """The real OCI registry server."""
    return _part("RECONCILE_TEST_REGISTRY", PARTS / "bin" / "docker-registry", "docker-registry")


def docker() -> Path:
    """The docker command with an engine that answers, started by this run where none did."""
    return engine().docker


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that answers; `environment` is what a command needs to reach it."""

    docker: Path
    compose: Path
    environment: Mapping[str, str]


def engine() -> Engine:
    """The engine that answers, or one started for this test run, with the tests' image in it."""
    docker_command = shutil.which("docker")
    if docker_command is None:
        pytest.skip("no docker command: run `make parts`")
    compose = docker_compose()
    started = _engine_script("start", os.environ.get(RUN, ""))
    # In the environment of this process, so that whatever a test starts finds the same engine.
    for line in started.splitlines():
        name, _, value = line.partition("=")
        os.environ[name] = value
    _engine_script("image")
    return Engine(Path(docker_command), compose, dict(os.environ))


def stop_engine() -> None:
    """Stop the engine that this run started; nothing where it started none."""
    if (PARTS / "engine" / "owner").exists():
        # A failure is printed, not raised: it must not take the report of the whole run with it.
        subprocess.run(["bash", str(ENGINE), "stop", os.environ[RUN]], check=False, timeout=60)


def _engine_script(*arguments: str) -> str:
    done = subprocess.run(["bash", str(ENGINE), *arguments], capture_output=True, text=True, timeout=90)
    if done.returncode != 0:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    return done.stdout


def _part(variable: str, path: Path, command: str | None) -> Path:
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen)
    if path.exists():
        return path
    found = shutil.which(command) if command else None
    if found is None:
        pytest.skip(f"{path.name} is not here: run `make parts`, or set {variable}")
    return Path(found)
