"""What the cloud has to give: how many instances of a type can run, and how many the account may have.

Keys are free: `ml.g6.xlarge` for SageMaker; EC2 may use `us-east-1a/g6.xlarge`. What is not named has no limit.
"""

from __future__ import annotations

from collections.abc import Mapping


class Supply:
    """Two tables of limits, by key."""

    def __init__(self) -> None:
        self._capacity: dict[str, int] = {}
        self._quotas: dict[str, int] = {}

    def set_capacity(self, key: str, instances: int | None) -> None:
        """From now on at most so many run at a time; 0 is `InsufficientInstanceCapacity`, None takes the limit away."""
        _set(self._capacity, key, instances)

    def set_quota(self, key: str, instances: int | None) -> None:
        """From now on the account may have so many; None takes the limit away."""
        _set(self._quotas, key, instances)

    def quota(self, key: str) -> int | None:
        return self._quotas.get(key)

    def free(self, key: str, in_use: Mapping[str, int]) -> int:
        """How many more instances there are capacity for; a great number where there is no limit."""
        return max(0, self._capacity.get(key, 1_000_000) - in_use.get(key, 0))

    def reset(self) -> None:
        self._capacity.clear()
        self._quotas.clear()


def _set(table: dict[str, int], key: str, instances: int | None) -> None:
    if instances is None:
        table.pop(key, None)
    else:
        table[key] = instances
