"""What a request must know of the place that only AWS can say: the account, and which subnets lie in which zones."""

from __future__ import annotations

from typing import NamedTuple

from drivers.aws.clients import Clients
from drivers.aws.errors import edge
from drivers.aws.place import Place
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment
from drivers.errors import Rejected
from drivers.values import comma_list


class Ground(NamedTuple):
    """Where a deployment stands."""

    region: str
    account: str = ""
    """Twelve digits; empty where the spec needs none."""
    subnets: tuple[str, ...] = ()
    """Empty where it is in no network of the operator's."""

    def arn(self, rest: str) -> str:
        """`arn:aws:sagemaker:us-west-2:123456789012:` and this."""
        partition = "aws"
        for prefix, other in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
            if self.region.startswith(prefix):
                partition = other
        return f"arn:{partition}:sagemaker:{self.region}:{self.account}:{rest}"


def ground(deployment: Deployment, place: Place, clients: Clients, settings: AwsSettings) -> Ground:
    """The ground of a deployment. Nothing is asked unless an option needs it; raises Rejected for zones without a
    subnet."""
    options = deployment.spec.options
    subnets = settings.entries("subnets", "cloud.subnets", deployment.spec)
    if "cloud.zones" in options:
        subnets = _in_zones(subnets, comma_list(options["cloud.zones"]), place, clients)
    account = clients.account(place) if "cloud.reservation" in options else ""
    return Ground(clients.region(place), account, subnets)


def _in_zones(subnets: tuple[str, ...], zones: tuple[str, ...], place: Place, clients: Clients) -> tuple[str, ...]:
    if not subnets:
        raise Rejected("cloud.zones: the settings name no subnets to choose from (aws.subnets)")
    with edge("asking AWS for the zones of the subnets"):
        said = clients(place, "ec2").reads.describe_subnets(SubnetIds=list(subnets))["Subnets"]
    found = tuple(each["SubnetId"] for each in said if each["AvailabilityZone"] in zones)
    if not found:
        there = ", ".join(sorted({each["AvailabilityZone"] for each in said}))
        raise Rejected(f"cloud.zones: none of the subnets is in {' or '.join(zones)}; they are in {there}")
    return found
