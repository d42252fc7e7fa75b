"""What is left of deployments whose launch template somebody deleted: found by the tags of every other part.

A load balancer costs money without any machine; a key or a security group costs nothing and stays for ever. Every kind
is listed once, in pages, by the service that has it and not by an index that lags. Keys do not show their tags in a
listing, and are asked for them where nothing else of their deployment was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from drivers.aws.ec2 import names, standing
from drivers.aws.ec2.fleet import is_fleet
from drivers.aws.ec2.fleetplatform import FleetPlatform
from drivers.aws.ec2.keys import Keys
from drivers.aws.ec2.parameters import names_below, tags_of_parameter
from drivers.aws.ec2.platform import Platform, named, tagged_with
from drivers.aws.tags import LINEAGE, deployment_from, is_ours
from drivers.base import Deployment, Observation, Phase
from drivers.naming import minted_at

YOUNG = timedelta(minutes=10)
"""A launch template may not be shown yet, and was not deleted by anybody, so long after its deployment was minted."""


def deployments(platform: Platform, lineage: str) -> Iterator[Deployment]:
    """All of which there is any part, without their handles; the first part to be found says the spec."""
    found: dict[str, Deployment] = {}
    for tags in _tags(platform, lineage):
        deployment = deployment_from(tags)
        if deployment is not None and deployment.lineage == lineage:
            found.setdefault(deployment.id, deployment)
    yield from found.values()
    known = {deployment.name for deployment in found.values()}
    for name in names_below(platform, f"{names.ROOT}/{lineage}"):
        if name.rpartition("/")[2] not in known:
            orphan = deployment_from(tags_of_parameter(platform, name))
            if orphan is not None and orphan.lineage == lineage:
                yield orphan


def _tags(platform: Platform, lineage: str) -> Iterator[Mapping[str, str]]:
    """What is changed in place comes first: the other parts keep the spec that they were made for."""
    fleet = FleetPlatform(platform)
    mine = tagged_with(LINEAGE, lineage)
    yield from (template.tags for template in platform.templates(lineage))
    yield from (machine.tags for machine in standing.alive(platform.machines(mine)))
    yield from (group.tags for group in fleet.groups(mine))
    yield from fleet.tags_of_balancers(names.BALANCER_PREFIX)
    yield from (group.tags for group in platform.groups(mine))


class Leftovers:
    """Whether what seems absent has left something behind. `clock` tells how old a deployment is."""

    def __init__(self, keys: Keys, clock: Callable[[], datetime]) -> None:
        self._keys, self._clock = keys, clock

    def looked_for(self, platform: Platform, deployment: Deployment, seen: Observation) -> Observation:
        """FAILED instead of an absence that would be believed, where only its first part is missing."""
        if seen.phase is not Phase.ABSENT or seen.foreign or self._is_young(deployment):
            return seen
        if platform.template(deployment.name) is not None or not self._any(platform, deployment):
            return seen
        return Observation(phase=Phase.FAILED, detail=standing.DELETED)

    def _any(self, platform: Platform, deployment: Deployment) -> bool:
        groups = platform.groups(named(deployment.name))
        if any(is_ours(group.tags, deployment) for group in groups) or self._keys.is_kept(deployment, platform):
            return True
        if not is_fleet(deployment):
            return False
        fleet = FleetPlatform(platform)
        targets = fleet.target_group(names.balancer_name(deployment))
        return targets is not None and is_ours(fleet.tags([targets]).get(targets, {}), deployment)

    def _is_young(self, deployment: Deployment) -> bool:
        try:
            return self._clock() - minted_at(deployment.id) < YOUNG
        except ValueError:
            return False
