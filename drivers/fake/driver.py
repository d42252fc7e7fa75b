"""`drivers.base.Driver` on a platform in memory. Whatever it does, the platform decides what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from drivers.base import Capabilities, Deployment, Finding, Handling, ModelSpec, Observation, Phase
from drivers.errors import Ambiguous, Rejected
from drivers.fake.platform import REFUSED_FLAG, FakePlatform


class FakeDriver:
    """`drivers.base.Driver` on a `FakePlatform`."""

    name = "fake"
    capabilities = Capabilities(settle_s=30.0, startup_timeout_s=300.0, degraded_grace_s=20.0)

    def __init__(
        self, platform: FakePlatform, *, name: str = "fake", capabilities: Capabilities = capabilities
    ) -> None:
        self._platform = platform
        self.name, self.capabilities = name, capabilities

    def check(self, spec: ModelSpec) -> tuple[Finding, ...]:
        findings = []
        for key in spec.fields():
            if key != "runtime_flags":
                findings.append(Finding(key, Handling.HONOURED))
                continue
            for index, flag in enumerate(spec.runtime_flags):
                refused = flag == REFUSED_FLAG
                handling = Handling.REJECTED if refused else Handling.HONOURED
                findings.append(Finding(f"runtime_flags[{index}]", handling, "refused by the rule 'never'" * refused))
        return tuple(findings)

    def observe(self, deployment: Deployment) -> Observation:
        self._answerable()
        thing = self._platform.find(deployment)
        if thing is not None:
            return self._platform.seen(thing)
        foreign = self._platform.in_its_place(deployment)
        if foreign is None:
            return Observation(phase=Phase.ABSENT)
        return Observation(phase=Phase.ABSENT, detail=f"{foreign} is there without our tags", foreign=True)

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        return {deployment.id: self.observe(deployment) for deployment in deployments}

    def create(self, deployment: Deployment) -> Observation:
        if REFUSED_FLAG in deployment.spec.runtime_flags:
            raise Rejected(f"creating {deployment.name}: '{REFUSED_FLAG}' is refused by the rule 'never'")
        seen = self._call("create", deployment, self._platform.create)
        # Where reads lag behind writes, what the call itself answered is the better knowledge.
        return Observation(phase=Phase.CREATING, detail="asked for") if seen.phase is Phase.ABSENT else seen

    def update(self, deployment: Deployment) -> Observation:
        return self._call("update", deployment, self._platform.update)

    def delete(self, deployment: Deployment) -> Observation:
        if self._platform.find(deployment) is None:
            return self.observe(deployment)
        return self._call("delete", deployment, self._platform.delete)

    def in_flight(self, deployment: Deployment) -> int | None:
        thing = self._platform.find(deployment)
        return thing.answering if thing is not None else None

    def owned(self, lineage: str) -> Iterable[Deployment]:
        self._answerable()
        return tuple(deployment for deployment in self._platform.owned() if deployment.lineage == lineage)

    def _call(self, verb: str, deployment: Deployment, act: Callable[[Deployment], None]) -> Observation:
        self._answerable()
        moment, error = self._platform.faults.pop(0) if self._platform.faults else ("", None)
        if error is not None and moment == "before":
            raise error
        act(deployment)
        self._platform.journal.append((verb, deployment.name))
        if error is not None:
            raise error
        return self.observe(deployment)

    def _answerable(self) -> None:
        if self._platform.silent:
            raise Ambiguous("the platform does not answer")
