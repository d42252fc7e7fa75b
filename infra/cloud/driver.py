"""The driver of the platform in `server.py`, as another package would bring it: found by its entry point, with nothing
of its own but the way over HTTP. The platform's address comes from `LOOPBACK_CLOUD`."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from drivers import errors
from drivers.base import Capabilities, Deployment, Finding, ModelSpec, Observation, Phase
from drivers.manifest import check
from infra.cloud.server import LOOK_AGAIN_S
from state.codec import decode, encode

PLATFORM = "loopback-cloud"
ADDRESS = "LOOPBACK_CLOUD"
_TIMEOUT_S = 20.0


class LoopbackDriver:
    """`drivers.base.Driver` on the platform at `host:port`, by default the one that the environment names."""

    name = PLATFORM
    capabilities = Capabilities(updatable=frozenset({"context_size"}), settle_s=0.0, delete_again_s=1.0)

    def __init__(self, address: str | None = None, **given: Any) -> None:
        self._address = address or os.environ[ADDRESS]

    def check(self, spec: ModelSpec) -> tuple[Finding, ...]:
        return check(spec, self.name)

    def observe(self, deployment: Deployment) -> Observation:
        return self._observed("observe", deployment)

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        return {deployment.id: self.observe(deployment) for deployment in deployments}

    def create(self, deployment: Deployment) -> Observation:
        return self._observed("create", deployment)

    def update(self, deployment: Deployment) -> Observation:
        return self._observed("update", deployment)

    def delete(self, deployment: Deployment) -> Observation:
        return self._observed("delete", deployment)

    def in_flight(self, deployment: Deployment) -> int | None:
        return None

    def owned(self, lineage: str) -> Iterable[Deployment]:
        return tuple(decode(Deployment, text) for text in ask(self._address, "owned", lineage))

    def _observed(self, what: str, deployment: Deployment) -> Observation:
        seen = decode(Observation, ask(self._address, what, encode(deployment)))
        on_its_way = what != "observe" or seen.phase in (Phase.CREATING, Phase.DELETING)
        return replace(seen, look_again_s=LOOK_AGAIN_S) if on_its_way else seen


def ask(address: str, what: str, body: str = "") -> Any:
    """What the platform answers. Raises the driver's error that it names, Unavailable where nobody listens, Ambiguous
    where an answer never came."""
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        connection.connect()
    except OSError as exc:
        raise errors.Unavailable(f"{PLATFORM} cannot be reached: {exc}") from exc
    try:
        connection.request("POST", f"/{what}", body.encode())
        answer = connection.getresponse()
        said = json.loads(answer.read())
    except (OSError, http.client.HTTPException) as exc:
        raise errors.Ambiguous(f"{PLATFORM} did not answer: {exc}") from exc
    finally:
        connection.close()
    if answer.status != 200:
        raise getattr(errors, said["error"])(said["text"])
    return said
