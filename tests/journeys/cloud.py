"""Where a journey takes place: the local cloud here, an account in `tests/live`. What a journey asks of either, and how
it runs the installed command there."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from infra.lab import Lab, command
from infra.localaws.localaws import Aws

LOOK_EVERY_S = 0.5
"""Real seconds between two moments in which a command that runs is left to the cloud."""


class Sizes(NamedTuple):
    """On what a model runs: a word of the catalogue, what that is there, and another word for the change."""

    small: str
    native: str
    other: str


class Cloud(Protocol):
    """A cloud with nothing of the journey's in it."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What a command needs to reach it."""
        ...

    @property
    def account(self) -> str:
        """Twelve digits."""
        ...

    def region(self, example: str) -> str:
        """Where it goes instead of the example's region."""
        ...

    def sizes(self, platform: str) -> Sizes:
        """What the example's own sizes are replaced with there."""
        ...

    def bedrock_url(self, region: str) -> str:
        """The base URL of Bedrock's own models."""
        ...

    def kinds(self, lab: Lab, expected: list[str]) -> list[str]:
        """The kinds of all things that exist of this lab's. Where a listing lags, it is asked until it says what is
        expected, or patience ends."""
        ...

    def pass_time(self) -> None:
        """A command is waiting. Raises where it has waited long enough."""
        ...


@dataclass
class LocalCloud:
    """The local one. `step_s` of its time pass between two looks at a command that runs."""

    cloud: Aws
    step_s: float = 0.0
    account: str = "123456789012"

    @property
    def environment(self) -> Mapping[str, str]:
        return self.cloud.environment

    def region(self, example: str) -> str:
        """The example's own."""
        return example

    def sizes(self, platform: str) -> Sizes:
        """The example's own."""
        if platform == "aws-sagemaker":
            return Sizes("gpu-small", "ml.g6.xlarge", "gpu-medium")
        return Sizes("gpu-small", "g6.xlarge", "g5.2xlarge")

    def bedrock_url(self, region: str) -> str:
        return f"{self.cloud.url}/openai/v1/"

    def kinds(self, lab: Lab, expected: list[str]) -> list[str]:
        """All that is in the books."""
        return sorted(entry.kind for entry in self.cloud.books())

    def pass_time(self) -> None:
        if self.step_s:
            self.cloud.advance(self.step_s)


class Said(NamedTuple):
    """What a command printed."""

    out: str
    errors: str

    @property
    def all(self) -> str:
        return self.out + self.errors


def run(lab: Lab, cloud: Cloud, *arguments: str, exit_code: int = 0) -> Said:
    """Run the installed command in the lab's repository, with its settings, while the cloud's time passes."""
    given = (*arguments, "--config", str(lab.configuration))
    return run_words(lab, cloud, (*command(), *given), exit_code=exit_code)


def run_words(lab: Lab, cloud: Cloud, words: tuple[str, ...], *, exit_code: int = 0) -> Said:
    """The same for any program. Whatever ends the wait ends the program first."""
    files = lab.folder / "stdout", lab.folder / "stderr"
    with files[0].open("wb") as out, files[1].open("wb") as errors:
        process = subprocess.Popen(
            words, env=lab.environment, cwd=lab.repository, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
        )
        try:
            _await(process, cloud)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(30)
    said = Said(*(file.read_text(encoding="utf-8") for file in files))
    assert process.returncode == exit_code, f"{' '.join(words)}\nended with {process.returncode}\n{said.all}"
    return said


def _await(process: subprocess.Popen[bytes], cloud: Cloud) -> None:
    while True:
        try:
            process.wait(LOOK_EVERY_S)
            return
        except subprocess.TimeoutExpired:
            cloud.pass_time()
