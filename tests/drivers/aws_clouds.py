"""The local AWS as the drivers' tests use it: one per process, as new for every test, and clients that lead to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from drivers.aws.clients import Clients
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, Observation
from infra.localaws.localaws import REGION, LocalAws

PATIENCE_S = 60.0
"""Real seconds until something must have come about that takes the cloud no time of its own."""


@cache
def running() -> LocalAws:
    """The cloud of this process. moto has one state per process, and so has this."""
    return LocalAws()


def fresh() -> LocalAws:
    """The same with nothing in it."""
    cloud = running()
    cloud.reset()
    return cloud


@cache
def backdoor(service: str) -> Any:
    """A client that is none of the driver's: what a person with the console sees and does. It tries everything once."""
    once = Config(retries={"mode": "standard", "total_max_attempts": 1})
    return boto3.client(service, config=once, **running().credentials)


@cache
def _sessions(settings_key: str) -> dict[Any, Any]:
    return {}


def clients(settings: AwsSettings) -> Clients:
    """The driver's clients, of a session that knows the cloud. Sessions are kept: each costs a tenth of a second."""
    for name, value in running().environment.items():
        os.environ[name] = value
    made = Clients(settings)
    made._sessions = _sessions("sessions")
    made._made = _sessions("clients")
    return made


def settings(root: Path, **given: Any) -> AwsSettings:
    """An operator's settings, with keys below `root`."""
    return AwsSettings(**{"key_root": root / "aws", "region": REGION} | given)


def until(
    cloud: LocalAws,
    ask: Callable[[Deployment], Observation],
    deployment: Deployment,
    *phases: Any,
    step_s: float = 30.0,
    real: bool = False,
) -> Observation:
    """Ask, remembering the handle as a reconciler does, and let the cloud's time pass, until a phase of these comes."""
    seen: list[str] = []
    handle: Mapping[str, str] = deployment.handle
    limit = time.monotonic() + PATIENCE_S
    for _ in range(100_000 if real else 60):
        observation = ask(_with(deployment, handle))
        if observation.phase in phases:
            return observation
        handle = observation.handle or handle
        seen.append(f"{observation.phase.value}: {observation.detail}")
        cloud.advance(step_s)
        if real:
            time.sleep(0.05)
        if time.monotonic() > limit:
            break
    raise AssertionError(f"waited for {phases}, saw {list(dict.fromkeys(seen))}")


def _with(deployment: Deployment, handle: Mapping[str, str]) -> Deployment:
    from dataclasses import replace

    return replace(deployment, handle=dict(handle))
