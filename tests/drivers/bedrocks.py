"""Bedrock as a platform of a test's own: the driver, the local cloud behind it, and what only its side can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.aws.bedrock.driver import BedrockDriver
from drivers.aws.bedrock.wish import Mode
from drivers.aws.clients import Clients
from drivers.aws.place import Place
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, ModelSpec, Observation, Phase
from drivers.errors import Unavailable
from drivers.naming import external_name
from infra.localaws.bedrock.overlay import Bedrock
from infra.localaws.localaws import LocalAws
from tests import builders
from tests.drivers.remembering import Remembering

REGION = "us-west-2"
SERVICE = f"com.amazonaws.{REGION}.bedrock-runtime"
ROLE = "arn:aws:iam::123456789012:role/imports"
SECOND_S, STEP_S = 1.0, 1.1
"""How long the cloud takes for everything here, and a little more."""

SPECS: Mapping[Mode, tuple[ModelSpec, ModelSpec]] = {
    Mode.ON_DEMAND: (ModelSpec(model="ai/gpt-oss"), ModelSpec(model="ai/gpt-oss:120B")),
    Mode.PROFILE: (
        ModelSpec(model="ai/gpt-oss", options={"cloud.tags": "team:search"}),
        ModelSpec(model="ai/llama3.2", options={"cloud.name": "chat"}),
    ),
    Mode.PROVISIONED: (
        ModelSpec(model="ai/llama3.1", options={"cloud.throughput": "provisioned:1"}),
        ModelSpec(model="ai/llama3.1", options={"cloud.throughput": "provisioned:2"}),
    ),
    Mode.IMPORT: (
        ModelSpec(model="ai/smollm2", options={"cloud.model-source": "s3://weights/smollm2"}),
        ModelSpec(model="ai/smollm2", options={"cloud.model-source": "s3://weights/smollm2-new"}),
    ),
}
"""Of every way to be served two specs, the second one for what replaces the first."""


@dataclass
class Bedrocks:
    """A driver on a cloud of its own, serving in one way."""

    cloud: LocalAws
    clients: Clients
    settings: AwsSettings
    mode: Mode = Mode.ON_DEMAND
    always: Mapping[str, str] = field(default_factory=dict)
    """Options that every deployment has besides its own."""

    def __post_init__(self) -> None:
        # Tokens of the readiness check are made by the real clock, so the cloud's must not run far away from it.
        self.cloud.latencies(create_s=SECOND_S, update_s=SECOND_S, delete_s=SECOND_S)
        self.driver: Any = self.after_a_crash()

    def bare(self) -> BedrockDriver:
        return BedrockDriver(settings=self.settings, clients=self.clients, clock=lambda: datetime.now(UTC))

    def after_a_crash(self) -> Any:
        return Remembering(self.bare())

    def deployment(self, number: int = 1, spec: ModelSpec | None = None, **options: str) -> Deployment:
        """One of the mode's two specs; with `options` (`tags="team:search"`), the first one and these."""
        wanted = spec or SPECS[self.mode][number != 1]
        more = {f"cloud.{name.replace('_', '-')}": text for name, text in options.items()}
        made = builders.deployment(number, spec=replace(wanted, options={**wanted.options, **self.always, **more}))
        return replace(made, name=external_name(made.lineage, made.model, made.id))

    def refused_spec(self) -> ModelSpec:
        return ModelSpec(model="ai/smollm2")

    def advance(self) -> None:
        self.cloud.advance(STEP_S)

    def until(self, ask: Callable[[Deployment], Observation], deployment: Deployment, *phases: Phase) -> Observation:
        for _ in range(20):
            try:
                seen = ask(deployment)
            except Unavailable as not_now:  # as AWS says to the deletion of what it is still making
                seen = Observation(phase=Phase.UNKNOWN, detail=str(not_now))
            if seen.phase in phases:
                return seen
            self.advance()
        raise AssertionError(f"none of {phases}: {seen}")

    def ready(self, deployment: Deployment) -> Observation:
        """Create it and wait until it serves."""
        self.driver.create(deployment)
        return self.until(self.driver.observe, deployment, Phase.READY)

    def things(self, deployment: Deployment) -> int:
        return sum(tags.get("cmr:deployment") == deployment.id for _, tags in self.tagged())

    def tagged(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Kind and tags of everything that exists, from the cloud's own memory. A job that has ended is history."""
        for region in self.world.regions.values():
            for thing in region.things.values():
                if thing.kind != "job" or thing.status == "InProgress":
                    yield thing.kind, region.tags.get(thing.arn, {})

    @property
    def world(self) -> Any:
        return next(part.world for part in self.cloud.cloud.overlays if isinstance(part, Bedrock))

    def occupy(self, deployment: Deployment) -> Callable[[], bool]:
        client, name = self.client(), deployment.name
        model = f"arn:aws:bedrock:{REGION}::foundation-model/openai.gpt-oss-20b-1:0"
        if self.mode is Mode.PROVISIONED:
            client.create_provisioned_model_throughput(
                provisionedModelName=name, modelId="meta.llama3-1-8b-instruct-v1:0:128k", modelUnits=1
            )
        elif self.mode is Mode.IMPORT:
            source = {"s3DataSource": {"s3Uri": "s3://theirs/model"}}
            client.create_model_import_job(
                jobName="theirs", importedModelName=name, roleArn=ROLE, modelDataSource=source
            )
        else:
            client.create_inference_profile(inferenceProfileName=name, modelSource={"copyFrom": model})
        self.advance()
        before = self.snapshot()
        return lambda: self.snapshot() == before

    def snapshot(self) -> list[str]:
        """Everything there is, with its tags, as text."""
        return sorted(
            f"{thing.kind} {thing.arn} {thing.name} {thing.status} {region.tags.get(thing.arn) or {}}"
            for region in self.world.regions.values()
            for thing in region.things.values()
        )

    def client(self, region: str = REGION) -> Any:
        """Bedrock as a person with the console has it."""
        return self.clients(Place(region, None), "bedrock").calls

    def books(self) -> list[str]:
        """The kinds of everything that exists."""
        return [entry.kind for entry in self.cloud.books()]


class Network:
    """An operator's network with two subnets, and the means to make and delete endpoints in it."""

    def __init__(self, ec2: Any) -> None:
        self.ec2 = ec2
        self.vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        made = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.7.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
            for number, zone in enumerate("ab")
        ]
        self.subnets = [each["Subnet"]["SubnetId"] for each in made]
        self.group = ec2.create_security_group(VpcId=self.vpc, GroupName="web", Description="web")["GroupId"]

    def endpoint(self, service: str = SERVICE) -> str:
        made = self.ec2.create_vpc_endpoint(
            VpcEndpointType="Interface",
            VpcId=self.vpc,
            ServiceName=service,
            SubnetIds=self.subnets,
            SecurityGroupIds=[self.group],
            PrivateDnsEnabled=True,
        )
        return str(made["VpcEndpoint"]["VpcEndpointId"])

    def delete(self, endpoint: str) -> None:
        self.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])


def settings(root: Path, **given: Any) -> AwsSettings:
    """An operator's settings that allow everything Bedrock can do."""
    standard = {"key_root": root, "region": REGION, "roles": {"default": ROLE}, "provisioned_throughput": True}
    return AwsSettings(**(standard | given))
