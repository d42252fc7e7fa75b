"""Bad inputs that have no better place among the tests of one part."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers import flags
from drivers.naming import external_name
from infra.lab import Lab
from reconciler.compose.load import LoadRequest, load
from tests.builders import LINEAGE, deployment_id
from tests.compose.cases.builders import APP, LLM
from tests.compose.memory import ROOT, MemoryFiles


@given(st.text(max_size=400))
@example("../../etc/x")
@example("-rf")
@example("x" * 300)
@example("🦙\n$(id)")
@example("")
def test_whatever_a_model_is_called_its_name_on_a_platform_is_harmless(model: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", external_name(LINEAGE, model, deployment_id()))


@pytest.mark.parametrize(
    ("one", "other"), [("a-b", "a_b"), ("a.b", "a-b"), ("A", "a"), ("x" * 30, "x" * 31), ("é", "ё")]
)
def test_names_that_look_alike_stay_apart_on_a_platform(one: str, other: str) -> None:
    assert external_name(LINEAGE, one, deployment_id()) != external_name(LINEAGE, other, deployment_id())


SHELL = (
    ";",
    "&&",
    "||",
    "|",
    "&",
    "$(id)",
    "`id`",
    "$HOME",
    ">",
    "<",
    "*",
    "?",
    "~",
    "#",
    "!",
    "'",
    '"',
    "\\",
    "{a,b}",
)


@pytest.mark.parametrize("text", SHELL)
def test_what_means_something_to_a_shell_is_one_word_or_refused(text: str) -> None:
    """The server is started from a list of words; what passes is in it as it was written."""
    given = ["--reasoning-budget-message", f"a {text} b", "--jinja"]
    try:
        words = flags.arguments(given)
    except flags.Refusal:
        return
    assert words == tuple(given)


class Watched(MemoryFiles):
    """Files that remember what they were asked for."""

    asked: set[str]

    def read(self, path: str) -> bytes:
        self.asked.add(path)
        return super().read(path)

    def is_file(self, path: str) -> bool:
        self.asked.add(path)
        return super().is_file(path)


@pytest.mark.parametrize(
    "env_file", ["/proc/self/environ", "/etc/passwd", "../../x", "{path: /etc/shadow, required: false}", "lost.env"]
)
def test_a_services_env_files_are_never_read(env_file: str) -> None:
    text = f"services:\n  app: {{image: x, models: [llm], env_file: [{env_file}], label_file: [{env_file}]}}\n{LLM}"
    files = Watched({f"{ROOT}/compose.yaml": text})
    files.asked = set()
    found = load(LoadRequest(cwd=ROOT, environment={}), files)
    assert found.models.keys() == {"llm"}
    assert all(path.startswith(f"{ROOT}/") for path in files.asked)
    assert f"{ROOT}/lost.env" not in files.asked


def test_python_of_the_repository_is_not_imported(tmp_path: Path) -> None:
    """Modules with the names of ours, of the library's and of Python's own hooks, and an env file that would lead to
    them: all of it is data."""
    lab = Lab(tmp_path / "lab", os.environ)
    for name in (
        "yaml",
        "json",
        "sitecustomize",
        "usercustomize",
        "drivers/__init__",
        "state/__init__",
        "reconciler/__init__",
    ):
        path = lab.repository / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nraise SystemExit('hello from the repository')\n")
    (lab.repository / "pyproject.toml").write_text("[tool.reconciler]\nx = 1\n")
    (lab.repository / ".env").write_text("PYTHONPATH=.\nPYTHONSTARTUP=sitecustomize.py\nPYTHONHOME=.\n")
    (lab.repository / "compose.yaml").write_text(APP + LLM)
    for words in (["--dry-run"], ["config"], ["doctor"], ["status"]):
        done = lab.reconcile(*words)
        assert "hello from the repository" not in done.stdout + done.stderr
    assert lab.reconcile("--dry-run").returncode == 0
    assert not (tmp_path / "executed").exists()
