"""A reconciler in twenty lines, and what it must survive: every API call lost before and after it was carried out.

What leaves a driver as an error is taken for the death of the process: the next call is another driver's, which knows
what was recorded before and nothing else. The handle of an answer that never came is lost with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from drivers.base import Deployment, Driver, Observation, Phase
from drivers.errors import DriverError
from infra.localaws.localaws import Aws

KINDS = ("request-lost", "response-lost")
ROUNDS = 60


class Rig(Protocol):
    """A platform of a test's own."""

    @property
    def cloud(self) -> Aws: ...

    def after_a_crash(self) -> Driver:
        """A driver that knows nothing of what another one did."""
        ...


@dataclass
class Reconciler:
    """Brings deployments about and removes them, one call after the other, as the engine does."""

    rig: Rig
    step_s: float = 40.0
    recorded: dict[str, Deployment] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._driver = self.rig.after_a_crash()

    def bring(self, deployment: Deployment) -> Observation:
        """Until it is READY. What is ABSENT is created again, what has FAILED is none of ours to mend."""
        self.recorded[deployment.id] = deployment
        self._call("create", deployment.id)
        for _ in range(ROUNDS):
            seen = self._call("observe", deployment.id)
            if seen is not None and seen.phase is Phase.READY:
                return seen
            if seen is not None and seen.phase is Phase.ABSENT:
                self._call("create", deployment.id)
            assert seen is None or seen.phase is not Phase.FAILED, seen
            self.rig.cloud.advance(self.step_s)
        raise AssertionError(f"{deployment.name} never became ready: {self.errors}")

    def change(self, deployment: Deployment) -> Observation:
        """In place, until the platform shows the new spec, READY."""
        known = self.recorded[deployment.id]
        self.recorded[deployment.id] = replace(deployment, handle=known.handle)
        self._call("update", deployment.id)
        for _ in range(ROUNDS):
            seen = self._call("observe", deployment.id)
            if seen is not None and seen.phase is Phase.READY:
                if seen.spec_digest == deployment.spec.digest:
                    return seen
                self._call("update", deployment.id)
            self.rig.cloud.advance(self.step_s)
        raise AssertionError(f"{deployment.name} was never updated: {self.errors}")

    def remove(self, deployment: Deployment) -> None:
        """Until it was seen ABSENT after a delete."""
        self.recorded.setdefault(deployment.id, deployment)
        for _ in range(ROUNDS):
            asked = self._call("delete", deployment.id)
            seen = self._call("observe", deployment.id)
            if asked is not None and asked.phase is Phase.ABSENT and seen is not None and seen.phase is Phase.ABSENT:
                return
            self.rig.cloud.advance(self.step_s)
        raise AssertionError(f"{deployment.name} never went: {self.errors}")

    def _call(self, method: str, id: str) -> Observation | None:
        try:
            seen: Observation = getattr(self._driver, method)(self.recorded[id])
        except DriverError as error:
            self.errors.append(f"{method}: {error}")
            self._driver = self.rig.after_a_crash()
            return None
        if seen.handle is not None:
            self.recorded[id] = replace(self.recorded[id], handle=dict(seen.handle))
        return seen


Act = Callable[[Reconciler], None]


def survived(make: Callable[[], Rig], prepare: Act, act: Act, check: Act) -> int:
    """How many points the act survives: each of its API calls, lost before and lost after it was carried out.

    `check` raises AssertionError where the world afterwards is not exactly what it should be; it is also held to a run
    in which nothing goes wrong. A failure names the call.
    """
    names = _run(make(), prepare, act, check, None)
    for number, name in enumerate(names, 1):
        for kind in KINDS:
            try:
                _run(make(), prepare, act, check, (kind, number))
            except AssertionError as failure:
                raise AssertionError(f"{kind} at call {number} of {len(names)}, {name}: {failure}") from failure
    return len(names) * len(KINDS)


def nothing(reconciler: Reconciler) -> None:
    """A preparation that is none."""


def _run(rig: Rig, prepare: Act, act: Act, check: Act, fault: tuple[str, int] | None) -> tuple[str, ...]:
    reconciler = Reconciler(rig)
    prepare(reconciler)
    rig.cloud.forget_calls()
    if fault is not None:
        rig.cloud.fault(fault[0], at=fault[1])
    act(reconciler)
    calls = rig.cloud.calls()
    rig.cloud.clear_faults()
    check(reconciler)
    return calls
