"""Private access: the interface endpoint of AWS PrivateLink that requests go through, the operator's own, never made.

An endpoint is paid for by the hour and zone, serves every model, and only one in a network can have the service's own
name: one for each deployment would be dear and in the way. So one that is there is looked up, and clients get its own
name, which leads to private addresses only. Source:
docs.aws.amazon.com/bedrock/latest/userguide/vpc-interface-endpoints.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from drivers.aws.settings import AwsSettings
from drivers.base import ModelSpec
from drivers.errors import Denied
from drivers.values import boolean

PUBLIC = "cloud.public-ip"
PLACES = ("cloud.network", "cloud.subnets", "cloud.security-groups")
Row = Mapping[str, Any]


class Door(NamedTuple):
    """Where requests enter AWS; the default is the service's public address."""

    host: str = ""
    """The endpoint's own DNS name; empty for the public address."""
    missing: str = ""
    """Why nobody gets through any more; empty where all is well."""


class Wanted(NamedTuple):
    """What an endpoint has to be like."""

    service: str
    region: str
    network: str | None = None
    subnets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def is_private(spec: ModelSpec) -> bool:
    """Whether requests are to go through an endpoint: `cloud.public-ip` says so, else that a place in a network is
    named."""
    if PUBLIC in spec.options:
        return not boolean(spec.options[PUBLIC])
    return any(key in spec.options for key in PLACES)


def wanted(spec: ModelSpec, settings: AwsSettings, service: str, region: str) -> Wanted:
    """What the file asks for. The operator's standard network counts where it names none of its own, standard subnets
    and security groups do not: they are for machines. Raises Denied for names that the operator did not give."""
    places = [key for key in PLACES if key in spec.options]
    return Wanted(
        service=f"com.amazonaws.{region}.{service}",
        region=region,
        network=settings.entry("networks", PLACES[0], spec) if PLACES[0] in places or not places else None,
        subnets=settings.entries("subnets", PLACES[1], spec) if PLACES[1] in places else (),
        groups=settings.entries("security_groups", PLACES[2], spec) if PLACES[2] in places else (),
    )


def chosen(rows: Sequence[Row], asked: Wanted) -> Door:
    """One of AWS's endpoints that is as asked for, always the same one. `rows` are those of the service.

    Raises Denied where there is none, with the command that makes one, and where they lie in several networks.
    """
    fitting = sorted((row for row in rows if _fits(row, asked)), key=lambda row: str(row["VpcEndpointId"]))
    if not fitting:
        raise Denied(_none(rows, asked))
    networks = sorted({row["VpcId"] for row in fitting})
    if len(networks) > 1:
        raise Denied(f"{asked.service} has endpoints in {', '.join(networks)}: say which network with {PLACES[0]}")
    return Door(_own_name(fitting[0]))


def again(rows: Sequence[Row], host: str) -> Door:
    """The endpoint that a deployment was given, by its name."""
    row = next((row for row in rows if host in _names(row)), None)
    if row is None:
        return Door(host, f"the interface endpoint {host} is not there any more")
    if not _is_available(row):
        return Door(host, f"AWS calls the interface endpoint {host} {row['State']}")
    return Door(host)


def _is_available(row: Row) -> bool:
    """AWS answers `available`, and its reference says `Available`."""
    return str(row["State"]).lower() == "available"


def _fits(row: Row, asked: Wanted) -> bool:
    groups = {group["GroupId"] for group in row.get("Groups", ())}
    return (
        _is_available(row)
        and asked.network in (None, row["VpcId"])
        and set(asked.subnets) <= set(row.get("SubnetIds", ()))
        and set(asked.groups) <= groups
        and any(_of_its_own(row))
    )


def _none(rows: Sequence[Row], asked: Wanted) -> str:
    parts = (
        (asked.network or "", "in the network {}"),
        (", ".join(asked.subnets), "in the subnets {}"),
        (", ".join(asked.groups), "with the security groups {}"),
    )
    where = "".join(f" {text.format(ids)}" for ids, text in parts if ids)
    others = ", ".join(f"{row['VpcEndpointId']} ({row['State']}, {row['VpcId']})" for row in rows)
    there = f"; there: {others}" if others else ""
    return f"there is no interface endpoint for {asked.service}{where}{there}. Its owner makes one: {_command(asked)}"


def _command(asked: Wanted) -> str:
    """How the operator makes what is missing; AWS asks a price for each of its hours in each zone."""
    return " ".join(
        (
            f"aws ec2 create-vpc-endpoint --region {asked.region} --vpc-endpoint-type Interface",
            f"--service-name {asked.service} --vpc-id {asked.network or 'VPC'}",
            f"--subnet-ids {' '.join(asked.subnets) or 'SUBNET'}",
            f"--security-group-ids {' '.join(asked.groups) or 'GROUP'}",
        )
    )


def _own_name(row: Row) -> str:
    """The name for all zones, which is the shortest of its own."""
    return min(_of_its_own(row), key=len)


def _of_its_own(row: Row) -> Iterator[str]:
    """Without the service's public name, which leads into the network only from inside it."""
    return (name for name in _names(row) if name.startswith(row["VpcEndpointId"]))


def _names(row: Row) -> list[str]:
    return [str(entry.get("DnsName", "")) for entry in row.get("DnsEntries", ())]
