"""The example `aws-ec2` from its first plan to its end, with the installed command: the same steps in the local cloud
and in an account."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infra.lab import Lab, complete
from tests.journeys.cloud import Cloud, run
from tests.parts import CHECKOUT

EXAMPLE: Path = CHECKOUT / "examples" / "aws-ec2"
REGION = "us-east-1"
"""The one of the example."""
PROFILE = "compose-models-machine"
ONE = ["instance", "launch template", "parameter", "security group"]


class Ec2Journey:
    """Its steps, in their order. `profile` is the instance profile of the settings; `patience` is for how long one
    command waits."""

    def __init__(self, cloud: Cloud, lab: Lab, *, profile: str = PROFILE, patience: str = "25m") -> None:
        self._cloud, self._lab, self._sizes = cloud, lab, cloud.sizes("aws-ec2")
        self._profile, self._patience = profile, ("--timeout", patience)
        lab.edit("compose.yaml", "gpu-small", self._sizes.small)
        lab.edit("compose.yaml", REGION, cloud.region(REGION))

    def plan(self) -> None:
        """It says what it would make, and makes nothing."""
        assert f"{self._sizes.small} → {self._sizes.native}" in self._run("--dry-run")
        assert self._kinds([]) == []

    def apply(self) -> Mapping[str, str]:
        """A machine that answers; the service's variables."""
        self._run("--yes", *self._patience)
        assert self._kinds(ONE) == ONE
        first = self._asked()
        assert first["LLM_MODEL"] == "ai/smollm2"
        assert f"✓ aws-ec2: instance profile: {self._profile}" in self._run("doctor", "--platform", "aws-ec2")
        return first

    def replace(self) -> Mapping[str, str]:
        """Another context and another size: another machine, and the same key."""
        first = self._values()
        self._lab.edit("compose.yaml", "context_size: 2048", "context_size: 1024")
        self._lab.edit("compose.yaml", f"instance-type={self._sizes.small}", f"instance-type={self._sizes.other}")
        self._run("--yes", *self._patience)
        second = self._asked()
        assert self._kinds(ONE) == ONE
        assert second["LLM_URL"] != first["LLM_URL"]
        assert second["LLM_API_KEY"] == first["LLM_API_KEY"], "a replacement changes no key"
        return second

    def multiply(self) -> Mapping[str, str]:
        """Two machines behind one address."""
        two = f'instance-type={self._sizes.small}"\n      - "cloud.replicas=2'
        self._lab.edit("compose.yaml", f"instance-type={self._sizes.other}", two)
        self._run("--yes", *self._patience)
        return self._asked()

    def destroy(self) -> None:
        """Nothing is left."""
        self._run("destroy", "--yes", *self._patience)
        assert self._kinds([]) == []

    def log(self) -> str:
        """What the machine's server said."""
        return self._run("logs", "llm")

    def _asked(self) -> Mapping[str, str]:
        values = self._values()
        assert complete(values, "Say one word.")
        return values

    def _values(self) -> Mapping[str, str]:
        return self._lab.values("aws-ec2", "chat-app")

    def _kinds(self, expected: list[str]) -> list[str]:
        return self._cloud.kinds(self._lab, expected)

    def _run(self, *arguments: str) -> str:
        return run(self._lab, self._cloud, *arguments).all
