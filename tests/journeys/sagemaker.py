"""The example `aws-sagemaker` from its first plan to its end, with the installed command: the same steps in the local
cloud and in an account."""

from __future__ import annotations

import json
from pathlib import Path

from drivers import probe
from infra.lab import Lab
from tests.journeys.cloud import Cloud, run
from tests.parts import CHECKOUT

EXAMPLE: Path = CHECKOUT / "examples" / "aws-sagemaker"
REGION = "us-west-2"
"""The one of the example."""
AT_FIRST = ["endpoint", "endpoint config", "model", "policy", "scalable target"]
AFTERWARDS = ["endpoint", "endpoint config", "model"]


class SageMakerJourney:
    """Its steps, in their order. `patience` is for how long a command waits. After a deletion the reconciler still
    waits for calls that might land late; with `brief`, the command ends before that."""

    def __init__(self, cloud: Cloud, lab: Lab, *, patience: str, brief: str = "") -> None:
        self._cloud, self._lab, self._sizes = cloud, lab, cloud.sizes("aws-sagemaker")
        self._patience, self._brief = ("--timeout", patience), brief
        lab.edit("compose.yaml", "gpu-small", self._sizes.small)
        lab.edit("compose.yaml", REGION, cloud.region(REGION))

    def plan(self) -> None:
        """It says what it would make, and makes nothing."""
        planned = self._run("--dry-run")
        assert "+ create llm (aws-sagemaker)" in planned
        assert f"{self._sizes.small} → {self._sizes.native}" in planned
        assert self._kinds([]) == []

    def apply(self) -> None:
        """It becomes ready, answers, and is what the plan then wants."""
        assert "llm: ready" in self._run("--yes", *self._patience, errors=True)
        assert self._kinds(AT_FIRST) == AT_FIRST
        assert self.says_something()
        assert "Plan: 1 unchanged." in self._run("--dry-run", "--refresh")
        assert self._run("logs", "llm").strip()

    def update(self) -> None:
        """Context, size and replicas change in place: the address stays."""
        self._lab.edit("compose.yaml", "context_size: 1024", "context_size: 2048")
        self._lab.edit("compose.yaml", self._sizes.small, self._sizes.other)
        self._lab.edit("compose.yaml", "1..2", "2")
        changed = self._run("--dry-run")
        assert "~ update llm (aws-sagemaker)" in changed
        assert "context_size: 1024 → 2048" in changed
        before = self.endpoint_url()
        self._run("--yes", *self._patience)
        assert self._kinds(AFTERWARDS) == AFTERWARDS
        assert self.endpoint_url() == before
        assert self.says_something()

    def destroy(self) -> None:
        """Nothing is left."""
        if self._brief:
            told = self._run("destroy", "--yes", "--timeout", self._brief, exit_code=1, errors=True)
            assert "a late call could still bring it back" in told
        else:
            self._run("destroy", "--yes", *self._patience)
        assert self._kinds([]) == []

    def endpoint_url(self) -> str:
        text = (self._lab.repository / "compose.models.yaml").read_text(encoding="utf-8")
        return next(line.partition('"')[2].rstrip('"') for line in text.splitlines() if "LLM_URL" in line)

    def says_something(self) -> bool:
        """Ask it as a client does that has the URL from its environment and a token from the command."""
        token = json.loads(self._run("token", "llm", "--format", "json"))["token"]
        return probe.complete(self.endpoint_url(), "ai/smollm2", key=token, prompt="Say hello.").ok

    def _kinds(self, expected: list[str]) -> list[str]:
        return self._cloud.kinds(self._lab, expected)

    def _run(self, *arguments: str, exit_code: int = 0, errors: bool = False) -> str:
        said = run(self._lab, self._cloud, *arguments, exit_code=exit_code)
        return said.all if errors else said.out
