"""The example `aws-bedrock`, by the commands of its README one after the other: the same steps in the local cloud and
in an account."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from infra.lab import Lab
from tests.journeys.cloud import Cloud, run_words
from tests.parts import CHECKOUT

EXAMPLE: Path = CHECKOUT / "examples" / "aws-bedrock"
REGION = "us-west-2"
"""The one of the example."""
_BLOCK = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)


class BedrockJourney:
    """Its steps, in their order. The lab gets a home with `settings` in it, and the example in a folder of its own."""

    def __init__(self, cloud: Cloud, lab: Lab, settings: dict[str, Any]) -> None:
        self._cloud, self._lab = cloud, lab
        lab.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{lab.environment['PATH']}"
        home = Path(lab.environment["HOME"]) / ".config" / "compose-model-reconciler" / "reconciler.yaml"
        home.parent.mkdir(parents=True, exist_ok=True)
        home.write_text(json.dumps(settings | {"state_dir": str(lab.state_dir)}), encoding="utf-8")
        shutil.copytree(EXAMPLE, lab.repository, dirs_exist_ok=True)
        lab.edit("compose.yaml", REGION, cloud.region(REGION))
        text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
        self.commands = [line for block in _BLOCK.findall(text) for line in block.splitlines()]

    def doctor(self) -> None:
        """It says whose credentials these are, and which models they may use."""
        said = self._next("reconcile doctor")
        assert f"aws-bedrock: identity: account {self._cloud.account}" in said
        assert "access to openai.gpt-oss-20b-1:0 in" in said

    def apply(self) -> None:
        """A model answers, and nothing was created for it."""
        applied = self._next("reconcile --yes", "reconcile status")
        assert "nothing is created: requests go to openai.gpt-oss-20b-1:0, paid for by the token" in applied
        assert self._kinds([]) == []
        said = json.loads(self._next("export $(reconcile render", "export TOKEN", "curl"))
        assert said["choices"][0]["message"]["content"]
        values = self._lab.values("aws-bedrock", "chat")
        expected = (self._cloud.bedrock_url(self._cloud.region(REGION)), "openai.gpt-oss-20b-1:0")
        assert (values["LLM_URL"], values["LLM_MODEL"]) == expected

    def tag(self) -> None:
        """Tags make a profile of one's own, in place."""
        tagged = self._next("sed", "reconcile --dry-run", "reconcile --yes")
        assert "~ update llm (aws-bedrock)" in tagged
        assert "context_size: ignored" in tagged
        assert self._kinds(["profile"]) == ["profile"]
        assert ":application-inference-profile/" in self._model_id()

    def replace(self) -> None:
        """Another model has another one, and the old one goes."""
        profile = self._model_id()
        replaced = self._next("sed", "reconcile --dry-run", "reconcile --yes")
        assert "± replace llm (aws-bedrock)" in replaced
        assert self._kinds(["profile"]) == ["profile"], "the old one went"
        assert self._model_id() not in ("", profile)

    def destroy(self) -> None:
        """Nothing is left, and no command of the README was left out."""
        assert "destroyed: llm" in self._next("reconcile destroy --yes")
        assert self._kinds([]) == []
        assert self.commands == [], "every command of the README was run"

    def _model_id(self) -> str:
        return self._lab.values("aws-bedrock", "chat")["LLM_MODEL"]

    def _kinds(self, expected: list[str]) -> list[str]:
        return self._cloud.kinds(self._lab, expected)

    def _next(self, *beginnings: str) -> str:
        """What the next commands of the README say, which must begin like this."""
        return "".join(self._run(self.commands.pop(0), beginning) for beginning in beginnings)

    def _run(self, command: str, beginning: str) -> str:
        """One of them, as its reader runs it: the variables of one are there for the next."""
        assert command.startswith(beginning), command
        variables = f"{self._lab.folder}/variables"
        script = f'[ ! -f {variables} ] || . {variables}; {command}; code=$?; export -p > {variables}; exit "$code"'
        return run_words(self._lab, self._cloud, ("bash", "-c", script)).all
