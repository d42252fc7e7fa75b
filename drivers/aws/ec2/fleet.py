"""More than one machine per model: an Auto Scaling group behind a load balancer.

    launch template ─► security group ─► key ─► second version of the template ─► target group ─► load balancer
        ─► listener ─► Auto Scaling group [without a machine ─► scheduled end ─► its machines]

With `cloud.ttl` the group gets its machines after its end was scheduled, so that there is never one without an end. The
group comes last, because it is what costs money, and goes first. It starts machines in the order of their types and
spreads them over the zones; a machine that dies or hangs is replaced by it, not by us.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from drivers.aws.ec2 import names, requests, standing
from drivers.aws.ec2.expiry import expires_at, text_of
from drivers.aws.ec2.fleetplatform import Balancer, FleetGroup, FleetPlatform
from drivers.aws.ec2.launching import Launcher
from drivers.aws.ec2.machines import markets, replicas
from drivers.aws.ec2.options import is_public
from drivers.aws.ec2.platform import Platform
from drivers.aws.ec2.requests import Subnet
from drivers.aws.ec2.things import Template
from drivers.aws.ec2.userdata import PORT
from drivers.aws.tags import as_list, is_ours, tags_of
from drivers.base import Deployment, Observation
from drivers.errors import Taken, Unavailable

GRACE_S = 1800
"""Seconds for which a machine that starts is not judged by the load balancer: it fetches the weights."""

_SOON = timedelta(minutes=2)
"""AWS schedules nothing for a moment that is past."""


def is_fleet(deployment: Deployment) -> bool:
    """Whether the spec asks for more than one machine."""
    return replicas(deployment.spec) > 1


class Fleet:
    """Makes and removes what a fleet has beside a single machine's parts."""

    def __init__(self, launcher: Launcher, clock: Callable[[], datetime]) -> None:
        self._launcher, self._clock = launcher, clock

    def launch(self, platform: Platform, deployment: Deployment) -> None:
        """Everything that is missing, in order. Returns when the group was asked for."""
        template, subnets, groups = self._launcher.prepare(platform, deployment, for_itself=True)
        fleet = FleetPlatform(platform)
        self._second_version(platform, deployment, template, groups)
        targets = self._target_group(fleet, deployment, subnets[0].vpc)
        balancer = self._balancer(fleet, deployment, subnets, groups)
        if not fleet.has_listener(balancer.arn):
            forward = [{"Type": "forward", "TargetGroupArn": targets}]
            fleet.create_listener(
                LoadBalancerArn=balancer.arn,
                Protocol="TCP",
                Port=PORT,
                DefaultActions=forward,
                Tags=as_list(tags_of(deployment)),
            )
        self._group(platform, fleet, deployment, subnets, targets)

    def remove_group(self, platform: Platform, deployment: Deployment) -> Observation | None:
        """The group, which takes its machines along; None when it was seen gone."""
        fleet = FleetPlatform(platform)
        group = fleet.group(deployment.name)
        if group is not None and is_ours(group.tags, deployment):
            if not group.is_going:
                fleet.delete_group(deployment.name)
            return standing.deleting("the machines are going")
        return None

    def remove_balancer(self, platform: Platform, deployment: Deployment) -> Observation | None:
        """What stood before the machines; None when all of it was seen gone."""
        fleet = FleetPlatform(platform)
        balancer = fleet.balancer(names.balancer_name(deployment))
        if balancer is not None and _is_ours(fleet, balancer.arn, deployment):
            fleet.delete_balancer(balancer.arn)
        targets = fleet.target_group(names.balancer_name(deployment))
        if targets is not None and _is_ours(fleet, targets, deployment) and not fleet.delete_target_group(targets):
            return standing.deleting("its load balancer is going")
        return None

    def settle_ending(self, platform: Platform, deployment: Deployment) -> None:
        """Have its end scheduled for the moment that the spec says, or not at all."""
        fleet = FleetPlatform(platform)
        group = fleet.group(deployment.name)
        if group is None or group.is_going or not is_ours(group.tags, deployment):
            return
        self._schedule(fleet, deployment)

    def _schedule(self, fleet: FleetPlatform, deployment: Deployment) -> None:
        moment, name = expires_at(deployment), names.ending_name(deployment)
        scheduled = fleet.ending(deployment.name, name)
        if moment is None and scheduled:
            fleet.cancel_ending(deployment.name, name)
        if moment is not None and scheduled != text_of(moment):
            fleet.schedule_ending(deployment.name, name, max(moment, self._clock() + _SOON))

    def _second_version(
        self, platform: Platform, deployment: Deployment, template: Template, groups: Sequence[str]
    ) -> None:
        """The first version and what a single machine gets in its own request: network and tags."""
        if template.latest > 1:
            return
        data = {
            "NetworkInterfaces": [requests.interface(deployment.spec, groups)],
            "TagSpecifications": requests.tagged(deployment, "instance", "volume"),
        }
        platform.create_version(
            LaunchTemplateName=deployment.name,
            SourceVersion="1",
            LaunchTemplateData=data,
            ClientToken=names.token(deployment, "second version"),
        )

    def _target_group(self, fleet: FleetPlatform, deployment: Deployment, vpc: str) -> str:
        name = names.balancer_name(deployment)
        found = fleet.target_group(name)
        if found is not None:
            return _mine(fleet, found, deployment)
        return fleet.create_target_group(
            Name=name,
            Protocol="TCP",
            Port=PORT,
            VpcId=vpc,
            TargetType="instance",
            HealthCheckProtocol="HTTP",
            HealthCheckPath=deployment.spec.options.get("cloud.health-path", "/health"),
            Tags=as_list(tags_of(deployment)),
        )

    def _balancer(
        self, fleet: FleetPlatform, deployment: Deployment, subnets: Sequence[Subnet], groups: Sequence[str]
    ) -> Balancer:
        name = names.balancer_name(deployment)
        found = fleet.balancer(name)
        if found is not None:
            _mine(fleet, found.arn, deployment)
            return found
        return fleet.create_balancer(
            Name=name,
            Type="network",
            Scheme="internet-facing" if is_public(deployment.spec) else "internal",
            Subnets=[subnet.id for subnet in _one_per_zone(subnets)],
            SecurityGroups=list(groups),
            Tags=as_list(tags_of(deployment)),
        )

    def _group(
        self,
        platform: Platform,
        fleet: FleetPlatform,
        deployment: Deployment,
        subnets: Sequence[Subnet],
        targets: str,
    ) -> None:
        found = fleet.group(deployment.name)
        if found is None:
            types = self._launcher.types(platform, deployment.spec)
            request = group_request(deployment, types, subnets, targets)
            made = FleetGroup(request["MaxSize"], False, tags_of(deployment))
            found = made if fleet.create_group(**request) else fleet.group(deployment.name)
            if found is None:
                raise Unavailable(f"the Auto Scaling group {deployment.name} exists and cannot be seen yet")
        if not is_ours(found.tags, deployment):
            raise Taken(f"the Auto Scaling group {deployment.name} belongs to somebody else; it was left alone")
        if found.is_going:
            raise Unavailable(f"the Auto Scaling group {deployment.name} is being deleted")
        if expires_at(deployment) is not None:
            self._schedule(fleet, deployment)
        if found.most == 0:
            fleet.resize_group(deployment.name, replicas(deployment.spec))


