"""What Application Auto Scaling holds for SageMaker: scalable targets and their policies, by region and resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class Target:
    """One registered target: between how many instances or copies it may be scaled."""

    resource: str
    dimension: str
    least: int
    most: int
    arn: str
    created: datetime
    role: str = ""
    suspended: Mapping[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class Policy:
    """One policy of a target, as it was put."""

    name: str
    resource: str
    dimension: str
    arn: str
    created: datetime
    said: Mapping[str, Any]
    alarms: list[dict[str, str]] = field(default_factory=list)


class Scaling:
    """Targets and policies of all regions."""

    def __init__(self) -> None:
        self._targets: dict[str, dict[str, Target]] = {}
        self._policies: dict[str, dict[tuple[str, str], Policy]] = {}

    def targets(self, region: str) -> dict[str, Target]:
        """By resource (`endpoint/NAME/variant/NAME`, `inference-component/NAME`)."""
        return self._targets.setdefault(region, {})

    def policies(self, region: str) -> dict[tuple[str, str], Policy]:
        """By resource and name."""
        return self._policies.setdefault(region, {})

    def forget(self, region: str, resource: str) -> tuple[Policy, ...]:
        """Deregister a target, with its policies; those."""
        self.targets(region).pop(resource, None)
        policies = self.policies(region)
        gone = tuple(policy for key, policy in policies.items() if key[0] == resource)
        for policy in gone:
            del policies[policy.resource, policy.name]
        return gone

    def regions(self) -> tuple[str, ...]:
        return tuple(self._targets)

    def reset(self) -> None:
        self._targets.clear()
        self._policies.clear()
