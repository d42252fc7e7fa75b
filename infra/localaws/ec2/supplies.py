"""Whether there is a machine of a type in a zone, and whether the account may have it.

Capacity keys, the most exact first: `spot/us-east-1a/g6.xlarge`, `us-east-1a/g6.xlarge`, `spot/g6.xlarge`, `g6.xlarge`.
Quota keys are the codes of Service Quotas, in vCPUs: `L-DB2E81BA` for on-demand G machines and so on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError

if TYPE_CHECKING:
    from infra.localaws.ec2.world import World

QUOTAS = {
    (False, "G"): "L-DB2E81BA",
    (False, "P"): "L-417A185B",
    (False, ""): "L-1216C47A",
    (True, "G"): "L-3819A6DF",
    (True, "P"): "L-7212CCBC",
    (True, ""): "L-34B43A08",
}


def check(world: World, kind: str, zone: str, spot: bool, count: int) -> None:
    """Raises what AWS does where there is none, or none for this account."""
    _check_quota(world, kind, spot, count)
    used = Counter(key for one in alive(world) for key in keys(one.instance_type, one.placement.zone, _is_spot(one)))
    for key in keys(kind, zone, spot):
        if world.around.supply.free(key, used) < count:
            refusal = EC2ClientError(
                "InsufficientInstanceCapacity",
                f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone}). "
                "Our system will be working on provisioning additional capacity.",
            )
            refusal.code = "InsufficientInstanceCapacity"
            raise refusal


def keys(kind: str, zone: str, spot: bool) -> tuple[str, ...]:
    """Under which limits a machine falls."""
    plain = (f"{zone}/{kind}", kind)
    return tuple(f"spot/{key}" for key in plain) + plain if spot else plain


def alive(world: World) -> Iterator[Any]:
    """All machines that take a place."""
    return (one for one in world.instances() if one.state in ("pending", "running"))


def groups_of_balancers(world: World) -> set[str]:
    """The security groups that load balancers are in."""
    found: set[str] = set()
    for _, backend in world.around.moto.backends("elbv2"):
        for balancer in backend.load_balancers.values():
            found |= set(balancer.security_groups or ())
    return found


def vcpus(kind: str) -> int:
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    return int(INSTANCE_TYPES.get(kind, {}).get("VCpuInfo", {}).get("DefaultVCpus", 4))


def quota_code(kind: str, spot: bool) -> str:
    family = "G" if re.match(r"(?:g|gr)[0-9]|vt", kind) else "P" if re.match(r"p[0-9]", kind) else ""
    return QUOTAS[spot, family]


def _check_quota(world: World, kind: str, spot: bool, count: int) -> None:
    code = quota_code(kind, spot)
    limit = world.around.supply.quota(code)
    if limit is None:
        return
    running = (one for one in alive(world) if quota_code(one.instance_type, _is_spot(one)) == code)
    if sum(vcpus(one.instance_type) for one in running) + vcpus(kind) * count <= limit:
        return
    if spot:
        raise EC2ClientError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    raise EC2ClientError(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket "
        "that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to "
        "request an adjustment to this limit.",
    )


def _is_spot(instance: Any) -> bool:
    return bool(instance.lifecycle == "spot")
