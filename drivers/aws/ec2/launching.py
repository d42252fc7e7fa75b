"""How a deployment comes to be: launch template, security group, key, machine, in this order, each looked for first.

The launch template is the first part because its name is refused twice; everything that was decided once (the machine
image, the user data) is fixed in it. Its tag `cmr:tried` says which way to get a machine is being tried: it moves on
only when AWS has refused for certain, and before the next one is asked for. So there is one request in flight at most,
whoever was killed in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import product

from drivers.aws.ec2 import health, machines, names, requests
from drivers.aws.ec2.keys import Keys
from drivers.aws.ec2.options import brings_groups
from drivers.aws.ec2.parameters import machine_image
from drivers.aws.ec2.platform import Platform, named
from drivers.aws.ec2.requests import Subnet, Try
from drivers.aws.ec2.standing import foreign, handle, ours
from drivers.aws.ec2.things import Group, Template
from drivers.aws.errors import code_of, says, translated
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import is_ours
from drivers.base import Deployment, ModelSpec, Observation
from drivers.errors import Ambiguous, Denied, DriverError, Exhausted, Rejected, Taken, Unavailable
from drivers.values import comma_list, sizes, whole_range

PATIENCE_S = 12.0
"""Seconds after which no further way is tried in the same call."""
_NOT_SEEN_YET = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound", "InvalidLaunchTemplateName.NotFoundException")


class Launcher:
    """Makes what is missing, up to the request for a machine."""

    def __init__(self, settings: AwsSettings, keys: Keys, clock: Callable[[], datetime]) -> None:
        self._settings, self._keys, self._clock = settings, keys, clock

    def prepare(
        self, platform: Platform, deployment: Deployment, *, for_itself: bool = False
    ) -> tuple[Template, Sequence[Subnet], Sequence[str]]:
        """Everything that costs nothing: launch template, security group and key. The subnets and groups to use."""
        subnets = self.subnets(platform, deployment.spec)
        template = self.template(platform, deployment)
        groups = self.groups(platform, deployment, subnets[0].vpc, for_itself=for_itself)
        self._keys.provide(deployment, platform)
        return template, subnets, groups

    def launch(self, platform: Platform, deployment: Deployment) -> Observation:
        """All of it, and a machine: the first one that AWS has. Raises Exhausted where it has none."""
        template, subnets, groups = self.prepare(platform, deployment)
        ways = tuple(self.ways(platform, deployment.spec, subnets))
        tried = int(template.tags.get(names.TRIED, "0"))
        first = tried if tried < len(ways) else 0
        until = self._clock() + timedelta(seconds=PATIENCE_S)
        refusals: dict[str, list[str]] = {}
        for number, way in enumerate(ways[first:], first):
            if number != tried:
                platform.tag([template.id], {names.TRIED: str(number)})
            answer = self._ask_for(platform, deployment, way, groups)
            if isinstance(answer, Observation):
                return answer
            # A quota is the region's: the same words for every zone are said once.
            refusals.setdefault(str(answer).removeprefix(f"starting {way}: "), []).append(str(way))
            if self._clock() > until and number + 1 < len(ways):
                platform.tag([template.id], {names.TRIED: str(number + 1)})
                return health.creating(deployment, deployment.handle, "no machine yet, there are more kinds to ask for")
        platform.tag([template.id], {names.TRIED: "0"})
        said = "; ".join(f"{', '.join(ways)}: {words}" for words, ways in refusals.items())
        raise Exhausted(f"no machine is to be had: {said}")

    def template(self, platform: Platform, deployment: Deployment) -> Template:
        """The launch template, made where it is missing. Raises Taken where the name is somebody else's."""
        found = platform.template(deployment.name)
        if found is None:
            image = machine_image(platform, self._settings.machine_image)
            found = platform.create_template(
                LaunchTemplateName=deployment.name,
                # Its name collides: another spec by now is another request, and finds the one that is there.
                ClientToken=names.token(deployment, "template", deployment.spec.digest),
                LaunchTemplateData=requests.template_data(deployment, self._settings, platform.region, image),
                TagSpecifications=requests.tagged(deployment, "launch-template"),
            ) or platform.template(deployment.name)
        if found is None:
            raise Unavailable(f"the launch template {deployment.name} exists and cannot be seen yet")
        if ours(found, deployment) is None:
            raise Taken(f"the launch template {deployment.name} belongs to somebody else; it was left alone")
        return found

    def subnets(self, platform: Platform, spec: ModelSpec) -> Sequence[Subnet]:
        """Where machines may stand, in one network."""
        ids = self._settings.entries("subnets", "cloud.subnets", spec)
        found = platform.subnets(ids, self._settings.entry("networks", "cloud.network", spec))
        if not found:
            raise Denied(f"there is no subnet in {platform.region}: name some under aws.subnets")
        if len({subnet.vpc for subnet in found}) > 1:
            raise Denied("the subnets are of several networks: name those of one under aws.subnets, or aws.networks")
        zones = comma_list(spec.options.get("cloud.zones", ""))
        left = [subnet for subnet in found if not zones or subnet.zone in zones]
        if not left:
            there = ", ".join(dict.fromkeys(subnet.zone for subnet in found))
            raise Rejected(f"cloud.zones={spec.options['cloud.zones']}: the subnets are in {there}")
        return sorted(left, key=lambda subnet: zones.index(subnet.zone) if zones else 0)

    def groups(
        self, platform: Platform, deployment: Deployment, vpc: str, *, for_itself: bool = False
    ) -> Sequence[str]:
        """The security groups: the operator's where there are some, else one of our own with who may connect.

        `for_itself`: members may connect to each other, as a load balancer does to its machines.
        """
        if brings_groups(deployment.spec, self._settings):
            return self._settings.entries("security_groups", "cloud.security-groups", deployment.spec)
        group = self._group(platform, deployment, vpc) or self._new_group(platform, deployment, vpc)
        asked = comma_list(deployment.spec.options.get("cloud.allowed-cidrs", ""))
        missing = [cidr for cidr in asked or platform.network_of(vpc) if cidr not in group.cidrs]
        permissions = [requests.permission(missing)] if missing else []
        if for_itself and not group.admits_itself:
            permissions.append(requests.permission_of_members(group.id))
        for permission in permissions:
            platform.admit(group.id, [permission])
        return (group.id,)

    def ways(self, platform: Platform, spec: ModelSpec, subnets: Sequence[Subnet]) -> Iterator[Try]:
        """All ways to get a machine, the best first: the market, then the type, then the zone."""
        for spot, native, subnet in product(machines.markets(spec), self.types(platform, spec), subnets):
            yield Try(native, subnet, spot)

    def types(self, platform: Platform, spec: ModelSpec) -> Sequence[str]:
        """Instance types that fit; EC2 knows their cores and memory."""
        types = machines.instance_types(spec)
        asked = [key for key in ("cloud.cpu", "cloud.memory") if key in spec.options]
        if not asked:
            return types
        hardware = platform.hardware(types)
        found = [native for native in types if native in hardware and _has(spec, *hardware[native])]
        if not found:
            said = ", ".join(f"{key}={spec.options[key]}" for key in asked)
            raise Rejected(f"{said}: none of {', '.join(types)} has that")
        return found

    def _group(self, platform: Platform, deployment: Deployment, vpc: str) -> Group | None:
        found = next((group for group in platform.groups(named(deployment.name)) if group.vpc == vpc), None)
        if found is not None and not is_ours(found.tags, deployment):
            raise Taken(f"the security group {deployment.name} belongs to somebody else; it was left alone")
        return found

    def _new_group(self, platform: Platform, deployment: Deployment, vpc: str) -> Group:
        id = platform.create_group(
            GroupName=deployment.name,
            Description="Who may connect to a model of compose-model-reconciler",
            VpcId=vpc,
            TagSpecifications=requests.tagged(deployment, "security-group"),
        )
        if id is not None:
            return Group(id, vpc, frozenset(), False, {})
        found = self._group(platform, deployment, vpc)
        if found is None:
            raise Unavailable(f"the security group {deployment.name} exists and cannot be seen yet")
        return found

    def _ask_for(
        self, platform: Platform, deployment: Deployment, way: Try, groups: Sequence[str]
    ) -> Observation | DriverError:
        """A machine on its way; an Exhausted where there is none that way; everything else is raised."""
        try:
            machine = platform.run(requests.run_request(deployment, way, groups))
        except Exception as error:
            if code_of(error) == "IdempotentInstanceTerminated":
                raise Taken("its machine was terminated, and AWS starts no other one for the same request") from error
            refusal = refused(error, f"starting {way}")
            if isinstance(refusal, Exhausted):
                return refusal
            raise refusal from error
        if not is_ours(machine.tags, deployment):
            raise Taken(foreign(machine))
        known = handle(deployment, machine, platform.where)
        return health.creating(deployment, known, "the machine is starting")


def refused(error: Exception, doing: str) -> DriverError:
    """What a refusal to start a machine means."""
    if isinstance(error, DriverError):
        return error
    said = translated(error, doing, changes=True)
    if code_of(error) == "IdempotentParameterMismatch":
        return Ambiguous(f"{said}; the same machine was asked for before, under other settings")
    if code_of(error) in _NOT_SEEN_YET:
        return Unavailable(str(said))
    if isinstance(said, Rejected) and says(error, "IAM Instance Profile"):
        return Denied(f"{said}; name one under aws.instance_profile (infra/aws makes one)")
    return said


def _has(spec: ModelSpec, cores: int, memory: int) -> bool:
    options = spec.options
    return ("cloud.cpu" not in options or cores in whole_range(options["cloud.cpu"])) and (
        "cloud.memory" not in options or memory in sizes(options["cloud.memory"])
    )
