"""What the driver sees of AWS, as values, and how they are read out of its answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from drivers.aws.tags import as_mapping


class Machine(NamedTuple):
    """One instance."""

    id: str
    type: str
    zone: str
    state: str
    """AWS's word: pending, running, shutting-down, terminated, stopping, stopped."""
    reason: str
    """Why it left the state running, `Server.SpotInstanceTermination: …`; empty while it runs."""
    private_address: str
    public_address: str
    is_spot: bool
    image: str
    tags: Mapping[str, str]

    @property
    def is_gone(self) -> bool:
        return self.state == "terminated"


class Template(NamedTuple):
    """One launch template."""

    id: str
    latest: int
    tags: Mapping[str, str]


class Group(NamedTuple):
    """One security group."""

    id: str
    vpc: str
    cidrs: frozenset[str]
    """Who may connect, on any port."""
    admits_itself: bool
    tags: Mapping[str, str]


def machines_in(pages: Iterable[Mapping[str, Any]]) -> Iterator[Machine]:
    for page in pages:
        for reservation in page.get("Reservations", ()):
            yield from (_machine(one) for one in reservation.get("Instances", ()))


def _machine(said: Mapping[str, Any]) -> Machine:
    reason = said.get("StateReason", {})
    return Machine(
        id=said["InstanceId"],
        type=said.get("InstanceType", ""),
        zone=said.get("Placement", {}).get("AvailabilityZone", ""),
        state=said["State"]["Name"],
        reason=": ".join(dict.fromkeys(text for text in (reason.get("Code"), reason.get("Message")) if text)),
        private_address=said.get("PrivateIpAddress") or "",
        public_address=said.get("PublicIpAddress") or "",
        is_spot=said.get("InstanceLifecycle") == "spot",
        image=said.get("ImageId", ""),
        tags=as_mapping(said.get("Tags")),
    )


def impaired_in(statuses: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for one in statuses:
        for kind, key in (("system", "SystemStatus"), ("instance", "InstanceStatus")):
            if one.get(key, {}).get("Status") == "impaired":
                yield one["InstanceId"], f"AWS's {kind} status check fails"


def templates_in(pages: Iterable[Mapping[str, Any]]) -> Iterator[Template]:
    for page in pages:
        for one in page.get("LaunchTemplates", ()):
            yield Template(one["LaunchTemplateId"], int(one.get("LatestVersionNumber", 1)), as_mapping(one.get("Tags")))


def group_in(said: Mapping[str, Any]) -> Group:
    cidrs: set[str] = set()
    sources: set[str] = set()
    for one in said.get("IpPermissions", ()):
        cidrs |= {entry["CidrIp"] for entry in one.get("IpRanges", ())}
        cidrs |= {entry["CidrIpv6"] for entry in one.get("Ipv6Ranges", ())}
        sources |= {entry.get("GroupId", "") for entry in one.get("UserIdGroupPairs", ())}
    id = said["GroupId"]
    return Group(id, said.get("VpcId", ""), frozenset(cidrs), id in sources, as_mapping(said.get("Tags")))
