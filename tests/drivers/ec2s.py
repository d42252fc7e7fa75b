"""EC2 as a platform of a test's own: the driver, the local cloud behind it, and what only the cloud's side can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from drivers.aws.ec2.driver import Ec2Driver
from drivers.base import Deployment, ModelSpec, Observation, Phase
from drivers.naming import external_name
from infra.localaws.localaws import LocalAws
from tests import builders
from tests.drivers import aws_clouds

PROFILE = "compose-models-machine"


class Ec2s:
    """The harness. `settings` overrides fields of the operator's settings."""

    def __init__(self, root: Path, cloud: LocalAws | None = None, *, real: bool = False, **settings: Any) -> None:
        self.cloud = cloud or aws_clouds.fresh()
        self.real = real
        self._make_profile()
        self.cloud.baseline()
        self.cloud.forget_calls()
        self.root = root
        self.settings = aws_clouds.settings(root, **{"instance_profile": PROFILE} | settings)
        self.driver = self.after_a_crash()

    def after_a_crash(self) -> Ec2Driver:
        return Ec2Driver(settings=self.settings, clients=aws_clouds.clients(self.settings), clock=self.now)

    def now(self) -> datetime:
        """By the cloud's clock, which is moved."""
        return self.cloud.cloud.clock.now()

    def deployment(self, number: int = 1, spec: ModelSpec | None = None, **given: Any) -> Deployment:
        """A deployment of SmolLM2 with a small context; `given` are fields of its spec."""
        spec = spec or builders.model_spec(**({"context_size": 512} | given))
        made = builders.deployment(number, spec=spec)
        return replace(made, name=external_name(made.lineage, made.model, made.id))

    def options(self, number: int = 1, **options: str) -> Deployment:
        """A deployment with options, `instance_type="g6.xlarge"` for `cloud.instance-type`."""
        return self.deployment(number, options={f"cloud.{k.replace('_', '-')}": v for k, v in options.items()})

    def refused_spec(self) -> ModelSpec:
        return builders.model_spec(options={"cloud.auth": "none"})

    def machines(self, deployment: Deployment | None = None) -> list[dict[str, Any]]:
        """The machines that are paid for, as the console shows them."""
        states = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
        ours = {"Name": "tag:cmr:deployment", "Values": [deployment.id if deployment else "*"]}
        found = aws_clouds.backdoor("ec2").describe_instances(Filters=[states, ours])
        return [one for reservation in found["Reservations"] for one in reservation["Instances"]]

    def things(self, deployment: Deployment) -> int:
        return len(self.machines(deployment))

    def occupy(self, deployment: Deployment) -> Callable[[], bool]:
        ec2 = aws_clouds.backdoor("ec2")
        ec2.create_launch_template(LaunchTemplateName=deployment.name, LaunchTemplateData={"ImageId": "ami-12345678"})

        def is_untouched() -> bool:
            (found,) = ec2.describe_launch_templates(LaunchTemplateNames=[deployment.name])["LaunchTemplates"]
            return not found.get("Tags") and found["LatestVersionNumber"] == 1

        return is_untouched

    def until(self, ask: Callable[[Deployment], Observation], deployment: Deployment, *phases: Phase) -> Observation:
        return aws_clouds.until(self.cloud, ask, deployment, *phases, real=self.real)

    def ready(self, number: int = 1, deployment: Deployment | None = None) -> tuple[Deployment, Observation]:
        """A deployment that is READY, with the handle that is remembered of it."""
        deployment = deployment or self.deployment(number)
        self.driver.create(deployment)
        seen = self.until(self.driver.observe, deployment, Phase.READY)
        return replace(deployment, handle=dict(seen.handle or {})), seen

    def books(self) -> list[str]:
        """What is there that was not at the beginning."""
        return [f"{entry.service} {entry.kind}" for entry in self.cloud.books()]

    def _make_profile(self) -> None:
        iam = aws_clouds.backdoor("iam")
        iam.create_role(RoleName=PROFILE, AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName=PROFILE)
        iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)


class Fleets(Ec2s):
    """The same with two machines per deployment."""

    def deployment(self, number: int = 1, spec: ModelSpec | None = None, **given: Any) -> Deployment:
        options = {"cloud.replicas": "2"} | given.pop("options", {})
        return super().deployment(number, spec, options=options, **given)

    def things(self, deployment: Deployment) -> int:
        """Fleets, not machines."""
        machines = super().things(deployment)
        groups = aws_clouds.backdoor("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        ours = [one for one in groups if _tags(one).get("cmr:deployment") == deployment.id]
        assert machines in (0, 2 * len(ours))
        return len(ours)


def _tags(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing["Tags"]}
