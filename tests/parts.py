"""Where the real parts are that tests run against. `make parts` puts them under `.parts/`; an environment variable
may point elsewhere. A part that cannot be had skips its tests, with the reason and the remedy printed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PARTS = Path(__file__).resolve().parent.parent / ".parts"


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
    """The docker command with an engine that answers."""
    found = shutil.which("docker")
    if found is None:
        pytest.skip("no docker command: run `make parts`")
    answer = subprocess.run([found, "info", "--format", "{{.ServerVersion}}"], capture_output=True, timeout=20)
    if answer.returncode != 0:
        pytest.skip("no Docker engine answers: run `make engine`")
    return Path(found)


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
