"""The harnesses of the driver contract in an account: the back door is the account's own API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from drivers.aws.sagemaker.names import revision
from drivers.base import Deployment, ModelSpec, Observation, Phase
from tests import builders
from tests.live.ground import Ground, Watched
from tests.live.journal import Stranger
from tests.live.strangers import put_stranger, stranger_now

SAGEMAKER_TYPE, EC2_TYPE = "ml.c7i.xlarge", "c7i.xlarge"
"""The cheapest on which SmolLM2 answers at once."""


class LiveHarness:
    """One platform. `specs` are what deployments number 1 and 2 ask for."""

    platform: str
    specs: tuple[ModelSpec, ModelSpec]
    stranger = "launch template"

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self._made: dict[int, Deployment] = {}
        self.driver = self.after_a_crash()

    def after_a_crash(self) -> Watched:
        return self.ground.driver(self.platform)

    def deployment(self, number: int = 1) -> Deployment:
        if number not in self._made:
            self._made[number] = self.ground.deployment(self.specs[number - 1])
        return self._made[number]

    def refused_spec(self) -> ModelSpec:
        raise NotImplementedError

    def until(self, ask: Callable[[Deployment], Observation], deployment: Deployment, *phases: Phase) -> Observation:
        return self.ground.until(ask, deployment, *phases)

    def things(self, deployment: Deployment) -> int:
        """Whole sets: a second one of anything is one too much."""
        counted = self.ground.account.count(self.platform, self.ground.lineage)
        kinds = [thing.kind for thing in counted if thing.name.startswith(deployment.name)]
        return max((kinds.count(kind) for kind in kinds), default=0)

    def occupy(self, deployment: Deployment) -> Callable[[], bool]:
        account = self.ground.account
        theirs = Stranger(self.stranger, self.name_to_take(deployment), account.region)
        self.ground.journal.puts(self.ground.lineage, theirs)
        put_stranger(account, theirs)
        before = self.ground.eventually("the stranger's thing", lambda: stranger_now(account, theirs))
        return lambda: stranger_now(account, theirs) == before

    def name_to_take(self, deployment: Deployment) -> str:
        return deployment.name


class LiveBedrock(LiveHarness):
    """Models by the token; with an inference profile of one's own, which costs nothing."""

    platform, stranger = "aws-bedrock", "profile"

    def __init__(self, ground: Ground, options: Mapping[str, str]) -> None:
        self.specs = tuple(  # type: ignore[assignment]
            ModelSpec(model=model, options=dict(options)) for model in ("ai/gpt-oss", "ai/gpt-oss:120B")
        )
        super().__init__(ground)

    def refused_spec(self) -> ModelSpec:
        return ModelSpec(model="ai/smollm2")


class LiveSageMaker(LiveHarness):
    """SmolLM2 in AWS's container of llama.cpp, without a GPU. A stranger's model is in our way: it costs nothing."""

    platform, stranger = "aws-sagemaker", "model"
    specs = (builders.model_spec(context_size=512, options={"cloud.instance-type": SAGEMAKER_TYPE}),) * 2

    def refused_spec(self) -> ModelSpec:
        return builders.model_spec(options={"cloud.image": "docker.io/somebody/else:latest"})

    def name_to_take(self, deployment: Deployment) -> str:
        return revision(deployment)


class LiveEc2(LiveHarness):
    """SmolLM2 on a machine without a GPU."""

    platform = "aws-ec2"
    specs = (builders.model_spec(context_size=512, options={"cloud.instance-type": EC2_TYPE}),) * 2

    def refused_spec(self) -> ModelSpec:
        return replace(self.specs[0], options={"cloud.auth": "none"})

    def things(self, deployment: Deployment) -> int:
        """Machines."""
        counted = self.ground.account.count(self.platform, self.ground.lineage)
        ours = [thing for thing in counted if thing.tags.get("cmr:deployment") == deployment.id]
        return sum(thing.kind == "instance" for thing in ours)
