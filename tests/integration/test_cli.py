"""The command as a user meets it: whole processes, real exit codes, a real llama-server, from nothing to nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.lab import Lab, complete
from tests.integration.conftest import Labs

COMPOSE = "services:\n  app:\n    image: busybox\n    models: [llm]\nmodels:\n  llm:\n    model: ai/smollm2\n"


@pytest.fixture
def bare(tmp_path: Path) -> Lab:
    """A lab whose repository holds one model, with nothing imported and nothing running."""
    import os

    lab = Lab(tmp_path / "lab", os.environ)
    (lab.repository / "compose.yaml").write_text(COMPOSE, encoding="utf-8")
    return lab


def test_a_plan_is_something_a_program_can_read(bare: Lab) -> None:
    plan = _plan(bare)
    assert plan["format_version"] == "1"
    (step,) = plan["steps"]
    assert (step["action"], step["model"], step["driver"]) == ("create", "llm", "llamacpp")
    assert step["cause"]
    assert step["changes"] == []  # nothing was there before that could differ


def test_exit_code_2_says_that_something_would_change(bare: Lab) -> None:
    assert bare.reconcile("--dry-run").returncode == 0
    assert bare.reconcile("--dry-run", "--detailed-exitcode").returncode == 2


def test_bad_input_says_file_line_and_column(bare: Lab) -> None:
    path = bare.repository / "compose.yaml"
    path.write_text(COMPOSE + "    x-cloud-options: [cloud.regoin=us-west-2]\n", encoding="utf-8")
    done = bare.reconcile("--dry-run")
    assert done.returncode == 1
    assert re.search(r"compose\.yaml:8:\d+: .*cloud\.regoin.*did you mean 'cloud\.region'", done.stderr)


def test_a_file_that_is_no_compose_file_is_an_error_in_words(bare: Lab) -> None:
    (bare.repository / "compose.yaml").write_text("services: [", encoding="utf-8")
    done = bare.reconcile("--dry-run")
    assert done.returncode == 1
    assert re.search(r"compose\.yaml:\d+:\d+: ", done.stderr)
    assert "Traceback" not in done.stderr


def test_github_gets_its_annotation_on_the_line(bare: Lab) -> None:
    path = bare.repository / "compose.yaml"
    path.write_text(COMPOSE + "    runtime_flags: ['--a-flag']\n", encoding="utf-8")
    done = bare.reconcile("--dry-run", "--format", "github")
    assert re.search(r"^::error file=[^,]*compose\.yaml,line=8,", done.stdout, re.MULTILINE)
    assert "--a-flag" in done.stdout


def test_an_unknown_command_is_answered_with_the_nearest(bare: Lab) -> None:
    done = bare.reconcile("statsu")
    assert done.returncode == 1
    assert "did you mean 'status'" in done.stderr


@pytest.mark.llama
def test_from_nothing_to_a_completion_and_back_to_nothing(labs: Labs) -> None:
    lab = labs.make()
    project = ("--config", str(lab.configuration))
    done = lab.reconcile(*project)
    assert done.returncode == 0, done.stderr
    assert len(lab.servers()) == 1
    assert complete(lab.values("quickstart", "app"), "One, two,", tokens=4)
    assert (lab.repository / "compose.models.yaml").is_file()

    assert lab.reconcile(*project, "--dry-run", "--detailed-exitcode").returncode == 0
    status = lab.reconcile(*project, "status")
    assert "ready" in status.stdout
    assert "llm" in status.stdout
    assert lab.reconcile(*project, "logs", "llm").stdout.strip()

    before = lab.servers()
    assert lab.reconcile(*project).returncode == 0
    assert lab.servers() == before, "a second run of the command changed something"

    assert lab.reconcile(*project, "destroy", "--yes").returncode == 0
    assert lab.servers() == ()


@pytest.mark.llama
def test_a_changed_context_size_replaces_the_server(labs: Labs) -> None:
    lab = labs.make()
    project = ("--config", str(lab.configuration))
    assert lab.reconcile(*project).returncode == 0
    (old,) = lab.servers()
    lab.edit("compose.yaml", "context_size: 1024", "context_size: 512")
    (step,) = _plan(lab, *project)["steps"]
    assert step["action"] == "replace"
    assert {"key": "context_size", "from": "1024", "to": "512"} in step["changes"]
    assert lab.reconcile(*project).returncode == 0
    (new,) = lab.servers()
    assert new.deployment != old.deployment
    assert complete(lab.values("quickstart", "app"), "One, two,", tokens=4)


@pytest.mark.llama
def test_a_model_that_is_gone_from_the_file_stays_until_somebody_says_yes(labs: Labs) -> None:
    lab = labs.make()
    project = ("--config", str(lab.configuration))
    assert lab.reconcile(*project).returncode == 0
    path = lab.repository / "compose.yaml"
    whole = path.read_text(encoding="utf-8")
    path.write_text("name: quickstart\nservices:\n  app:\n    image: busybox\n", encoding="utf-8")
    assert lab.reconcile(*project).returncode == 3
    assert len(lab.servers()) == 1
    path.write_text(whole, encoding="utf-8")
    assert lab.reconcile(*project).returncode == 0


def _plan(lab: Lab, *arguments: str) -> dict[str, Any]:
    done = lab.reconcile(*arguments, "--dry-run", "--format", "json")
    assert done.returncode == 0, done.stderr
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan
