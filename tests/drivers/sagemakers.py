"""SageMaker on the local cloud, from behind: what is really there, what somebody else put there, how time passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from drivers import probe
from drivers.aws.clients import Client, Clients
from drivers.aws.place import Place
from drivers.aws.sagemaker import readiness
from drivers.aws.sagemaker.driver import SageMakerDriver
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, ModelSpec, Observation, Phase
from drivers.naming import external_name
from tests import builders
from tests.drivers import aws_clouds
from tests.drivers.aws_converge import Reconciler

ROLE = "arn:aws:iam::123456789012:role/models"
REGION = "us-west-2"
TAKES_S, STEP_S, UNHURRIED_S = 10.0, 11.0, 600.0
"""What everything takes, and a little more. Tokens are made by the real clock: the cloud's must not leave it behind."""


class SageMakers:
    """A driver on a cloud with nothing in it. `given` overrides fields of the operator's settings."""

    def __init__(self, root: Path, **given: Any) -> None:
        self.cloud = aws_clouds.fresh()
        self.cloud.latencies(create_s=TAKES_S, update_s=TAKES_S, delete_s=TAKES_S)
        self.settings = settings(root, **given)
        self.driver = self.after_a_crash()

    def after_a_crash(self) -> SageMakerDriver:
        return SageMakerDriver(settings=self.settings, clients=clients(), clock=lambda: datetime.now(UTC))

    def unhurried(self) -> None:
        """For a test that is about something else than the seconds of a method, and counts what may take longer on
        a machine that has other things to do."""
        self.cloud.latencies(create_s=UNHURRIED_S)
        self.driver = SageMakerDriver(
            settings=self.settings, clients=clients(clock=lambda: 0.0), clock=lambda: datetime.now(UTC)
        )

    def deployment(self, number: int = 1, spec: ModelSpec | None = None) -> Deployment:
        made = builders.deployment(number, spec=spec)
        return replace(made, name=external_name(made.lineage, made.model, made.id))

    def refused_spec(self) -> ModelSpec:
        return builders.model_spec(options={"cloud.image": "docker.io/somebody/else:latest"})

    def advance(self) -> None:
        self.cloud.advance(STEP_S)

    def until(self, ask: Callable[[Deployment], Observation], deployment: Deployment, *phases: Phase) -> Observation:
        return aws_clouds.until(self.cloud, ask, deployment, *phases, step_s=STEP_S)

    def settled(self, deployment: Deployment) -> Deployment:
        """As a reconciler has it that brought it about, or to another spec, and has nothing left to do."""
        reconciler = Reconciler(self, step_s=STEP_S)
        reconciler.bring(deployment)
        reconciler.change(deployment)
        return reconciler.recorded[deployment.id]

    def passes(self, deployment: Deployment, count: int = 4) -> tuple[Deployment, Observation]:
        """So many passes of a reconciler; the deployment as recorded, and what was seen in the last one."""
        seen = Observation(phase=Phase.UNKNOWN)
        for _ in range(count):
            seen = self.driver.observe(deployment)
            deployment = remembering(deployment, seen)
            if seen.phase is Phase.READY and seen.spec_digest != deployment.spec.digest:
                deployment = remembering(deployment, self.driver.update(deployment))
            self.advance()
        return deployment, seen

    def things(self, deployment: Deployment) -> int:
        """Whole sets: a second model is as much too much as a second endpoint."""
        kinds = [kind for kind, tags in self.tagged() if tags.get("cmr:deployment") == deployment.id]
        return max((kinds.count(kind) for kind in kinds), default=0)

    def tagged(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Kind and tags of everything in SageMaker, read from the cloud's own memory."""
        hosting = next(part for part in self.cloud.cloud.overlays if hasattr(part, "hosting")).hosting
        for region in hosting.regions.values():
            for kind, thing in region.things():
                yield kind, region.tags.get(thing.arn, {})

    def occupy(self, deployment: Deployment) -> Callable[[], bool]:
        client, name = self.client("sagemaker"), deployment.name
        image = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/llama-cpp:server-sagemaker-cuda-v1"
        client.create_model(ModelName="theirs", PrimaryContainer={"Image": image}, ExecutionRoleArn=ROLE)
        variant = {
            "VariantName": "theirs", "ModelName": "theirs", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
        }  # fmt: skip
        client.create_endpoint_config(EndpointConfigName="theirs", ProductionVariants=[variant])
        client.create_endpoint(EndpointName=name, EndpointConfigName="theirs")
        self.advance()
        before = self.endpoint(deployment)
        return lambda: self.endpoint(deployment) == before

    def endpoint(self, deployment: Deployment) -> Mapping[str, Any]:
        """As AWS describes it."""
        said = self.client("sagemaker").describe_endpoint(EndpointName=deployment.name)
        return {key: value for key, value in said.items() if key != "ResponseMetadata"}

    def ask(self, deployment: Deployment) -> probe.Answer:
        """What one of its clients gets."""
        where = readiness.endpoint(deployment, self.cloud.url)
        return probe.complete(where.url, where.model_id, key=self.driver.token(deployment).text, prompt="Hi")

    def serve_badly(self, text: str) -> None:
        """Containers with this text come up well and answer every request with status 500; updates are watched."""
        self.cloud.latencies(bake_s=2 * STEP_S)
        self.cloud.fail_answers(text)

    def say_nothing(self, deployment: Deployment) -> None:
        """AWS does not say any more why it gave an update up (terraform-provider-aws #48997)."""
        hosting = next(part for part in self.cloud.cloud.overlays if hasattr(part, "hosting")).hosting
        hosting.region(REGION).endpoints.get(deployment.name).failure = ""

    def client(self, service: str) -> Any:
        """A person's client, in the region of the models."""
        return clients()(Place(REGION, None), service).calls

    def names(self) -> tuple[str, ...]:
        """The books, without the region: `endpoint cmr-…`."""
        return tuple(sorted(f"{entry.kind} {entry.name.partition('/')[2]}" for entry in self.cloud.books()))


class _Impatient(Clients):
    """Reads are sent once as well: a lost call is an error at once, and no test waits for a second attempt."""

    def _make(self, place: Place, service: str) -> Client:
        made = super()._make(place, service)
        return made._replace(reads=made.calls)


@cache
def clients(clock: Callable[[], float] = time.monotonic) -> Clients:
    """The driver's clients in this process: each costs a tenth of a second."""
    own = AwsSettings(key_root=Path("/nonexistent"))
    aws_clouds.clients(own)  # the environment now leads to the local cloud
    return _Impatient(own, clock)


def settings(root: Path, **given: Any) -> AwsSettings:
    """An operator's settings with what SageMaker needs."""
    return aws_clouds.settings(root, **{"region": REGION, "roles": {"default": ROLE}} | given)


def remembering(deployment: Deployment, seen: Observation) -> Deployment:
    """With the handle that an answer asks to remember."""
    return deployment if seen.handle is None else replace(deployment, handle=dict(seen.handle))
