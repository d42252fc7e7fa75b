"""What needs no server: the plan against `docker compose config`, and the start of the command against Python's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.bench.measure import Result, in_turns, process
from infra.lab import PARTS, command

PLANS = ((10, 11, 3.0), (100, 11, 3.0), (1000, 5, 0.5), (2000, 3, 0.5))
"""Models, runs of each, and the largest ratio that is good. Between 10 and 1,000 nothing is promised but the former."""


def help_against_python(folder: Path) -> Iterator[Result]:
    """`reconcile --help` against a Python that does nothing."""
    environment = _environment(folder)
    ours, bare = in_turns(
        21,
        process([*command(), "--help"], environment=environment, cwd=folder),
        process([sys.executable, "-c", "pass"], environment=environment, cwd=folder),
    )
    detail = {"reconcile --help s": ours, "python -c pass s": bare}
    yield Result(name="reconcile --help / python -c pass", value=ours / bare, aim=4.0, detail=detail)


def plan_against_compose(folder: Path) -> Iterator[Result]:
    """A cold `reconcile --dry-run` against a cold `docker compose config -q` on the same file."""
    compose = Path(os.environ.get("RECONCILE_TEST_COMPOSE", PARTS / "bin" / "docker-compose"))
    environment = _environment(folder)
    for models, runs, aim in PLANS:
        file = folder / f"compose-{models}.yaml"
        file.write_text(project(models), encoding="utf-8")
        ours, theirs = in_turns(
            runs,
            process([*command(), "-f", file, "--dry-run"], environment=environment, cwd=folder),
            process([compose, "-f", file, "config", "-q"], environment=environment, cwd=folder),
        )
        detail = {"reconcile s": ours, "compose s": theirs}
        name = f"reconcile --dry-run / docker compose config -q, {models} models"
        yield Result(name=name, value=ours / theirs, aim=aim, detail=detail)


def project(models: int) -> str:
    """A Compose file with that many models, each wanted by one service, as people write them."""
    lines = ["name: bench", "services:"]
    for number in range(models):
        lines += [
            f"  app-{number}:",
            "    image: ${APP_IMAGE:-busybox}",
            "    environment:",
            f"      WHO: app-{number}",
            "    models:",
            f"      - model-{number}",
        ]
    lines.append("models:")
    for number in range(models):
        lines += [f"  model-{number}:", "    model: ai/smollm2", f"    context_size: {1024 + number % 7 * 512}"]
    return "\n".join([*lines, ""])


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LANG": "C.UTF-8"}