def group_request(
    deployment: Deployment, types: Sequence[str], subnets: Sequence[Subnet], targets: str
) -> dict[str, Any]:
    """A fixed number of machines, the first type that AWS has, in all zones. None yet where their end is to be
    scheduled first."""
    number = replicas(deployment.spec) if expires_at(deployment) is None else 0
    spot = markets(deployment.spec)[0]
    template = {"LaunchTemplateName": deployment.name, "Version": "2"}
    tags = [
        {**tag, "PropagateAtLaunch": False, "ResourceId": deployment.name, "ResourceType": "auto-scaling-group"}
        for tag in as_list(tags_of(deployment))
    ]
    return {
        "AutoScalingGroupName": deployment.name,
        "MixedInstancesPolicy": {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": template,
                "Overrides": [{"InstanceType": native} for native in types],
            },
            "InstancesDistribution": {
                "OnDemandAllocationStrategy": "prioritized",
                "OnDemandPercentageAboveBaseCapacity": 0 if spot else 100,
                "SpotAllocationStrategy": "capacity-optimized-prioritized",
            },
        },
        "MinSize": number,
        "MaxSize": number,
        "DesiredCapacity": number,
        "VPCZoneIdentifier": ",".join(subnet.id for subnet in subnets),
        "TargetGroupARNs": [targets],
        "HealthCheckType": "ELB",
        "HealthCheckGracePeriod": GRACE_S,
        "Tags": tags,
    }


def _one_per_zone(subnets: Sequence[Subnet]) -> Sequence[Subnet]:
    """A load balancer stands in each zone once."""
    return list({subnet.zone: subnet for subnet in reversed(subnets)}.values())[::-1]


def _is_ours(fleet: FleetPlatform, arn: str, deployment: Deployment) -> bool:
    return is_ours(fleet.tags([arn]).get(arn, {}), deployment)


def _mine(fleet: FleetPlatform, arn: str, deployment: Deployment) -> str:
    if not _is_ours(fleet, arn, deployment):
        raise Taken(f"{arn} has our name and belongs to somebody else; it was left alone")
    return arn
