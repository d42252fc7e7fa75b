"""A driver in the hands of a reconciler: what it asks to remember of a deployment is there at the next call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from drivers.base import Deployment, Driver, Observation


class Remembering:
    """A driver in the hands of a reconciler: whatever it asks to remember is in the deployment at the next call."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.handles: dict[str, Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)

    def known(self, deployment: Deployment) -> Deployment:
        return replace(deployment, handle=dict(self.handles.get(deployment.id, deployment.handle)))

    def observe(self, deployment: Deployment) -> Observation:
        return self._heard(deployment, self.driver.observe(self.known(deployment)))

    def create(self, deployment: Deployment) -> Observation:
        return self._heard(deployment, self.driver.create(self.known(deployment)))

    def update(self, deployment: Deployment) -> Observation:
        return self._heard(deployment, self.driver.update(self.known(deployment)))

    def delete(self, deployment: Deployment) -> Observation:
        return self._heard(deployment, self.driver.delete(self.known(deployment)))

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        return self.driver.observe_many([self.known(each) for each in deployments])

    def _heard(self, deployment: Deployment, seen: Observation) -> Observation:
        if seen.handle is not None:
            self.handles[deployment.id] = seen.handle
        return seen
