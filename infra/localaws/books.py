"""What exists of the services that moto keeps: whatever a driver could leave behind, with what it costs.

Things that are there in every account by themselves are left out: default networks and groups, AWS's own parameters.
Log groups are as well: SageMaker makes them, and on AWS they stay when the endpoint is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra.localaws.moto import Moto
from infra.localaws.overlay import Entry
from infra.localaws.prices import per_hour

Book = Callable[[Any], Iterator[tuple[str, str, float]]]
"""Of one backend: kind, name and price of everything in it."""

USD_PER_LOAD_BALANCER_HOUR = 0.0225
USD_PER_ADDRESS_HOUR = 0.005


def moto_books(moto: Moto) -> Iterator[Entry]:
    """Of all services in all regions that were asked for anything."""
    for service, book in BOOKS.items():
        for region, backend in moto.backends(service):
            for kind, name, price in book(backend):
                yield Entry(service, kind, f"{region}/{name}", price)


def _ec2(backend: Any) -> Iterator[tuple[str, str, float]]:
    for reservation in backend.reservations.values():
        for instance in reservation.instances:
            if instance._state.name != "terminated":
                running = instance._state.name in ("pending", "running")
                yield "instance", instance.id, per_hour(instance.instance_type) if running else 0.0
    for template in backend.launch_templates.values():
        yield "launch template", template.name, 0.0
    for groups in backend.groups.values():
        for group in groups.values():
            if group.name != "default":
                yield "security group", group.group_id, 0.0
    for address in backend.addresses:
        yield "address", address.allocation_id or address.public_ip, USD_PER_ADDRESS_HOUR
    for volume in backend.volumes.values():
        if not volume.attachment:
            yield "volume", volume.id, 0.0
    for name in backend.key_pairs:
        yield "key pair", name, 0.0


def _autoscaling(backend: Any) -> Iterator[tuple[str, str, float]]:
    yield from (("group", name, 0.0) for name in backend.autoscaling_groups)
    yield from (("launch configuration", name, 0.0) for name in backend.launch_configurations)
    yield from (("policy", name, 0.0) for name in backend.policies)
    yield from (("scheduled action", name, 0.0) for name in backend.scheduled_actions)


def _elbv2(backend: Any) -> Iterator[tuple[str, str, float]]:
    for balancer in backend.load_balancers.values():
        yield "load balancer", balancer.name, USD_PER_LOAD_BALANCER_HOUR
    yield from (("target group", group.name, 0.0) for group in backend.target_groups.values())


def _iam(backend: Any) -> Iterator[tuple[str, str, float]]:
    yield from (("role", role.name, 0.0) for role in backend.roles.values())
    yield from (("instance profile", profile.name, 0.0) for profile in backend.instance_profiles.values())
    yield from (("user", user.name, 0.0) for user in backend.users.values())
    for policy in backend.managed_policies.values():
        if not policy.arn.startswith("arn:aws:iam::aws:"):
            yield "policy", policy.name, 0.0


def _ssm(backend: Any) -> Iterator[tuple[str, str, float]]:
    for name in dict.keys(backend._parameters):
        if not name.startswith("/aws/"):
            yield "parameter", name, 0.0


def _cloudwatch(backend: Any) -> Iterator[tuple[str, str, float]]:
    yield from (("alarm", name, 0.0) for name in backend.alarms)


def _secrets(backend: Any) -> Iterator[tuple[str, str, float]]:
    yield from (("secret", name, 0.0) for name in tuple(backend.secrets))


def _buckets(backend: Any) -> Iterator[tuple[str, str, float]]:
    yield from (("bucket", name, 0.0) for name in backend.buckets)


BOOKS: Mapping[str, Book] = {
    "ec2": _ec2,
    "autoscaling": _autoscaling,
    "elbv2": _elbv2,
    "iam": _iam,
    "ssm": _ssm,
    "cloudwatch": _cloudwatch,
    "secretsmanager": _secrets,
    "s3": _buckets,
}
