"""How a fleet stands: its group and load balancer are there, its machines run, its address answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drivers.aws.ec2 import health, names, standing
from drivers.aws.ec2.expiry import EXPIRES, UNSETTLED, expiry
from drivers.aws.ec2.fleetplatform import Balancer, FleetGroup, FleetPlatform
from drivers.aws.ec2.keys import Keys
from drivers.aws.ec2.machines import replicas
from drivers.aws.ec2.platform import Platform
from drivers.aws.ec2.things import Machine
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import is_ours
from drivers.base import Deployment, Observation, Phase

BALANCER = "balancer"
"""The key of the handle with the load balancer's address: once it is there, group and load balancer were seen."""

ENDED = "its group may have no machine any more: its time was up, or somebody scaled it to nothing"
"""Nobody would start another one, however long one waits, nor where its time is made longer now."""


def observe(
    platform: Platform, deployment: Deployment, machines: Sequence[Machine], keys: Keys, settings: AwsSettings
) -> Observation:
    """What a fleet is worth. Costs calls only until it was seen whole, and when it has no machine."""
    left = standing.alive(machines)
    if any(names.DELETING in machine.tags for machine in left):
        return standing.deleting("the machines are going")
    address = deployment.handle.get(BALANCER, "") if left else ""
    if not address:
        found = _whole(platform, deployment)
        if isinstance(found, Observation):
            return found
        address = found
    ends = _ending(platform, deployment)
    known = _handle(deployment, platform, address, ends)
    said = _judged(platform, deployment, left, known, keys, settings)
    is_settled = said.spec_digest is None or ends == expiry(deployment)
    return said if is_settled else replace(said, spec_digest=UNSETTLED)


def _judged(
    platform: Platform,
    deployment: Deployment,
    left: Sequence[Machine],
    known: dict[str, str],
    keys: Keys,
    settings: AwsSettings,
) -> Observation:
    running = [machine for machine in left if machine.state == "running"]
    if not running:
        return health.creating(deployment, known, _why_none(platform, deployment, left))
    return _asked(platform, deployment, known, _counted(deployment, running), keys, settings)


def _whole(platform: Platform, deployment: Deployment) -> Observation | str:
    """The address of a fleet of which everything is there; else what that means."""
    template = platform.template(deployment.name)
    ours = standing.ours(template, deployment)
    if ours is not None and names.DELETING in ours.tags:
        return standing.without_machine(deployment, template, None)
    group, balancer = _group(platform, deployment), _balancer(platform, deployment)
    if group is not None and group.is_going:
        return standing.deleting("the machines are going")
    if ours is not None and group is not None and group.most == 0:
        if health.ANSWERED in deployment.handle:
            return Observation(phase=Phase.FAILED, detail=ENDED, handle=deployment.handle)
        return standing.without_machine(deployment, template, None)
    if group is not None and balancer is not None:
        return balancer.address
    if ours is None and (group is not None or balancer is not None):
        # Not ABSENT: that is believed, and what is left costs money also without a machine.
        return Observation(phase=Phase.FAILED, detail=standing.DELETED)
    return standing.without_machine(deployment, template, None)


def _ending(platform: Platform, deployment: Deployment) -> str:
    """For when its end is scheduled; looked at only where that is not known to be what the spec says."""
    wanted = expiry(deployment)
    if BALANCER in deployment.handle and deployment.handle.get(EXPIRES, "") == wanted:
        return wanted
    return FleetPlatform(platform).ending(deployment.name, names.ending_name(deployment))


def _group(platform: Platform, deployment: Deployment) -> FleetGroup | None:
    found = FleetPlatform(platform).group(deployment.name)
    return found if found is not None and is_ours(found.tags, deployment) else None


def _balancer(platform: Platform, deployment: Deployment) -> Balancer | None:
    fleet = FleetPlatform(platform)
    found = fleet.balancer(names.balancer_name(deployment))
    if found is None:
        return None
    return found if is_ours(fleet.tags([found.arn]).get(found.arn, {}), deployment) else None


def _why_none(platform: Platform, deployment: Deployment, left: Sequence[Machine]) -> str:
    if left:
        return "the machines are starting"
    failure = FleetPlatform(platform).last_failure(deployment.name)
    return f"the group has no machine yet: {failure}" if failure else "the group has no machine yet"


def _counted(deployment: Deployment, running: Sequence[Machine]) -> str:
    """What to say of fewer machines than were asked for."""
    wanted = replicas(deployment.spec)
    return f"{len(running)} of {wanted} machines run" if len(running) < wanted else ""


def _asked(
    platform: Platform,
    deployment: Deployment,
    known: dict[str, str],
    counted: str,
    keys: Keys,
    settings: AwsSettings,
) -> Observation:
    address = known[BALANCER]
    key = keys.key(deployment, platform)
    if key is None:
        return Observation(phase=Phase.FAILED, detail=standing.KEY_LOST, handle=known)
    where = health.endpoint(deployment, address, str(keys.file(deployment)))
    if health.ANSWERED in known:
        if health.is_well(deployment, address):
            return health.ready(deployment, where, known, counted)
        return health.degraded(deployment, where, known, "the load balancer does not pass the health check on")
    missing = health.first_answer(deployment, address, key, settings)
    if missing == health.KEY_REFUSED:
        keys.renewed(deployment, platform)
    if missing:
        return health.creating(deployment, known, missing)
    return health.ready(deployment, where, {**known, health.ANSWERED: address}, counted)


def _handle(deployment: Deployment, platform: Platform, address: str, ends: str) -> dict[str, str]:
    kept = {key: value for key, value in deployment.handle.items() if (key, value) == (health.ANSWERED, address)}
    return {**platform.where, BALANCER: address, **({EXPIRES: ends} if ends else {}), **kept}
