"""A rehearsal: the suite of `tests/live` in a process of its own, against a local cloud that stands for the account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import boto3

from infra.localaws.localaws import AwsProcess
from tests.parts import CHECKOUT

REGION, ELSEWHERE = "us-west-2", "eu-west-1"
PROFILE = "compose-models-machine"
SETTINGS = {
    "region": REGION,
    "regions": [ELSEWHERE],
    "account": "123456789012",
    "instance_profile": PROFILE,
    "roles": {"default": "arn:aws:iam::123456789012:role/compose-models-endpoint"},
}
TICK_S = 0.2
WITHIN_S = 280


class Rehearsal:
    """`settings` is the section `aws` of the operator's settings."""

    def __init__(self, cloud: AwsProcess, folder: Path, settings: Mapping[str, object] = SETTINGS) -> None:
        self.cloud, self.journal = cloud, folder / "journal.jsonl"
        file = folder / "reconciler.yaml"
        file.write_text(json.dumps({"aws": settings}), encoding="utf-8")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_", "CMR_"))}
        self.environment = clean | {
            **cloud.environment,
            "CMR_LIVE": "local",
            "CMR_LIVE_BUDGET_USD": "100",
            "CMR_LIVE_SETTINGS": str(file),
            "CMR_LIVE_JOURNAL": str(self.journal),
            "HOME": str(folder),
        }

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The live tests that the arguments select, to their end."""
        return subprocess.run(
            _pytest(arguments), env=self.environment | environment, cwd=CHECKOUT, capture_output=True, text=True,
            timeout=WITHIN_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """The same while it runs; it is killed at the end, as by a power cut."""
        nowhere = subprocess.DEVNULL
        with subprocess.Popen(
            _pytest(arguments), env=self.environment, cwd=CHECKOUT, stdin=nowhere, stdout=nowhere, stderr=nowhere
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def sweep(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "tests.live.sweep", *arguments)
        return subprocess.run(
            command, env=self.environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=WITHIN_S
        )

    def kinds(self) -> list[str]:
        return sorted(entry.kind for entry in self.cloud.books())


def _pytest(arguments: tuple[str, ...]) -> tuple[str, ...]:
    return (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)


@contextmanager
def rehearsal(folder: Path, *, create_s: float = 0.2, **given: Mapping[str, object]) -> Iterator[Rehearsal]:
    """On a cloud of its own, with what `infra/aws` makes in an account."""
    with AwsProcess("--latency", "0.2") as cloud:
        cloud.latencies(create_s=create_s)
        iam = boto3.client("iam", **cloud.credentials)
        iam.create_role(RoleName=PROFILE, AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName=PROFILE)
        iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)
        cloud.baseline()
        cloud.forget_calls()
        yield Rehearsal(cloud, folder, **given)


@contextmanager
def passing(cloud: AwsProcess, step_s: float) -> Iterator[None]:
    """The cloud's time goes by, so much in each moment; what is idle is put to sleep, and woken again, as its alarms
    would have it."""
    over, copies, since = threading.Event(), dict[str, int](), dict[str, float]()

    def pass_on() -> None:
        while not over.wait(TICK_S):
            if step_s:
                cloud.advance(step_s)
            for entry in cloud.books():
                name = entry.name.partition("/")[2]
                if entry.kind == "inference component" and time.monotonic() - since.setdefault(name, _now()) > 2:
                    copies[name], since[name] = 1 - copies.get(name, 1), _now()
                    cloud.perform("scale", region=REGION, resource=f"inference-component/{name}", count=copies[name])

    thread = threading.Thread(target=pass_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _now() -> float:
    return time.monotonic()
