"""Amazon Bedrock from the command line: every command of the example's README, against a local AWS of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab import Lab
from infra.localaws.localaws import AwsProcess
from tests import parts

EXAMPLE = parts.CHECKOUT / "examples" / "aws-bedrock"
IMPATIENT = {"timing": {"cloud_settle": "1s", "cloud_bake": "1s"}}
_BLOCK = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture(params=["echo", pytest.param("llama", marks=pytest.mark.llama)])
def cloud(request: pytest.FixtureRequest) -> Iterator[AwsProcess]:
    """A local AWS whose models repeat what they are asked, and one whose models are a real llama-server."""
    real = ("--llama-server", str(parts.llama_server()), "--weights", str(parts.smollm2()))
    with AwsProcess(*(real if request.param == "llama" else ())) as running:
        running.latencies(create_s=0.1, update_s=0.1, delete_s=0.1)
        yield running


@pytest.fixture
def lab(tmp_path: Path, cloud: AwsProcess) -> Lab:
    """A home with an impatient operator's settings in it, and the example in a folder of its own."""
    made = Lab(tmp_path / "lab", os.environ)
    made.environment |= cloud.environment
    made.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{made.environment['PATH']}"
    settings = Path(made.environment["HOME"]) / ".config" / "compose-model-reconciler" / "reconciler.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(IMPATIENT | {"state_dir": str(made.state_dir)}), encoding="utf-8")
    shutil.copytree(EXAMPLE, made.repository, dirs_exist_ok=True)
    return made


class Shell:
    """The reader of a README: one command after the other, and the variables of one are there for the next."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
        self.commands = [line for block in _BLOCK.findall(text) for line in block.splitlines()]

    def next(self, *beginnings: str) -> str:
        """What the next commands say, which must begin like this."""
        return "".join(self._run(self.commands.pop(0), beginning) for beginning in beginnings)

    def _run(self, command: str, beginning: str) -> str:
        assert command.startswith(beginning), command
        variables = f"{self._lab.folder}/variables"
        script = f'[ ! -f {variables} ] || . {variables}; {command}; code=$?; export -p > {variables}; exit "$code"'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._lab.repository,
            env=self._lab.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, f"{command}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def test_the_example_is_applied_answers_is_changed_and_leaves_nothing(lab: Lab, cloud: AwsProcess) -> None:
    shell = Shell(lab)

    doctor = shell.next("reconcile doctor")
    assert "aws-bedrock: identity: account 123456789012" in doctor
    assert "access to openai.gpt-oss-20b-1:0 in" in doctor

    applied = shell.next("reconcile --yes", "reconcile status")
    assert "nothing is created: requests go to openai.gpt-oss-20b-1:0, paid for by the token" in applied
    assert cloud.books() == ()
    said = json.loads(shell.next("export $(reconcile render", "export TOKEN", "curl"))
    assert said["choices"][0]["message"]["content"]
    values = lab.values("aws-bedrock", "chat")
    assert (values["LLM_URL"], values["LLM_MODEL"]) == (f"{cloud.url}/openai/v1/", "openai.gpt-oss-20b-1:0")

    tagged = shell.next("sed", "reconcile --dry-run", "reconcile --yes")
    assert "~ update llm (aws-bedrock)" in tagged
    assert "context_size: ignored" in tagged
    assert [entry.kind for entry in cloud.books()] == ["profile"]
    profile = lab.values("aws-bedrock", "chat")["LLM_MODEL"]
    assert ":application-inference-profile/" in profile

    replaced = shell.next("sed", "reconcile --dry-run", "reconcile --yes")
    assert "± replace llm (aws-bedrock)" in replaced
    assert [entry.kind for entry in cloud.books()] == ["profile"], "the old one went"
    assert lab.values("aws-bedrock", "chat")["LLM_MODEL"] not in ("", profile)

    assert "destroyed: llm" in shell.next("reconcile destroy --yes")
    assert cloud.books() == ()
    assert shell.commands == [], "every command of the README was run"
