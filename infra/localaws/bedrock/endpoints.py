"""Interface endpoints of AWS PrivateLink: moto keeps them, their names are AWS's shape, and requests come in by them.

A name ends in `.localhost` here, which is this machine by RFC 6761, where on AWS it ends in `.amazonaws.com` and leads
to addresses of the network. Shape and order are those of DescribeVpcEndpoints in the guide of AWS PrivateLink.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from moto.ec2.models import EC2Backend

from infra.localaws.moto import Moto

_EC2 = cast(Any, EC2Backend)
_original_create: Callable[..., Any] = EC2Backend.create_vpc_endpoint
_END = ".vpce.localhost"


def install() -> None:
    """From now on moto's interface endpoints have the names that AWS gives them."""
    _EC2.create_vpc_endpoint = create


def create(backend: Any, *given: Any, **named: Any) -> Any:
    """One name for all zones, one for each zone, and the service's own where private DNS is on."""
    made = _original_create(backend, *given, **named)
    if (made.vpc_endpoint_type or "").lower() != "interface":
        return made
    service, stem = made.service_name.rpartition(".")[2], f"{made.id}-{made.id[-8:]}"
    zones = sorted({backend.get_subnet(id).availability_zone for id in made.subnet_ids or ()})
    rest = f"{service}.{backend.region_name}"
    names = [f"{stem}.{rest}{_END}", *(f"{stem}-{zone}.{rest}{_END}" for zone in zones)]
    if made.private_dns_enabled:
        names.append(f"{rest}.amazonaws.com")
    made.dns_entries = [{"dns_name": name, "hosted_zone_id": f"Z{made.id[-12:].upper()}"} for name in names]
    return made


def leads_here(moto: Moto, host: str, region: str, service: str) -> bool:
    """Whether a request for a host comes in: by the public name, or by that of an endpoint of this service that is
    there."""
    name = host.partition(":")[0]
    if not name.endswith(_END):
        return True
    return any(
        name in [entry["dns_name"] for entry in endpoint.dns_entries or ()]
        for place, backend in moto.backends("ec2")
        for endpoint in backend.vpc_end_points.values()
        if place == region and endpoint.state == "available" and endpoint.service_name.endswith(f".{service}")
    )
