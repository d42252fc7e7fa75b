"""Many machines at once, without the calls that would make them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drivers.aws.ec2 import health
from drivers.aws.tags import tags_of
from drivers.base import Deployment
from tests.drivers.ec2s import Ec2s


def crowd(platform: Ec2s, size: int) -> Sequence[Deployment]:
    """`size` deployments of one reconciler that have been READY, each with a machine that echoes."""
    first, _ = platform.ready(1)
    template = platform.cloud.cloud.moto.backend("ec2", "us-east-1")  # type: ignore[attr-defined]
    (reservation,) = template.reservations.values()
    user_data = reservation.instances[0].user_data
    made = [first]
    for number in range(2, size + 1):
        deployment = platform.deployment(number)
        again = template.run_instances(
            "ami-0a1b2c3d4e5f60001",
            1,
            user_data,
            [],
            instance_type="g6.xlarge",
            is_instance_type_default=False,
            region_name="us-east-1",
            client_token=f"crowd-{number}",
            launch_template={"LaunchTemplateName": first.name, "Version": "1"},
            tags={"instance": tags_of(deployment)},
        )
        handle = dict(first.handle) | {"instance": again.instances[0].id, health.ANSWERED: again.instances[0].id}
        made.append(replace(deployment, handle=handle))
    platform.cloud.advance(60)
    return made
